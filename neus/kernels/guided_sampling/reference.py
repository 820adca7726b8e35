"""Guided intervals in plain torch: the specification of the faster backends. Nothing here has a gradient."""

import torch
from torch import Tensor

from neus.kernels.logistic.reference import exact_alpha
from neus.kernels.trilinear.reference import trilinear

# Fraction of the signed distance that one step covers: cached distances are a little too long here and there.
STEP_FRACTION = 0.7
# Shortest step in voxels: what lies between two vertices of the grid is a straight line anyway.
MIN_STEP_IN_VOXELS = 0.6
# Longest step, scene units: the uniform measure needs vertices in free space.
MAX_STEP = 0.08
# Steps that a ray may take. One that would need more takes longer ones from there on, so that all reach their end.
MAX_STEPS = 256
# Distance from the surface, scene units, at which the uniform measure has fallen to one half.
UNIFORM_WIDTH = 0.04
# Signed distances are kept within this, the diameter of the box and more; what is not a number counts as this far.
FARTHEST = 4.0
# Minimum distance of empty rays.
NOTHING_MET = 1e10


@torch.no_grad()
def guided_intervals(
    origins: Tensor,
    directions: Tensor,
    near: Tensor,
    far: Tensor,
    distances: Tensor,
    sharpness: float | Tensor,
    uniform_fraction: float,
    jitter: Tensor,
) -> tuple[Tensor, Tensor]:
    """Ends of intervals of rays, dense where NeuS's weights are, and how close each ray comes to the surface.

    Steps of about the signed distance from near to far give vertices t_i with distances f_i. Two measures are
    put on the pieces between them: NeuS's weights w_i = T_i alpha_i with alpha_i = max(1 - Phi(s f_{i+1}) / Phi(s f_i), 0) (eq. 13),
    and a uniform proposal v_i ~ (t_{i+1} - t_i) / (1 + (f / 0.04)^2) with sum 1. With u the `uniform_fraction` and o = sum w_i the mixture

        p_i = (1 - u) w_i + (1 - (1 - u) o) v_i

    has sum 1: what the weights leave of their fraction, where the ray is not opaque, goes to the uniform proposal. The ends are where the
    piecewise linear distribution function of p reaches (k + jitter_k) / (K + 1).

    Args:
        origins, directions: (N, 3), scene frame, unit directions; finite, as are near and far.
        near, far: (N,), ends of the traced stretch, scene units. A ray with far <= near is empty.
        distances: (P, P, P), P >= 2, signed distances at linspace(-1, 1, P) along x, y, z; read with trilinear weights, outside
            the box as at its nearest point. What is not a number counts as empty space.
        sharpness: s > 0.
        uniform_fraction: u in [0, 1].
        jitter: (N, K + 1) in [0, 1).

    Returns:
        edges: (N, K + 1) in [near, far], ascending, the ends of K intervals; all `near` for empty rays.
        minimum distance: (N,), least signed distance met; 1e10 for empty rays.

    >>> axis = torch.linspace(-1, 1, 33)
    >>> ball = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij")).norm(dim=0) - 0.5
    >>> ray = torch.tensor([[0.0, 0.0, -2.0]]), torch.tensor([[0.0, 0.0, 1.0]]), torch.tensor([1.0]), torch.tensor([3.0])
    >>> edges, min_sdf = guided_intervals(*ray, ball, 1e4, 0.0, torch.full((1, 3), 0.5))
    >>> bool((edges - 1.5).abs().max() < 0.03), bool(min_sdf < -0.4)
    (True, True)
    """
    t, sdf = _traverse(origins, directions, near, far, distances)
    deltas = t[:, 1:] - t[:, :-1]
    weights = _neus_weights(sdf, sharpness)
    closeness = 1.0 / (1.0 + (sdf / UNIFORM_WIDTH).square())
    uniform_masses = (closeness[:, 1:] + closeness[:, :-1]) * deltas
    weights, uniform_masses = weights.double(), uniform_masses.double()
    left_over = 1.0 - (1.0 - uniform_fraction) * weights.sum(1, keepdim=True)
    # Only empty rays have no uniform mass.
    proposal_fraction = left_over / uniform_masses.sum(1, keepdim=True).clamp_min(torch.finfo(torch.float64).tiny)
    masses = (1.0 - uniform_fraction) * weights + proposal_fraction * uniform_masses
    quantiles = (torch.arange(jitter.shape[1]).to(jitter) + jitter) / jitter.shape[1]
    edges = _inverse(t, masses, quantiles)
    is_empty = ~(far > near)
    edges = torch.where(is_empty.unsqueeze(1), near.unsqueeze(1), edges)
    return edges, sdf.amin(1).masked_fill(is_empty, NOTHING_MET)


def _traverse(origins: Tensor, directions: Tensor, near: Tensor, far: Tensor, distances: Tensor) -> tuple[Tensor, Tensor]:
    """Vertices t (N, W + 1) of the traced steps and signed distances there; finished rays stay at their end."""
    min_step = MIN_STEP_IN_VOXELS * 2.0 / (distances.shape[0] - 1)
    t, ts, sdfs = near, [near], [_sdf_at(origins + directions * near.unsqueeze(1), distances)]
    for taken in range(MAX_STEPS):
        step = (STEP_FRACTION * sdfs[-1].abs()).clamp_min(min_step).clamp_max(MAX_STEP)
        left = MAX_STEPS - taken
        t = torch.minimum(t + torch.maximum(step, (far - t) / left), far) if left > 1 else far
        ts.append(t)
        sdfs.append(_sdf_at(origins + directions * t.unsqueeze(1), distances))
        if bool((t >= far).all()):
            break
    return torch.stack(ts, dim=1), torch.stack(sdfs, dim=1)


def _sdf_at(points: Tensor, distances: Tensor) -> Tensor:
    """Trilinear signed distances (N,) at points (N, 3), within [-FARTHEST, FARTHEST]."""
    return trilinear(distances, points).nan_to_num(FARTHEST).clamp(-FARTHEST, FARTHEST)


def _neus_weights(sdf: Tensor, sharpness: float) -> Tensor:
    """w_i (N, W) from signed distances (N, W + 1) at the ends."""
    alphas = exact_alpha(sdf[:, :-1], sdf[:, 1:], sharpness)
    transmittance = torch.cumprod(1.0 - alphas, dim=1)
    return alphas * torch.cat([torch.ones_like(alphas[:, :1]), transmittance[:, :-1]], dim=1)


def _inverse(t: Tensor, masses: Tensor, quantiles: Tensor) -> Tensor:
    """Where (N, K + 1) the distribution function with `masses` (N, W) between t (N, W + 1) first reaches `quantiles`."""
    reached = masses.cumsum(1)
    pieces = torch.searchsorted(reached, quantiles.double()).clamp_max(masses.shape[1] - 1)
    mass = masses.gather(1, pieces)
    into = quantiles - (reached.gather(1, pieces) - mass)
    fractions = (into / mass.clamp_min(torch.finfo(torch.float64).tiny)).clamp(0.0, 1.0).to(t)
    start, end = t.gather(1, pieces), t.gather(1, pieces + 1)
    return torch.minimum(start + fractions * (end - start), end)
