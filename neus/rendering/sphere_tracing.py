"""Where rays first meet a surface that is known by its signed distance, or by anything that resembles one."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

# Refinement looks this many tolerances ahead for the far side of the surface: enough for all but grazing rays, which
# keep the point where they came within the tolerance.
PROBE_TOLERANCES = 4.0
# A bracket of a few tolerances is close to linear; two secant steps leave nothing that float32 could show.
REFINE_STEPS = 2
# A slope seen counts as more than the bound only beyond the rounding of two distances; the new bound leaves some room.
REFUTED_BEYOND, SLOPE_MARGIN = 1.01, 1.1
# Cones end where they advance by less than this fraction of their radius: rays do better alone.
LEAST_CONE_STEP = 0.25
MAX_CONE_STEPS = 48
# Rays that have not arrived after so many steps are given up.
MAX_STEPS = 128
# Of the slopes seen, the fraction that a bound must hold: the few beyond it are what stepping back is for.
BOUND_QUANTILE = 0.999
# Rays that graze the surface have no depth to differentiate; others are not moved further than this by rounding.
LEAST_COSINE = 1e-3

Sdf = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class TraceResult:
    """What `trace` found along each of N rays.

    Attributes:
        t: (N,) distance of the first surface; for a miss, of the visited point that came closest (`near` if none was).
        hit: (N,) bool.
        closest: (N,) least signed distance among the visited points, infinity if there were none.
        sdf: (N,) signed distance where a hit was found, before refinement; for a miss, `closest`.
        undecided: (N,) bool: neither hit nor miss, because steps ran out or the field was NaN.
        evaluations: (N,) int, of the field.
    """

    t: Tensor
    hit: Tensor
    closest: Tensor
    sdf: Tensor
    undecided: Tensor
    evaluations: Tensor


@torch.no_grad()
def trace(
    sdf: Sdf,
    origins: Tensor,
    directions: Tensor,
    near: Tensor,
    far: Tensor,
    tolerance: float = 1e-4,
    max_steps: int = MAX_STEPS,
    lipschitz: float = 1.0,
    over_relaxation: float = 1.0,
    refine: bool = True,
) -> TraceResult:
    """The first surface point along each ray by sphere tracing (Hart 1996): step by the distance that is surely free.

    t <- t + f(o + t d) / lipschitz until f < tolerance (a hit) or t > far (a miss). With a true bound no surface is
    stepped over, however thin. A bound that is too small is found out: where two visited distances differ by more than
    it allows, the ray's own bound rises to the slope seen, and if the two free balls then leave a gap, or the surface
    lies between them, the ray steps back and continues in shorter steps. With over-relaxation the same check makes longer
    steps safe (Keinert et al. 2014). Rays that start inside hit at `near`. No gradients pass; see `implicit_depth`.

    Args:
        sdf: points (M, 3) -> (M,), positive outside; M shrinks as rays finish.
        origins, directions: (N, 3), unit directions.
        near, far: (N,); rays with near > far are misses.
        tolerance: distance that counts as touching; the hit is then refined to well below it.
        max_steps: most evaluations of a ray, without the refinement.
        lipschitz: greatest slope of `sdf`; 1 for a signed distance, more for what only resembles one.
        over_relaxation: in [1, 2), factor on the steps until a ray has to step back.
        refine: whether hits are moved onto the surface by the secant.

    >>> ray = torch.tensor([[0.0, 0.0, -3.0]]), torch.tensor([[0.0, 0.0, 1.0]])
    >>> trace(lambda points: points.norm(dim=-1) - 1.0, *ray, torch.tensor([0.0]), torch.tensor([6.0])).t
    tensor([2.])
    """
    rays = _Rays(origins, directions, near, far, tolerance, lipschitz, over_relaxation)
    active = (near <= far).nonzero().squeeze(-1)
    for _ in range(max_steps):
        if len(active) == 0:
            break
        active = rays.advance(sdf, active)
    rays.undecided[active] = True
    t_hit = rays.t
    if refine:
        t_hit = rays.refined(sdf)
    return TraceResult(
        torch.where(rays.hit, t_hit, rays.t_closest),
        rays.hit,
        rays.closest,
        torch.where(rays.hit, rays.f, rays.closest),
        rays.undecided,
        rays.evaluations,
    )


class _Rays:
    """Rays under way: where each is, where it was before, and what it knows of the field's slope."""

    def __init__(
        self,
        origins: Tensor,
        directions: Tensor,
        near: Tensor,
        far: Tensor,
        tolerance: float,
        lipschitz: float,
        relaxation: float,
    ) -> None:
        self.origins, self.directions, self.far, self.tolerance = origins, directions, far, tolerance
        self.t, self.f = near.clone(), torch.full_like(near, torch.inf)
        self.t_before, self.f_before = self.t.clone(), self.f.clone()  # known to be outside, if finite
        self.t_closest, self.closest = self.t.clone(), self.f.clone()
        self.bound, self.relaxation = torch.full_like(near, lipschitz), torch.full_like(near, relaxation)
        self.hit, self.undecided = (torch.zeros_like(near, dtype=torch.bool) for _ in range(2))
        self.evaluations = torch.zeros_like(near, dtype=torch.int32)

    def advance(self, sdf: Sdf, active: Tensor) -> Tensor:
        """Evaluates the active rays (A,) where they are and moves them; returns those still active."""
        t = self.t[active]
        f = sdf(self.origins[active] + t.unsqueeze(-1) * self.directions[active])
        self.f[active] = f
        self.evaluations[active] += 1
        comes_closer = f < self.closest[active]
        self.closest[active[comes_closer]], self.t_closest[active[comes_closer]] = f[comes_closer], t[comes_closer]

        t_before, f_before, bound, relaxation = (
            x[active] for x in (self.t_before, self.f_before, self.bound, self.relaxation)
        )
        step = t - t_before
        slope = (f - f_before).abs() / step
        # A plain step into the object refutes its bound however little it is off; it must not be made again.
        is_refuted = f_before.isfinite() & (slope > torch.where(f < -self.tolerance, 1.0, REFUTED_BEYOND) * bound)
        bound = torch.where(is_refuted, SLOPE_MARGIN * slope, bound)
        # Plain steps end where the balls touch: a hit may lie a tolerance beyond, everything else only rounding.
        slack = torch.where(f > self.tolerance, 1e-4 * step * bound, 2.0 * self.tolerance)
        leaves_gap = f_before + f < step * bound - slack
        overshoots = f_before.isfinite() & ((f < -self.tolerance) | leaves_gap)
        relaxation = torch.where(overshoots, torch.ones_like(relaxation), relaxation)

        has_arrived, is_lost = (f < self.tolerance) & ~overshoots, f.isnan()
        self.hit[active[has_arrived]], self.undecided[active[is_lost]] = True, True
        t_start, f_start = torch.where(overshoots, t_before, t), torch.where(overshoots, f_before, f)
        plain, far = t_start + f_start / bound, self.far[active]
        # A longer step may not end the ray where the plain one would not.
        t_next = torch.minimum(t_start + relaxation * f_start / bound, torch.maximum(plain, far))
        goes_on = ~has_arrived & ~is_lost & (t_next <= far)
        active = active[goes_on]
        for name, value in (
            ("t_before", t_start), ("f_before", f_start), ("t", t_next), ("bound", bound), ("relaxation", relaxation),
        ):  # fmt: skip
            getattr(self, name)[active] = value[goes_on]
        return active

    def refined(self, sdf: Sdf) -> Tensor:
        """Distances (N,) of the hits, moved to where the sign changes."""
        found, t = self.hit.nonzero().squeeze(-1), self.t.clone()
        o, d = self.origins[found], self.directions[found]
        t[found] = _refined(
            lambda distances: sdf(o + distances.unsqueeze(-1) * d),
            (self.t_before[found], self.f_before[found]),
            (t[found], self.f[found]),
            torch.minimum(t[found] + PROBE_TOLERANCES * self.tolerance, self.far[found]),
        )
        self.evaluations[found] += 1 + REFINE_STEPS
        return t


