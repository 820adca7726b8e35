"""Tiles through all stages, one after another, from rays to pixels and gradients."""

import numpy as np

from neus.kernels.fused_step.arguments import (
    Gradients,
    Grid,
    Networks,
    Pixels,
    Rays,
    Samples,
    ShellSamplesArguments,
    StepConstants,
    SurfaceWeights,
)
from neus.kernels.fused_step.cpu.color import color_backward, color_forward
from neus.kernels.fused_step.cpu.curvature import curvature_gradients, offset_samples
from neus.kernels.fused_step.cpu.matmul import ONE, ZERO, compiled
from neus.kernels.fused_step.cpu.rays import composite, compute_weights, loss_and_gradient, sample_points
from neus.kernels.fused_step.cpu.surface import distance_forward, surface_backward, surface_forward
from neus.kernels.fused_step.cpu.tile import Tile


@compiled
def _clear(rows, n):
    for j in range(rows.shape[0]):
        row = rows[j]
        for i in range(n):
            row[i] = ZERO


@compiled
def render_tile(
    networks: Networks, rays: Rays, scales: StepConstants, tile: Tile, first_ray: int, n_rays: int, pixels: Pixels
) -> int:
    """The pixels of a tile's rays; returns how many samples were visible."""
    n_intervals, surface = rays.edges.shape[1] - 1, networks.surface
    sample_points(rays, scales, tile, first_ray, n_rays)
    surface_forward(networks.grid, surface, tile, n_rays * n_intervals)
    n_visible = compute_weights(rays, scales, tile, first_ray, n_rays)
    color_forward(
        networks.color_grid, networks.color, tile, surface.n_features, rays.color_bias, first_ray, n_intervals, n_visible
    )
    composite(rays, tile, first_ray, n_rays, pixels)
    return n_visible


@compiled
def train_tile(
    networks: Networks,
    rays: Rays,
    scales: StepConstants,
    tile: Tile,
    offsets: Tile,
    first_ray: int,
    n_rays: int,
    pixels: Pixels,
    samples: Samples,
    gradients: Gradients,
) -> None:
    """Pixels, losses and gradients of a tile's rays; leaves in `samples` what the table's gradient needs.

    `beside` is a small tile of a sample for each ray, for the curvature.
    """
    n_visible = render_tile(networks, rays, scales, tile, first_ray, n_rays, pixels)
    n_intervals, surface = rays.edges.shape[1] - 1, networks.surface
    n, at = n_rays * n_intervals, first_ray * n_intervals
    _clear(tile.grad_out, n)
    _clear(tile.grad_normals, n)
    loss_and_gradient(rays, scales, tile, first_ray, n_rays, pixels, gradients.sums)
    color_backward(networks.color, tile, surface.n_features, pixels.grad_color_bias, gradients, n_visible)
    if len(rays.offsets) > 0:
        offset_samples(rays, scales, tile, offsets, first_ray, n_rays)
        surface_forward(networks.grid, surface, offsets, n_rays)
        curvature_gradients(scales, tile, offsets, n_rays, gradients.sums)
        _clear(offsets.grad_out, n_rays)
        surface_backward(surface, offsets, gradients, n_rays)
        last = rays.edges.shape[0] * n_intervals
        _record_samples(offsets, samples, surface.n_features, last + first_ray, n_rays, 0)
    surface_backward(surface, tile, gradients, n)
    _record_samples(tile, samples, surface.n_features, at, n, n_visible)


@compiled
def _record_samples(tile: Tile, samples: Samples, n_features: int, first: int, n: int, n_visible: int) -> None:
    """Copies what the tables' gradients need, row by row: the rows of `samples` lie too far apart to be written side by side."""
    for i in range(n):
        samples.sdf[first + i] = tile.out[0, i]
        samples.is_visible[first + i] = tile.place[i] >= 0
    for axis in range(3):
        _copy(tile.inputs[axis], samples.points[axis], first, n)
        _copy(tile.normals[axis], samples.normals[axis], first, n)
        _copy(tile.grad_normals[axis], samples.grad_normals[axis], first, n)
    for c in range(samples.cotangents.shape[0]):
        _copy(tile.cotangents[3 + c], samples.cotangents[c], first, n)
        _copy(tile.grad_inputs[3 + c], samples.grad_features[c], first, n)
    for c in range(samples.grad_color_features.shape[0] if n_visible > 0 else 0):
        source, to = tile.grad_color_inputs[6 + n_features + c], samples.grad_color_features[c]
        for m in range(n_visible):
            to[first + tile.visible[m]] = source[m]


