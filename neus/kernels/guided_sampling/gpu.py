"""Marching on a GPU, by Triton: the signature of `reference`, whose docstring holds here too. In single precision.

A first kernel traces blocks of rays and leaves the running sums of both measures; a second one finds each edge by bisection
in those. Rays are independent of each other, so the numbers are the same every time.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from neus.kernels.async_copy import to_device_async
from neus.kernels.guided_sampling.reference import (
    FARTHEST,
    MAX_STEP,
    MAX_STEPS,
    MIN_STEP_IN_VOXELS,
    NOTHING_MET,
    STEP_FRACTION,
    UNIFORM_WIDTH,
)
from neus.kernels.launch import blocks, launch, power_of_two, program_size
from neus.kernels.logistic.gpu import exact_alpha
from neus.kernels.trilinear.gpu import trilinear

# Rays traced together, for as long as the longest of them takes; and edges found together.
RAYS, EDGES = program_size(32), program_size(256)
# Bisections that find one piece among all steps of a ray.
_BISECTIONS = tl.constexpr(power_of_two(MAX_STEPS).bit_length())
_MAX_STEPS, _MAX_STEP, _STEP_FRACTION = (tl.constexpr(value) for value in (MAX_STEPS, MAX_STEP, STEP_FRACTION))
_PER_WIDTH, _FARTHEST, _NOTHING_MET = (tl.constexpr(value) for value in (1.0 / UNIFORM_WIDTH, FARTHEST, NOTHING_MET))


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
    """Edges (N, K + 1) and minimum distance (N,); see `reference.guided_intervals`."""
    rays = [tensor.float().contiguous() for tensor in (origins, directions, near, far)]
    grid, quantiles = distances.float().contiguous(), jitter.float().contiguous()
    n_rays, n_edges = quantiles.shape
    edges, min_sdf = torch.empty_like(quantiles), torch.empty_like(rays[2])
    # Pieces of a ray are a column, so that neighbouring rays write to neighbouring addresses.
    ts = min_sdf.new_empty(MAX_STEPS + 1, n_rays)
    opacity, uniform_mass = (torch.empty_like(ts[:-1], dtype=torch.float64) for _ in range(2))
    n_pieces = torch.empty_like(min_sdf, dtype=torch.int32)
    n_cells = len(grid) - 1
    traversal = ts, opacity, uniform_mass, n_pieces
    # From the GPU's memory, where it may have been computed.
    sharpness_at = to_device_async(torch.as_tensor(sharpness, dtype=torch.float32), grid.device)
    numbers = n_rays, n_cells, MIN_STEP_IN_VOXELS * 2.0 / n_cells
    launch(_traverse, (blocks(n_rays, RAYS),), *rays, grid, *traversal, min_sdf, sharpness_at, *numbers, BLOCK=RAYS, num_warps=1)
    sizes = n_rays, n_edges, float(uniform_fraction)
    launch(_place_edges, (blocks(n_rays * n_edges, EDGES),), *traversal, rays[2], quantiles, edges, *sizes, BLOCK=EDGES)
    return edges.to(origins.dtype), min_sdf.to(origins.dtype)


@triton.jit
def _sdf_at(x, y, z, grid, n_cells, is_asked):
    """Trilinear signed distances at points, within [-FARTHEST, FARTHEST]."""
    sdf = trilinear(grid, x, y, z, n_cells, is_asked)
    # Written so that NaN is far too.
    return tl.where(sdf <= _FARTHEST, tl.where(sdf >= -_FARTHEST, sdf, -_FARTHEST), _FARTHEST)


@triton.jit
def _closeness(sdf):
    return 1.0 / (1.0 + (sdf * _PER_WIDTH) * (sdf * _PER_WIDTH))


@triton.jit(do_not_specialize=["n_rays", "n_cells"])
def _traverse(
    origins, directions, nears, fars, grid, ts, opacities, uniform_masses, n_pieces, min_sdf, sharpness_at,
    n_rays, n_cells, min_step, BLOCK: tl.constexpr,
):  # fmt: skip
    """Fills vertices ts (W + 1, N), running sums of both measures (W, N), numbers of pieces and min_sdf (N,) of a block of rays."""
    ray = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    here = ray < n_rays
    ox, oy, oz = (
        tl.load(origins + ray * 3, mask=here, other=0.0),
        tl.load(origins + ray * 3 + 1, mask=here, other=0.0),
        tl.load(origins + ray * 3 + 2, mask=here, other=0.0),
    )
    dx, dy, dz = (
        tl.load(directions + ray * 3, mask=here, other=0.0),
        tl.load(directions + ray * 3 + 1, mask=here, other=0.0),
        tl.load(directions + ray * 3 + 2, mask=here, other=0.0),
    )
    t, far = tl.load(nears + ray, mask=here, other=0.0), tl.load(fars + ray, mask=here, other=0.0)
    is_walking, sharpness = here & (t < far), tl.load(sharpness_at)
    tl.store(ts + ray, t, mask=here)
    sdf = _sdf_at(ox + dx * t, oy + dy * t, oz + dz * t, grid, n_cells, is_walking)
    least, light, closeness = (
        tl.where(is_walking, sdf, _NOTHING_MET),
        tl.full([BLOCK], 1.0, tl.float32),
        _closeness(sdf),
    )
    # Double precision: fractions of the sum are needed to single precision.
    opacity, uniform_mass = tl.zeros([BLOCK], tl.float64), tl.zeros([BLOCK], tl.float64)
    count, taken = tl.zeros([BLOCK], tl.int32), 0
    while tl.max(is_walking.to(tl.int32), 0) > 0:
        left = _MAX_STEPS - taken
        step = tl.minimum(tl.maximum(_STEP_FRACTION * tl.abs(sdf), min_step), _MAX_STEP)
        step = tl.maximum(step, (far - t) / (left * 1.0))
        t_next = tl.where(left > 1, tl.minimum(t + step, far), far)
        sdf_next = _sdf_at(ox + dx * t_next, oy + dy * t_next, oz + dz * t_next, grid, n_cells, is_walking)
        alpha, closeness_next = exact_alpha(sdf, sdf_next, sharpness), _closeness(sdf_next)
        opacity += tl.where(is_walking, alpha * light, 0.0).to(tl.float64)
        uniform_mass += tl.where(is_walking, (closeness + closeness_next) * (t_next - t), 0.0).to(tl.float64)
        light = light * tl.where(is_walking, 1.0 - alpha, 1.0)
        least = tl.where(is_walking, tl.minimum(least, sdf_next), least)
        tl.store(opacities + taken * n_rays + ray, opacity, mask=is_walking)
        tl.store(uniform_masses + taken * n_rays + ray, uniform_mass, mask=is_walking)
        tl.store(ts + (taken + 1) * n_rays + ray, t_next, mask=is_walking)
        t, sdf, closeness = t_next, sdf_next, closeness_next
        count += is_walking.to(tl.int32)
        taken += 1
        is_walking = is_walking & (t < far)
    tl.store(n_pieces + ray, count, mask=here)
    tl.store(min_sdf + ray, least, mask=here)


@triton.jit(do_not_specialize=["n_rays", "n_edges"])
def _place_edges(ts, opacities, uniform_masses, n_pieces, nears, jitter, edges, n_rays, n_edges, uniform_fraction, BLOCK: tl.constexpr):
    """Fills a block of the edges (N, K + 1): where the mixture of both measures first reaches their quantiles."""
    edge = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    ray, k = edge // n_edges, edge % n_edges
    here = ray < n_rays
    n = tl.load(n_pieces + ray, mask=here, other=0)
    has_walk = here & (n > 0)
    last = (tl.maximum(n, 1) - 1).to(tl.int64) * n_rays + ray
    of_weights = tl.zeros([BLOCK], tl.float64) + (1.0 - uniform_fraction)
    opacity = tl.load(opacities + last, mask=has_walk, other=0.0)
    of_uniform = (1.0 - of_weights * opacity) / tl.load(uniform_masses + last, mask=has_walk, other=1.0)
    quantile = ((k.to(tl.float32) + tl.load(jitter + edge, mask=here, other=0.0)) / n_edges.to(tl.float32)).to(tl.float64)
    # The first piece at whose end the fraction is reached lies in low ... high.
    low, high = tl.zeros([BLOCK], tl.int32), tl.maximum(n, 1) - 1
    for _ in range(_BISECTIONS):
        middle = (low + high) // 2
        at = middle.to(tl.int64) * n_rays + ray
        reached = of_weights * tl.load(opacities + at, mask=has_walk, other=0.0)
        reached += of_uniform * tl.load(uniform_masses + at, mask=has_walk, other=0.0)
        is_reached = reached >= quantile
        high = tl.where(is_reached, middle, high)
        low = tl.where(is_reached, low, tl.minimum(middle + 1, high))
    at = low.to(tl.int64) * n_rays + ray
    end = of_weights * tl.load(opacities + at, mask=has_walk, other=0.0)
    end += of_uniform * tl.load(uniform_masses + at, mask=has_walk, other=0.0)
    has_before = has_walk & (low > 0)
    start = of_weights * tl.load(opacities + at - n_rays, mask=has_before, other=0.0)
    start += of_uniform * tl.load(uniform_masses + at - n_rays, mask=has_before, other=0.0)
    fraction = (quantile - start) / tl.maximum(end - start, 1e-300)
    fraction = tl.minimum(tl.maximum(fraction, 0.0), 1.0).to(tl.float32)
    t_start, t_end = tl.load(ts + at, mask=has_walk, other=0.0), tl.load(ts + at + n_rays, mask=has_walk, other=0.0)
    found = tl.minimum(t_start + fraction * (t_end - t_start), t_end)
    tl.store(edges + edge, tl.where(has_walk, found, tl.load(nears + ray, mask=here, other=0.0)), mask=here)
