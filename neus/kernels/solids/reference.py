"""Where rays first meet a body of solids, plainly in torch; `part_distances` is that of `geometry.solids.Body`."""

import torch
from torch import Tensor

from neus.geometry.solids import Body

# A ray that touches goes on until it is this near or comes no nearer: a thousandth of a pixel at 320x240.
POLISHED = 1e-5
POLISH_STEPS = 32


def part_distances(body: Body, points: Tensor) -> Tensor:
    """Signed distances (..., parts) of points (..., 3) to the parts of a body."""
    return body.part_distances(points)


@torch.no_grad()
def first_hits(
    body: Body, origins: Tensor, directions: Tensor, near: Tensor, far: Tensor, tolerance: float, max_steps: int
) -> Tensor:
    """Distance (N,) along each ray to the body, infinite for a miss, by sphere tracing (Hart 1996) in float64.

    t <- t + f(o + t d) until f < tolerance, a hit; then on in the same way while the distance shrinks, so that a ray
    that meets the surface ends on it and one that grazes it ends where it first came no nearer.

    Args:
        body: what is traced.
        origins, directions: (N, 3), scene frame, unit directions.
        near, far: (N,) where rays begin, outside the body, and where they are given up.
        tolerance: distance that counts as touching, scene units.
        max_steps: evaluations after which a ray that neither touched nor passed `far` is a miss.
    """
    o, d, t = origins.double(), directions.double(), near.double()
    f = torch.full_like(t, torch.inf)
    active = (t <= far).nonzero().squeeze(-1)
    for _ in range(max_steps):
        if len(active) == 0:
            break
        f[active] = _along(body, o[active], d[active], t[active])
        active = active[f[active] >= tolerance]
        t[active] += f[active]
        active = active[t[active] <= far[active]]
    hit = f < tolerance
    hits = torch.full_like(t, torch.inf)
    hits[hit] = _polished(body, o[hit], d[hit], t[hit], f[hit])
    return hits.to(near)


def _polished(body: Body, o: Tensor, d: Tensor, t: Tensor, f: Tensor) -> Tensor:
    """Distances (M,) at which rays that touch at `t`, `f` (M,) from the surface, come to rest."""
    moving = f.abs() >= POLISHED
    for _ in range(POLISH_STEPS):
        t_next = t + f
        f_next = _along(body, o, d, t_next)
        moving = moving & (f_next.abs() < f.abs())
        t, f = torch.where(moving, t_next, t), torch.where(moving, f_next, f)
        moving = moving & (f.abs() >= POLISHED)
        if not moving.any():
            break
    return t


def _along(body: Body, o: Tensor, d: Tensor, t: Tensor) -> Tensor:
    return body.sdf(o + t.unsqueeze(-1) * d)