def _refined(along: Sdf, before: tuple[Tensor, Tensor], here: tuple[Tensor, Tensor], beyond: Tensor) -> Tensor:
    """Distances (M,) where the sign changes between `before` and `beyond`, by regula falsi; `here` where it does not.

    Args:
        along: distances along the rays (M,) -> signed distances (M,).
        before, here: the last two points visited: distances along the rays (M,) and signed distances (M,).
        beyond: (M,) where to look for the far side of the surface.
    """
    is_inside = here[1] <= 0.0
    lower, f_lower = (torch.where(is_inside, b, h) for b, h in zip(before, here, strict=True))
    upper, f_upper = (torch.where(is_inside, h, b) for h, b in zip(here, (beyond, along(beyond)), strict=True))
    # Not so for grazing rays, and for those that start inside: their point before is the start itself.
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
    fraction = f_lower / (f_lower - f_upper).clamp_min(torch.finfo(f_lower.dtype).tiny)
    return lower + (upper - lower) * fraction.clamp(0.0, 1.0)


@torch.no_grad()
def cone_trace(
    sdf: Sdf,
    origins: Tensor,
    directions: Tensor,
    near: Tensor,
    far: Tensor,
    group: int = 64,
    lipschitz: float = 1.0,
) -> tuple[Tensor, int]:
    """Where rays may start without losing any surface: coarse to fine, one cone for so many consecutive rays.

    If r is the greatest distance of a group's rays from their axis at t, all of them are free as far as
    t + f(axis at t) / lipschitz - r: whatever is nearer than that is nearer than f to the axis. Thin parts are as safe
    as in `trace`.

    Args:
        sdf, origins, directions, near, far, lipschitz: as in `trace`; neighbouring rays should be adjacent, as the pixels
            of a square do.
        group: rays in a cone.

    Returns:
        (N,) distances, at least `near`; more than `far` for rays that meet nothing; and the number of evaluations.
    """
    n, n_evaluations = len(near), 0
    if n == 0:
        return near.clone(), 0
    padded = torch.arange(-(-n // group) * group, device=near.device).clamp_max(n - 1).view(-1, group)
    is_empty = near > far  # such rays hold nobody back
    starts = near.masked_fill(is_empty, torch.inf)[padded].amin(1)
    ends = far.masked_fill(is_empty, -torch.inf)[padded].amax(1)
    axis_origins = origins[padded].mean(1)
    axes = torch.nn.functional.normalize(directions[padded].mean(1), dim=-1)
    aside, apart = origins[padded] - axis_origins.unsqueeze(1), directions[padded] - axes.unsqueeze(1)
    active = (starts <= ends).nonzero().squeeze(-1)
    for _ in range(MAX_CONE_STEPS):
        if len(active) == 0:
            break
        t = starts[active]
        radius = (aside[active] + t[:, None, None] * apart[active]).norm(dim=-1).amax(-1)
        free = sdf(axis_origins[active] + t.unsqueeze(-1) * axes[active]) / lipschitz - radius
        n_evaluations += len(active)
        goes_on = free > LEAST_CONE_STEP * radius + 1e-6
        starts[active] = torch.where(goes_on, t + free, t)
        active = active[goes_on & (starts[active] <= ends[active])]
    return torch.maximum(starts.repeat_interleave(group)[:n], near), n_evaluations


def lipschitz_bound(gradients: Tensor) -> float:
    """A bound for `trace`: the 99.9th percentile of a field's slope, at least 1, of gradients (M, 3) where rays pass."""
    slopes = gradients.detach().norm(dim=-1)
    slopes = slopes[slopes.isfinite()].double()
    return max(1.0, float(torch.quantile(slopes, BOUND_QUANTILE))) if len(slopes) else 1.0


def implicit_depth(sdf: Sdf, origins: Tensor, directions: Tensor, t: Tensor) -> Tensor:
    """Distances (N,) equal to t, with the exact first derivative of the surface's distance along each ray.

    f(o + t d; theta) = 0 gives dt = -df / (grad f . d), in the parameters theta of the field as well as in origins and
    directions (Yariv et al. 2020, eq. 3; Liu et al. 2020). Rays that graze, |grad f . d| < 1e-3, are held there.

    Args:
        sdf: differentiable, points (M, 3) -> (M,).
        origins, directions: (N, 3), may require gradients.
        t: (N,), of points on the surface.

    >>> radius = torch.tensor(1.0, requires_grad=True)
    >>> ray = torch.tensor([[0.0, 0.0, -3.0]]), torch.tensor([[0.0, 0.0, 1.0]])
    >>> depth = implicit_depth(lambda points: points.norm(dim=-1) - radius, *ray, torch.tensor([2.0]))
    >>> torch.autograd.grad(depth.sum(), radius)
    (tensor(-1.),)
    """
    t = t.detach()
    with torch.enable_grad():
        at = (origins.detach() + t.unsqueeze(-1) * directions.detach()).requires_grad_()
        (slopes,) = torch.autograd.grad(sdf(at).sum(), at)
    cosines = (slopes * directions.detach()).sum(-1)
    cosines = torch.where(cosines < 0, cosines.clamp_max(-LEAST_COSINE), cosines.clamp_min(LEAST_COSINE))
    f = sdf(origins + t.unsqueeze(-1) * directions)
    return t - (f - f.detach()) / cosines
