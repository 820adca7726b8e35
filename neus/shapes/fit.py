"""The member of a family that explains what was observed: by Levenberg-Marquardt with restarts, or by Adam as published."""

import time
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from neus.errors import InputError
from neus.shapes.levenberg import CODE_WEIGHT, State, objective_of, refine, whitened
from neus.shapes.losses import sample_losses
from neus.shapes.observations import Observations
from neus.shapes.placement import PlacedField, Placement, cube_rotations
from neus.shapes.prior import Prior

# Observations in a fit, and in the rounds that choose among starts.
POINTS, TRIED_POINTS, TRIED_ROUNDS = 4000, 1500, 6
# Training codes tried beside the mean code, of so many looked at.
BEST_CODES, LOOKED_AT = 2, 256
# Of the 24 turned starts of a pose, how many go on.
POSES_KEPT, POSE_POINTS, POSE_ROUNDS = 4, 800, 12
# Adam as published: steps, rate, its factor from half way, samples a step, deviation of the start, weight of the mean squared entry.
ADAM_STEPS, ADAM_RATE, ADAM_FACTOR, ADAM_POINTS, ADAM_START, ADAM_WEIGHT = 800, 5e-3, 0.1, 8000, 0.01, 1e-4


@dataclass(frozen=True, eq=False)
class Fit:
    """A fitted member.

    Attributes:
        code: (L,).
        placement: where it stands in the observed frame.
        objective, difference: E and mean |r| over the observations used.
        usualness: |w| / sqrt(L) of the whitened code: about 1 for a usual member, more for an unusual one.
        seconds: taken.
        method: `lm` or `adam`.
        start: what the best start was.
    """

    code: Tensor
    placement: Placement
    objective: float
    difference: float
    usualness: float
    seconds: float
    method: str
    start: str

    def field(self, prior: Prior) -> PlacedField:
        """The fitted shape in the observed frame."""
        return PlacedField(prior.field(self.code), self.placement)


def fit_shape(
    prior: Prior, seen: Observations, weight: float = CODE_WEIGHT, seed: int = 0, restarts: bool = True, points: int = POINTS
) -> Fit:
    """The code that explains the observations best, by Levenberg-Marquardt.

    From the mean code and from the two training codes that explain them best, a few rounds on fewer points; the best goes on. The
    least E is kept, which knows nothing of the truth.

    Args:
        prior: decoder and codes.
        seen: in the prior's frame.
        weight: lambda of the whitened code; must grow with noise.
        seed: of the choice of points.
        restarts: False starts at the mean code alone.
        points: of the observations, used in the end.

    Raises:
        InputError: nothing was observed.
    """
    started = _checked(prior, seen)
    generator = torch.Generator().manual_seed(seed)
    few, many = seen.subset(TRIED_POINTS, generator), seen.subset(points, generator)
    starts = _starts(prior, few, weight, Placement.identity()) if restarts else _mean_start(prior, Placement.identity())
    if len(starts) > 1:
        starts = [(name, refine(prior, few, start, False, weight, TRIED_ROUNDS)) for name, start in starts]
    name, best = min(starts, key=lambda tried: tried[1].objective)
    return _result(prior, refine(prior, many, best, False, weight), "lm", name, started)


def fit_posed(
    prior: Prior, seen: Observations, weight: float = CODE_WEIGHT, seed: int = 0, start: Placement | None = None, any_rotation: bool = True
) -> Fit:
    """Code and pose together: 24 turned starts of the mean code (or the given placement alone), the best four refined, then the best.

    Shapes with an axis have no angle about it, of which the fit then takes any.

    Args:
        prior: decoder and codes.
        seen: in any similar frame: turned, moved, scaled.
        weight, seed: as in `fit_shape`.
        start: first placement; None: centred and scaled by what was observed of the surface.
        any_rotation: try 24 rotations of it.

    Raises:
        InputError: nothing was observed.
    """
    started = _checked(prior, seen)
    generator = torch.Generator().manual_seed(seed)
    few, many = seen.subset(POSE_POINTS, generator), seen.subset(POINTS, generator)
    first = start or extent_placement(seen)
    turned = [replace(first, rotation=first.rotation @ turn) for turn in (cube_rotations() if any_rotation else cube_rotations()[:1])]
    w = torch.zeros(prior.codes.shape[1])
    states = [objective_of(prior, few, State(w, placement), weight) for placement in turned]
    order = sorted(range(len(states)), key=lambda i: states[i].objective)[: 3 * POSES_KEPT]
    # A few rounds tell more than the value at the start, which a small shift can spoil.
    tried = sorted(((i, refine(prior, few, states[i], True, weight, 3)) for i in order), key=lambda pair: pair[1].objective)
    kept = [(f"rotation {i}", refine(prior, few, state, True, weight, POSE_ROUNDS)) for i, state in tried[:POSES_KEPT]]
    name, best = min(kept, key=lambda pair: pair[1].objective)
    return _result(prior, refine(prior, many, best, True, weight), "lm", name, started)