@compiled
def _copy(source, to, first, n):
    for i in range(n):
        to[first + i] = source[i]


@compiled
def train_partial_sums(
    networks: Networks,
    rays: Rays,
    scales: StepConstants,
    tile: Tile,
    offsets: Tile,
    first_partial_sum: int,
    last_partial_sum: int,
    rays_per_tile: int,
    pixels: Pixels,
    samples: Samples,
    gradients: Gradients,
) -> None:
    """Every n_partial_sums-th tile of each lane, up to and without the last lane, summed in that order into the lane's gradients.

    Gradients have the lanes as their first axis.
    """
    n_rays, n_partial_sums = rays.edges.shape[0], gradients.w1.shape[0]
    for partial_sum in range(first_partial_sum, last_partial_sum):
        mine = Gradients(
            gradients.w1[partial_sum],
            gradients.b1[partial_sum],
            gradients.w2[partial_sum],
            gradients.b2[partial_sum],
            gradients.first[partial_sum],
            gradients.hidden[partial_sum],
            gradients.hidden_b[partial_sum],
            gradients.last[partial_sum],
            gradients.last_b[partial_sum],
            gradients.sums[partial_sum],
        )
        for first_ray in range(partial_sum * rays_per_tile, n_rays, n_partial_sums * rays_per_tile):
            n = min(rays_per_tile, n_rays - first_ray)
            train_tile(networks, rays, scales, tile, offsets, first_ray, n, pixels, samples, mine)


@compiled
def render_range(
    networks: Networks,
    rays: Rays,
    scales: StepConstants,
    tile: Tile,
    start: int,
    stop: int,
    rays_per_tile: int,
    pixels: Pixels,
) -> None:
    """Pixels of rays start ... stop, a tile at a time."""
    for first_ray in range(start, stop, rays_per_tile):
        render_tile(networks, rays, scales, tile, first_ray, min(rays_per_tile, stop - first_ray), pixels)


@compiled
def shade_range(
    networks: Networks,
    sample_points: ShellSamplesArguments,
    tile: Tile,
    start: int,
    stop: int,
    rays_per_tile: int,
    rgb: np.ndarray,
    normals: np.ndarray,
) -> None:
    """Mean colours and gradients of the points of rays start ... stop, a tile at a time."""
    for first_ray in range(start, stop, rays_per_tile):
        shade_tile(networks, sample_points, tile, first_ray, min(rays_per_tile, stop - first_ray), rgb, normals)


@compiled
def shade_tile(
    networks: Networks,
    sample_points: ShellSamplesArguments,
    tile: Tile,
    first_ray: int,
    n_rays: int,
    rgb: np.ndarray,
    normals: np.ndarray,
) -> None:
    """Mean colours and gradients of the points of a tile's rays."""
    n_samples, surface = sample_points.t.shape[1], networks.surface
    n, fraction = n_rays * n_samples, ONE / np.float32(n_samples)
    for i in range(n):
        ray = first_ray + i // n_samples
        t = sample_points.t[ray, i % n_samples]
        tile.visible[i] = i
        for axis in range(3):
            tile.inputs[axis, i] = sample_points.origins[ray, axis] + t * sample_points.directions[ray, axis]
    surface_forward(networks.grid, surface, tile, n)
    color_forward(
        networks.color_grid, networks.color, tile, surface.n_features, sample_points.color_bias, first_ray, n_samples, n
    )
    for r in range(n_rays):
        for channel in range(3):
            color, slope = ZERO, ZERO
            for i in range(r * n_samples, (r + 1) * n_samples):
                color += tile.rgb[channel, i]
                slope += tile.normals[channel, i]
            rgb[first_ray + r, channel], normals[first_ray + r, channel] = color * fraction, slope * fraction


@compiled
def sdf_partial_sum(
    grid: Grid, surface: SurfaceWeights, tile: Tile, points: np.ndarray, start: int, stop: int, out: np.ndarray
) -> None:
    """Signed distances of points start ... stop, a tile at a time."""
    size = tile.t.shape[0]
    for first in range(start, stop, size):
        n = min(size, stop - first)
        for axis in range(3):
            for i in range(n):
                tile.inputs[axis, i] = points[first + i, axis]
        distance_forward(grid, surface, tile, n)
        for i in range(n):
            out[first + i] = tile.out[0, i]
