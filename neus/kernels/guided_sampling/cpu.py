"""Marching on a CPU: a compiled loop over rays with the signature of `reference`, whose docstrings hold here too.

Rays are independent of each other, so the numbers are the same to the bit whatever the number of threads.
"""

import numpy as np
import torch
from numba import njit
from torch import Tensor

from neus.kernels.guided_sampling.reference import (
    FARTHEST,
    MAX_STEP,
    MAX_STEPS,
    MIN_STEP_IN_VOXELS,
    NOTHING_MET,
    STEP_FRACTION,
    UNIFORM_WIDTH,
)
from neus.kernels.logistic.cpu import exact_alpha
from neus.kernels.threads import ranges, run_tasks
from neus.kernels.trilinear.cpu import trilinear

RAYS_PER_TASK = 128
_compiled = njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})


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
    """Edges (N, K + 1) and minimum distance (N,); see `reference.guided_intervals`."""
    rays = tuple(_array(tensor) for tensor in (origins, directions, near, far))
    grid, jitter_array = _array(distances.to(origins.dtype)), _array(jitter.to(origins.dtype))
    edges, min_sdf = np.empty_like(jitter_array), np.empty_like(rays[2])
    # In the type of the rays, lest one factor in double precision turn all into it.
    numbers = (
        MIN_STEP_IN_VOXELS * 2.0 / (len(grid) - 1),
        MAX_STEP,
        STEP_FRACTION,
        1.0 / UNIFORM_WIDTH,
        FARTHEST,
        float(sharpness),
    )
    constants = np.array(numbers, edges.dtype)

    def some(start: int, stop: int) -> None:
        _march(rays, grid, constants, float(uniform_fraction), jitter_array, start, stop, edges, min_sdf)

    run_tasks(some, ranges(len(edges), RAYS_PER_TASK))
    return torch.from_numpy(edges), torch.from_numpy(min_sdf)


def _array(tensor: Tensor) -> np.ndarray:
    return np.ascontiguousarray(tensor.detach().numpy())


@_compiled
def _sdf_at(x, y, z, grid, farthest):
    """Trilinear signed distance at a point, within [-FARTHEST, FARTHEST]."""
    sdf = trilinear(grid, x, y, z)
    # Written so that NaN is far too.
    return max(sdf, -farthest) if sdf <= farthest else farthest


@_compiled
def _traverse(origin, direction, near, far, grid, constants, one, ts, weights, uniform_masses):
    """Fills vertices ts and both measures of the pieces between them.

    Returns:
        number of pieces, sums of weights and spread in double precision, least signed distance.
    """
    min_step, max_step, quantile, per_width, farthest, sharpness = constants
    t = ts[0] = near
    sdf = _sdf_at(
        origin[0] + direction[0] * t, origin[1] + direction[1] * t, origin[2] + direction[2] * t, grid, farthest
    )
    least, light, closeness = sdf, one, one / (one + (sdf * per_width) * (sdf * per_width))
    opacity, total_spread, n = 0.0, 0.0, 0
    while n < MAX_STEPS and t < far:
        left = MAX_STEPS - n
        step = max(min(max(quantile * abs(sdf), min_step), max_step), (far - t) / ts.dtype.type(left))
        t_next = min(t + step, far) if left > 1 else far
        sdf_next = _sdf_at(
            origin[0] + direction[0] * t_next,
            origin[1] + direction[1] * t_next,
            origin[2] + direction[2] * t_next,
            grid,
            farthest,
        )
        alpha = exact_alpha(sdf, sdf_next, sharpness)
        weights[n] = alpha * light
        light *= one - alpha
        closeness_next = one / (one + (sdf_next * per_width) * (sdf_next * per_width))
        uniform_masses[n] = (closeness + closeness_next) * (t_next - t)
        opacity += weights[n]
        total_spread += uniform_masses[n]
        t, sdf, closeness, least = t_next, sdf_next, closeness_next, min(least, sdf_next)
        n += 1
        ts[n] = t
    return n, opacity, total_spread, least


@_compiled
def _march(rays, grid, constants, uniform_fraction, jitter, start, stop, edges, min_sdf):
    """Fills edges and minimum distance of rays start ... stop."""
    origins, directions, near, far = rays
    one = near.dtype.type(1)
    ts, weights = np.empty(MAX_STEPS + 1, near.dtype), np.empty(MAX_STEPS, near.dtype)
    uniform_masses = np.empty(MAX_STEPS, near.dtype)
    n_edges = jitter.shape[1]
    for m in range(start, stop):
        if not far[m] > near[m]:
            edges[m], min_sdf[m] = near[m], NOTHING_MET
            continue
        n, opacity, total_spread, min_sdf[m] = _traverse(
            origins[m], directions[m], near[m], far[m], grid, constants, one, ts, weights, uniform_masses
        )
        proposal_fraction = (1.0 - (1.0 - uniform_fraction) * opacity) / total_spread
        # Edges and pieces are gone through together, since both ascend.
        piece, reached = 0, 0.0
        mass = (1.0 - uniform_fraction) * weights[0] + proposal_fraction * uniform_masses[0]
        for k in range(n_edges):
            quantile = (ts.dtype.type(k) + jitter[m, k]) / ts.dtype.type(n_edges)
            while piece < n - 1 and reached + mass < quantile:
                reached += mass
                piece += 1
                mass = (1.0 - uniform_fraction) * weights[piece] + proposal_fraction * uniform_masses[piece]
            fraction = ts.dtype.type(min(max((quantile - reached) / max(mass, 1e-300), 0.0), 1.0))
            edges[m, k] = min(ts[piece] + fraction * (ts[piece + 1] - ts[piece]), ts[piece + 1])