def fit_adam(prior: Prior, seen: Observations, steps: int | None = None, seed: int = 0, points: int = ADAM_POINTS) -> Fit:
    """The same by Adam as published: z from N(0, 0.01^2), random points each step, a tenth of the rate from half way.

    mean |clamp(f, d) - clamp(s, d)| + mean max(0, -f) over free points + 1e-4 mean z^2.

    Raises:
        InputError: nothing was observed.
    """
    started, steps = _checked(prior, seen), ADAM_STEPS if steps is None else steps
    generator = torch.Generator().manual_seed(seed)
    code = (ADAM_START * torch.randn(prior.codes.shape[1], generator=generator)).requires_grad_()
    optimizer = torch.optim.Adam([code], lr=ADAM_RATE)
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = ADAM_RATE * (ADAM_FACTOR if step >= steps // 2 else 1.0)
        part = seen.subset(points, generator)
        f = prior.decoder(code, part.points)
        loss = sample_losses(f, part.distances, prior.truncation, True).mean() + ADAM_WEIGHT * code.square().mean()
        if len(part.free):
            loss = loss + (-prior.decoder(code, part.free)).clamp_min(0.0).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    state = objective_of(prior, seen.subset(POINTS, generator), State(whitened(prior, code.detach()), Placement.identity()))
    return _result(prior, state, "adam", "random", started)


def extent_placement(seen: Observations) -> Placement:
    """Centre and scale of what was observed near the surface: the middle of its box, its farthest point at the prior's."""
    near = seen.points[seen.distances.abs() <= seen.distances.abs().quantile(0.3)] if len(seen.points) > 10 else seen.points
    middle = (near.amin(dim=0) + near.amax(dim=0)) / 2.0
    reach = float((near - middle).norm(dim=-1).quantile(0.99)) if len(near) < 2**20 else float((near - middle).norm(dim=-1).max())
    return Placement(torch.eye(3), middle, max(reach, 1e-6))


def _checked(prior: Prior, seen: Observations) -> float:
    """The time, if there is something to fit and something to fit it to."""
    if prior.codes.shape[1] == 0:
        raise InputError(f"{prior.folder}: has codes of length 0, so it holds one shape and nothing can be fitted; see prior mesh.")
    if len(seen.points) == 0:
        raise InputError("fit: nothing was observed, expected points with distances.")
    if not bool(seen.points.isfinite().all() and seen.distances.isfinite().all()):
        raise InputError("fit: some observations are NaN or infinite, expected numbers.")
    return time.monotonic()


def _mean_start(prior: Prior, placement: Placement) -> list[tuple[str, State]]:
    return [("mean code", State(torch.zeros(prior.codes.shape[1]), placement))]


def _starts(prior: Prior, seen: Observations, weight: float, placement: Placement) -> list[tuple[str, State]]:
    """The mean code, and the training codes of least difference."""
    n = len(prior.codes)
    looked_at = range(n) if n <= LOOKED_AT else torch.linspace(0, n - 1, LOOKED_AT).long().tolist()
    few = seen.subset(500, torch.Generator().manual_seed(0))
    states = [(i, objective_of(prior, few, State(whitened(prior, prior.codes[i]), placement), 0.0)) for i in looked_at]
    best = sorted(states, key=lambda pair: pair[1].difference)[:BEST_CODES]
    return _mean_start(prior, placement) + [(f"shape {i}", state) for i, state in best]


def _result(prior: Prior, state: State, method: str, start: str, started: float) -> Fit:
    usual = float(state.w.norm()) / max(len(state.w), 1) ** 0.5
    return Fit(
        state.code(prior), state.placement, state.objective, state.difference, usual, time.monotonic() - started, method, start
    )
