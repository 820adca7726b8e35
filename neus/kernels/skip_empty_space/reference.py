"""Where rays first come near anything, by a lattice of distances, plainly in torch."""

import torch
from torch import Tensor

# More steps than a ray through the lattice can take that advances by LEAST_STEP or stops.
LEAST_STEP = 0.01


@torch.no_grad()
def skip_empty_space(
    origins: Tensor, directions: Tensor, near: Tensor, far: Tensor, values: Tensor, lipschitz: float, margin: float
) -> Tensor:
    """(N,) distances along rays, at least `near`, before which f > margin; more than `far` for rays that meet nothing.

    With f(v) known at the vertex v nearest to x, f > margin as far about x as (f(v) - margin) / L - |x - v|. Rays step by that until
    it is less than LEAST_STEP. Nothing is lost, however thin, as long as L bounds the slope of f.

    Args:
        origins, directions: (N, 3), unit directions; the stretches lie within [-1, 1]^3.
        near, far: (N,).
        values: (P, P, P), f at linspace(-1, 1, P) along x, y, z.
        lipschitz: L.
        margin: of f, scene units.
    """
    last = len(values) - 1
    t, active = near.clone(), (near <= far).nonzero().squeeze(-1)
    while len(active) > 0:
        points = origins[active] + t[active].unsqueeze(-1) * directions[active]
        cells = ((points + 1.0) * (0.5 * last)).round().clamp(0, last)
        aside = (points - (cells / (0.5 * last) - 1.0)).norm(dim=-1)
        x, y, z = cells.long().unbind(-1)
        free = (values[x, y, z] - margin) / lipschitz - aside
        goes_on = free >= LEAST_STEP
        active = active[goes_on]
        t[active] += free[goes_on]
        active = active[t[active] <= far[active]]
    return t
