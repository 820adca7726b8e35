"""Tiles through all stages, one after another, from rays to pixels and gradients."""

import numpy as np

from neus.kernels.fused_step.arguments import (
    Gradients,
    Grid,
    Networks,
    Pixels,
    Places,
    Rays,
    Samples,
    Scales,
    SurfaceWeights,
)
from neus.kernels.fused_step.cpu.color import color_backward, color_forward
from neus.kernels.fused_step.cpu.curvature import lose_curvature, place_beside
from neus.kernels.fused_step.cpu.products import ONE, ZERO, compiled
from neus.kernels.fused_step.cpu.rays import draw, lose, place_samples, weigh
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
    networks: Networks, rays: Rays, scales: Scales, tile: Tile, first_ray: int, n_rays: int, pixels: Pixels
) -> int:
    """The pixels of a tile's rays; returns how many samples were seen."""
    n_sections, surface = rays.edges.shape[1] - 1, networks.surface
    place_samples(rays, scales, tile, first_ray, n_rays)
    surface_forward(networks.grid, surface, tile, n_rays * n_sections)
    n_seen = weigh(rays, scales, tile, first_ray, n_rays)
    color_forward(
        networks.color_grid, networks.color, tile, surface.n_features, rays.color_bias, first_ray, n_sections, n_seen
    )
    draw(rays, tile, first_ray, n_rays, pixels)
    return n_seen


@compiled
def train_tile(
    networks: Networks,
    rays: Rays,
    scales: Scales,
    tile: Tile,
    beside: Tile,
    first_ray: int,
    n_rays: int,
    pixels: Pixels,
    samples: Samples,
    gradients: Gradients,
) -> None:
    """Pixels, losses and gradients of a tile's rays; leaves in `samples` what the table's gradient needs.

    `beside` is a small tile of a sample for each ray, for the curvature.
    """
    n_seen = render_tile(networks, rays, scales, tile, first_ray, n_rays, pixels)
    n_sections, surface = rays.edges.shape[1] - 1, networks.surface
    n, at = n_rays * n_sections, first_ray * n_sections
    _clear(tile.grad_out, n)
    _clear(tile.grad_normals, n)
    lose(rays, scales, tile, first_ray, n_rays, pixels, gradients.sums)
    color_backward(networks.color, tile, surface.n_features, pixels.grad_color_bias, gradients, n_seen)
    if len(rays.beside) > 0:
        place_beside(rays, scales, tile, beside, first_ray, n_rays)
        surface_forward(networks.grid, surface, beside, n_rays)
        lose_curvature(scales, tile, beside, n_rays, gradients.sums)
        _clear(beside.grad_out, n_rays)
        surface_backward(surface, beside, gradients, n_rays)
        last = rays.edges.shape[0] * n_sections
        _note_samples(beside, samples, surface.n_features, last + first_ray, n_rays, 0)
    surface_backward(surface, tile, gradients, n)
    _note_samples(tile, samples, surface.n_features, at, n, n_seen)


@compiled
def _note_samples(tile: Tile, samples: Samples, n_features: int, first: int, n: int, n_seen: int) -> None:
    """Copies what the tables' gradients need, row by row: the rows of `samples` lie too far apart to be written side by side."""
    for i in range(n):
        samples.sdf[first + i] = tile.out[0, i]
        samples.is_seen[first + i] = tile.place[i] >= 0
    for axis in range(3):
        _copy(tile.inputs[axis], samples.points[axis], first, n)
        _copy(tile.normals[axis], samples.normals[axis], first, n)
        _copy(tile.grad_normals[axis], samples.grad_normals[axis], first, n)
    for c in range(samples.cotangents.shape[0]):
        _copy(tile.cotangents[3 + c], samples.cotangents[c], first, n)
        _copy(tile.grad_inputs[3 + c], samples.grad_features[c], first, n)
    for c in range(samples.grad_color_features.shape[0] if n_seen > 0 else 0):
        source, to = tile.grad_color_inputs[6 + n_features + c], samples.grad_color_features[c]
        for m in range(n_seen):
            to[first + tile.seen[m]] = source[m]


@compiled
def _copy(source, to, first, n):
    for i in range(n):
        to[first + i] = source[i]


@compiled
def train_lanes(
    networks: Networks,
    rays: Rays,
    scales: Scales,
    tile: Tile,
    beside: Tile,
    first_lane: int,
    last_lane: int,
    rays_per_tile: int,
    pixels: Pixels,
    samples: Samples,
    gradients: Gradients,
) -> None:
    """Every n_lanes-th tile of each lane, up to and without the last lane, summed in that order into the lane's gradients.

    Gradients have the lanes as their first axis.
    """
    n_rays, n_lanes = rays.edges.shape[0], gradients.w1.shape[0]
    for lane in range(first_lane, last_lane):
        mine = Gradients(
            gradients.w1[lane],
            gradients.b1[lane],
            gradients.w2[lane],
            gradients.b2[lane],
            gradients.first[lane],
            gradients.hidden[lane],
            gradients.hidden_b[lane],
            gradients.last[lane],
            gradients.last_b[lane],
            gradients.sums[lane],
        )
        for first_ray in range(lane * rays_per_tile, n_rays, n_lanes * rays_per_tile):
            n = min(rays_per_tile, n_rays - first_ray)
            train_tile(networks, rays, scales, tile, beside, first_ray, n, pixels, samples, mine)


@compiled
def render_range(
    networks: Networks,
    rays: Rays,
    scales: Scales,
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
    places: Places,
    tile: Tile,
    start: int,
    stop: int,
    rays_per_tile: int,
    rgb: np.ndarray,
    normals: np.ndarray,
) -> None:
    """Mean colours and gradients of the places of rays start ... stop, a tile at a time."""
    for first_ray in range(start, stop, rays_per_tile):
        shade_tile(networks, places, tile, first_ray, min(rays_per_tile, stop - first_ray), rgb, normals)


@compiled
def shade_tile(
    networks: Networks,
    places: Places,
    tile: Tile,
    first_ray: int,
    n_rays: int,
    rgb: np.ndarray,
    normals: np.ndarray,
) -> None:
    """Mean colours and gradients of the places of a tile's rays."""
    n_places, surface = places.t.shape[1], networks.surface
    n, share = n_rays * n_places, ONE / np.float32(n_places)
    for i in range(n):
        ray = first_ray + i // n_places
        t = places.t[ray, i % n_places]
        tile.seen[i] = i
        for axis in range(3):
            tile.inputs[axis, i] = places.origins[ray, axis] + t * places.directions[ray, axis]
    surface_forward(networks.grid, surface, tile, n)
    color_forward(
        networks.color_grid, networks.color, tile, surface.n_features, places.color_bias, first_ray, n_places, n
    )
    for r in range(n_rays):
        for channel in range(3):
            color, slope = ZERO, ZERO
            for i in range(r * n_places, (r + 1) * n_places):
                color += tile.rgb[channel, i]
                slope += tile.normals[channel, i]
            rgb[first_ray + r, channel], normals[first_ray + r, channel] = color * share, slope * share


@compiled
def distance_lane(
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
