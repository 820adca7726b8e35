"""Where rays first meet a surface that is known by its signed distance."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

# Refinement looks this many tolerances ahead for the far side of the surface: enough for all but grazing rays, which
# keep the point where they came within the tolerance.
PROBE_TOLERANCES = 4.0
# A bracket of a few tolerances is close to linear; two secant steps leave nothing that float32 could show.
REFINE_STEPS = 2


@dataclass(frozen=True)
class TraceResult:
    """What `trace` found along each of N rays.

    Attributes:
        t: (N,) distance of the first surface; for a miss, of the visited point that came closest (`near` if none was).
        hit: (N,) bool.
        closest: (N,) least signed distance among the visited points, infinity if there were none.
    """

    t: Tensor
    hit: Tensor
    closest: Tensor


@torch.no_grad()
def trace(
    sdf: Callable[[Tensor], Tensor],
    origins: Tensor,
    directions: Tensor,
    near: Tensor,
    far: Tensor,
    tolerance: float = 1e-4,
    max_steps: int = 128,
    lipschitz: float = 1.0,
) -> TraceResult:
    """The first surface point along each ray by sphere tracing (Hart 1996): step by the distance that is surely free.

    t <- t + f(o + t d) / lipschitz until f < tolerance (a hit) or t > far (a miss). With a true bound no surface is
    stepped over, however thin. Rays that start inside the object hit at `near`; rays still under way after
    `max_steps` count as misses. No gradients pass.

    Args:
        sdf: points (M, 3) -> (M,), positive outside; M shrinks as rays finish.
        origins, directions: (N, 3), unit directions.
        near, far: (N,); rays with near > far are misses.
        tolerance: distance that counts as touching; the hit is then refined to well below it.
        max_steps: most evaluations of a ray, without the refinement.
        lipschitz: greatest slope of `sdf`; 1 for a signed distance, more for what only resembles one.

    >>> ray = torch.tensor([[0.0, 0.0, -3.0]]), torch.tensor([[0.0, 0.0, 1.0]])
    >>> trace(lambda points: points.norm(dim=-1) - 1.0, *ray, torch.tensor([0.0]), torch.tensor([6.0])).t
    tensor([2.])
    """
    t, f = near.clone(), torch.full_like(near, torch.inf)
    t_before, f_before = t.clone(), f.clone()  # the place visited before, known to be outside
    t_closest, closest = t.clone(), f.clone()
    hit = torch.zeros_like(near, dtype=torch.bool)
    active = (near <= far).nonzero().squeeze(-1)
    for _ in range(max_steps):
        if len(active) == 0:
            break
        t_here = t[active]
        f_here = sdf(origins[active] + t_here.unsqueeze(-1) * directions[active])
        f[active] = f_here
        t_closest[active] = torch.where(f_here < closest[active], t_here, t_closest[active])
        closest[active] = torch.minimum(f_here, closest[active])
        has_arrived = f_here < tolerance
        hit[active[has_arrived]] = True
        t_next = t_here + f_here / lipschitz
        goes_on = ~has_arrived & (t_next <= far[active])
        active = active[goes_on]
        t_before[active], f_before[active], t[active] = t_here[goes_on], f_here[goes_on], t_next[goes_on]
    found = hit.nonzero().squeeze(-1)
    o, d = origins[found], directions[found]
    t_closest[found] = _refined(
        lambda distances: sdf(o + distances.unsqueeze(-1) * d),
        (t_before[found], f_before[found]),
        (t[found], f[found]),
        torch.minimum(t[found] + PROBE_TOLERANCES * tolerance, far[found]),
    )
    return TraceResult(t_closest, hit, closest)


def _refined(
    along: Callable[[Tensor], Tensor], before: tuple[Tensor, Tensor], here: tuple[Tensor, Tensor], beyond: Tensor
) -> Tensor:
    """Distances (M,) where the sign changes between `before` and `beyond`, by regula falsi; `here` where it does not.

    Args:
        along: distances along the rays (M,) -> signed distances (M,).
        before, here: the last two places visited: distances along the rays (M,) and signed distances (M,).
        beyond: (M,) where to look for the far side of the surface.
    """
    is_inside = here[1] <= 0.0
    lower, f_lower = (torch.where(is_inside, b, h) for b, h in zip(before, here, strict=True))
    upper, f_upper = (torch.where(is_inside, h, b) for h, b in zip(here, (beyond, along(beyond)), strict=True))
    # Not so for grazing rays, and for those that start inside: their place before is the start itself.
    is_bracketed = (lower < upper) & (f_upper <= 0.0)
    for _ in range(REFINE_STEPS):
        middle = _zero_between(lower, upper, f_lower, f_upper)
        f_middle = along(middle)
        is_inside = f_middle <= 0.0
        # Halving the value at the end that stays (the Illinois rule) keeps a curved function from stalling the secant.
        f_lower, f_upper = torch.where(is_inside, f_lower / 2, f_middle), torch.where(is_inside, f_middle, f_upper / 2)
        lower, upper = torch.where(is_inside, lower, middle), torch.where(is_inside, middle, upper)
    return torch.where(is_bracketed, _zero_between(lower, upper, f_lower, f_upper), here[0])


def _zero_between(lower: Tensor, upper: Tensor, f_lower: Tensor, f_upper: Tensor) -> Tensor:
    share = f_lower / (f_lower - f_upper).clamp_min(torch.finfo(f_lower.dtype).tiny)
    return lower + (upper - lower) * share.clamp(0.0, 1.0)
