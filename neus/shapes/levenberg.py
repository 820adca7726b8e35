"""Codes (and poses) by Levenberg-Marquardt on reweighted residuals: seconds where gradient descent takes minutes.

With w = (z - mean) whitened by the training codes, E = mean |r| + mean max(0, -f) over free points + lambda |w|^2 / L. Each round solves
(J^T W J + mu diag + lambda I) step = -(J^T W r + lambda w), W = 1 / (|r| + 0.002) (iteratively reweighted least squares), and is kept if
E falls. The Jacobian costs one backward pass: with a copy of z for every point, row j of the gradient of sum f is df_j / dz.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from neus.shapes.observations import Observations
from neus.shapes.placement import Placement
from neus.shapes.prior import Prior

# Residuals below this count alike: what a good fit leaves.
SMALL = 2e-3
# Damping at the start, and its factor after a round that helped or did not.
DAMPING, FACTOR, MOST_DAMPING = 1e-2, 5.0, 1e4
ROUNDS = 20
# Rounds end when E falls by less than this part, twice.
SETTLED = 1e-3
# Weight of |w|^2 / L for exact distances: the published weight of the mean squared code entry.
CODE_WEIGHT = 1e-4
CHUNK = 2**14


@dataclass(frozen=True, eq=False)
class State:
    """A candidate.

    Attributes:
        w: (L,) whitened code.
        placement: where the shape stands.
        objective: E.
        difference: mean |r| alone.
    """

    w: Tensor
    placement: Placement
    objective: float = float("inf")
    difference: float = float("inf")

    def code(self, prior: Prior) -> Tensor:
        """(L,)."""
        return prior.mean_code + prior.spread @ self.w


@dataclass(frozen=True, eq=False)
class _System:
    """Residuals (n,) and Jacobian (n, k) of points and free points, with E and mean |r|."""

    residuals: Tensor
    jacobian: Tensor
    weights: Tensor
    objective: float
    difference: float


def whitened(prior: Prior, code: Tensor) -> Tensor:
    """(L,) w of a code: inverse of mean + S w."""
    return torch.linalg.solve(prior.spread.double(), (code - prior.mean_code).double()).float()


def refine(
    prior: Prior, seen: Observations, start: State, with_pose: bool = False, weight: float = CODE_WEIGHT, rounds: int = ROUNDS
) -> State:
    """The local minimum of E near a start.

    Args:
        prior: decoder and codes.
        seen: evidence, in the observed frame.
        start: where to begin.
        with_pose: whether the placement moves too.
        weight: lambda.
        rounds: at most.
    """
    system = _system(prior, seen, start, with_pose, weight)
    state = replace(start, objective=system.objective, difference=system.difference)
    damping, settled = DAMPING, 0
    for _ in range(rounds):
        step = _step(system, state, weight, damping)
        candidate = _moved(state, step, with_pose)
        tried = _system(prior, seen, candidate, with_pose, weight)
        if tried.objective < state.objective:
            settled = settled + 1 if state.objective - tried.objective < SETTLED * state.objective else 0
            state = replace(candidate, objective=tried.objective, difference=tried.difference)
            system, damping = tried, damping / FACTOR
        else:
            damping *= FACTOR
        if settled == 2 or damping > MOST_DAMPING:
            break
    return state


def objective_of(prior: Prior, seen: Observations, state: State, weight: float = CODE_WEIGHT) -> State:
    """The same state with its E and mean |r|."""
    values = torch.cat([_values(prior, part, state) for part in (seen.points, seen.free)])
    residuals, _ = _residuals(prior, seen, values, state.placement.scale)
    objective, difference = _objective(residuals, len(seen.points), state.w, weight)
    return replace(state, objective=objective, difference=difference)


def _values(prior: Prior, points: Tensor, state: State) -> Tensor:
    code = state.code(prior)
    with torch.no_grad():
        parts = [prior.decoder(code, state.placement.to_prior(p)) for p in points.split(CHUNK)] if len(points) else []
    return state.placement.scale * torch.cat(parts) if parts else points.new_zeros(0)


def _system(prior: Prior, seen: Observations, state: State, with_pose: bool, weight: float) -> _System:
    points = torch.cat([seen.points, seen.free])
    parts = [_linearized(prior, part, state, with_pose) for part in points.split(CHUNK)]
    values, slopes = (torch.cat(x) for x in zip(*parts, strict=True))
    residuals, is_live = _residuals(prior, seen, values, state.placement.scale)
    n = len(seen.points)
    objective, difference = _objective(residuals, n, state.w, weight)
    counts = torch.full_like(residuals, 1.0 / max(n, 1))
    counts[n:] = 1.0 / max(len(residuals) - n, 1)
    weights = counts / (residuals.abs() + SMALL * state.placement.scale)
    return _System(residuals, slopes * is_live.unsqueeze(1), weights, objective, difference)


def _linearized(prior: Prior, points: Tensor, state: State, with_pose: bool) -> tuple[Tensor, Tensor]:
    """f (n,) in the observed frame, and its derivatives (n, L) in w, (n, L + 7) with the pose."""
    placement, scale = state.placement, state.placement.scale
    y = placement.to_prior(points).requires_grad_(with_pose)
    codes = state.code(prior).expand(len(points), -1).clone().requires_grad_()
    with torch.enable_grad():
        f = prior.decoder(codes, y)
        gradients = torch.autograd.grad(f.sum(), [codes, y] if with_pose else [codes])
    f = f.detach()
    columns = [scale * gradients[0] @ prior.spread]
    if with_pose:
        y, by_y = y.detach(), gradients[1]
        normals = by_y @ placement.rotation.T
        columns += [torch.linalg.cross(normals, points - placement.translation), -normals]
        columns += [scale * (f - (y * by_y).sum(-1)).unsqueeze(1)]
    return scale * f, torch.cat(columns, dim=1)


def _residuals(prior: Prior, seen: Observations, values: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    """Residuals (n + m,) and whether each has a slope: clamped ones have none, but where the sign is wrong nothing is clamped."""
    n, d = len(seen.points), scale * prior.truncation
    f, s = values[:n], seen.distances.clamp(-d, d)
    is_live = (f.abs() < d) | (f * s < 0.0)
    at_points = torch.where(is_live, f, f.clamp(-d, d)) - s
    free = values[n:]
    return torch.cat([at_points, free.clamp_max(0.0)]), torch.cat([is_live, free < 0.0])


def _objective(residuals: Tensor, n: int, w: Tensor, weight: float) -> tuple[float, float]:
    difference = float(residuals[:n].abs().mean()) if n else 0.0
    free = float(residuals[n:].abs().mean()) if len(residuals) > n else 0.0
    return difference + free + weight * float(w.square().mean() if len(w) else 0.0), difference


def _step(system: _System, state: State, weight: float, damping: float) -> Tensor:
    jacobian, n_code = system.jacobian.double(), len(state.w)
    weighted = jacobian * system.weights.double().unsqueeze(1)
    normal, slope = jacobian.T @ weighted, weighted.T @ system.residuals.double()
    ridge = 2.0 * weight / max(n_code, 1)
    normal[:n_code, :n_code] += ridge * torch.eye(n_code, dtype=normal.dtype)
    slope[:n_code] += ridge * state.w.double()
    diagonal = normal.diagonal()
    normal = normal + torch.diag(damping * diagonal + 1e-9 * diagonal.max().clamp_min(1e-12))
    return -torch.linalg.solve(normal, slope).float()


def _moved(state: State, step: Tensor, with_pose: bool) -> State:
    n_code = len(state.w)
    placement = state.placement.turned(step[n_code:]) if with_pose else state.placement
    return State(state.w + step[:n_code], placement)
