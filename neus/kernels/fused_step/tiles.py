"""Lanes of tiles: a tile is a few rays whose samples stay in the nearest cache from encoding to gradient."""

from typing import NamedTuple

import numpy as np

from neus.kernels.fused_step.color import color_backward, color_forward
from neus.kernels.fused_step.products import ZERO, compiled
from neus.kernels.fused_step.rays import draw, lose, place_samples, weigh
from neus.kernels.fused_step.surface import distance_forward, surface_backward, surface_forward

# Samples of a tile: their activations fill about half of a core's second cache.
TILE = 128


class Tile(NamedTuple):
    """Everything known of T samples: rows are channels. The inputs' first three rows are the points."""

    inputs: np.ndarray
    jacobian: np.ndarray
    hidden: np.ndarray
    slope: np.ndarray
    bend: np.ndarray
    pulled: np.ndarray
    out: np.ndarray
    cotangents: np.ndarray
    normals: np.ndarray
    grad_inputs: np.ndarray
    grad_cotangents: np.ndarray
    grad_hidden: np.ndarray
    grad_pulled: np.ndarray
    grad_out: np.ndarray
    grad_normals: np.ndarray
    color_inputs: np.ndarray
    color_hidden: np.ndarray
    rgb: np.ndarray
    grad_color_inputs: np.ndarray
    grad_color: np.ndarray
    grad_rgb: np.ndarray
    mean_rgb: np.ndarray
    t: np.ndarray
    deltas: np.ndarray
    cosines: np.ndarray
    drops: np.ndarray
    at_start: np.ndarray
    at_end: np.ndarray
    alphas: np.ndarray
    passing: np.ndarray
    weights: np.ndarray
    place: np.ndarray
    seen: np.ndarray


def empty_tile(n: int, n_channels: int, surface, color) -> Tile:
    """A tile for n samples; rows beyond the true channels are zero and stay so."""

    def rows(*shape: int) -> np.ndarray:
        return np.zeros((*shape, n), np.float32)

    d_in, d_hidden, d_out = surface.w1.shape[1], surface.w1.shape[0], surface.w2.shape[0]
    e, d_color, n_hidden = color.first.shape[1], color.first.shape[0], color.hidden.shape[0]
    of_inputs = [rows(d_in), rows(n_channels, 3)]
    of_layers = [rows(d_hidden) for _ in range(4)]
    forward = [*of_inputs, *of_layers, rows(d_out), rows(d_in), rows(3)]
    backward = [rows(d_in), rows(d_in), rows(d_hidden), rows(d_hidden), rows(d_out), rows(3)]
    colors = [rows(e), rows(n_hidden + 1, d_color), rows(4), rows(e), rows(2, d_color), rows(4), rows(3)]
    of_sections = [rows() for _ in range(9)]
    return Tile(*forward, *backward, *colors, *of_sections, np.zeros(n, np.int64), np.zeros(n, np.int64))


@compiled
def _clear(rows, n):
    for j in range(rows.shape[0]):
        row = rows[j]
        for i in range(n):
            row[i] = ZERO


@compiled
def render_tile(grid, color_grid, surface, color, rays, scales, tile, first_ray, n_rays, pixels):
    """The pixels of a tile's rays; returns how many samples were seen."""
    n_sections = rays.edges.shape[1] - 1
    place_samples(rays, tile, first_ray, n_rays)
    surface_forward(grid, surface, tile, n_rays * n_sections)
    n_seen = weigh(rays, scales, tile, first_ray, n_rays)
    color_forward(color_grid, color, tile, surface.n_features, rays.color_bias, first_ray, n_sections, n_seen)
    draw(rays, tile, first_ray, n_rays, pixels)
    return n_seen


@compiled
def train_tile(grid, color_grid, surface, color, rays, scales, tile, first_ray, n_rays, pixels, samples, gradients):
    """Pixels, losses and gradients of a tile's rays; leaves in `samples` what the table's gradient needs."""
    n_seen = render_tile(grid, color_grid, surface, color, rays, scales, tile, first_ray, n_rays, pixels)
    n_sections = rays.edges.shape[1] - 1
    n, at = n_rays * n_sections, first_ray * n_sections
    _clear(tile.grad_out, n)
    _clear(tile.grad_normals, n)
    lose(rays, scales, tile, first_ray, n_rays, pixels, gradients.sums)
    color_backward(color, tile, surface.n_features, pixels.grad_color_bias, first_ray, n_sections, gradients, n_seen)
    surface_backward(surface, tile, gradients, n)
    for i in range(n):
        samples.sdf[at + i] = tile.out[0, i]
        m = tile.place[i]
        samples.is_seen[at + i] = m >= 0
        if m >= 0:
            for c in range(samples.grad_color_features.shape[0]):
                samples.grad_color_features[c, at + i] = tile.grad_color_inputs[6 + surface.n_features + c, m]
    for axis in range(3):
        for i in range(n):
            samples.points[axis, at + i] = tile.inputs[axis, i]
            samples.normals[axis, at + i] = tile.normals[axis, i]
            samples.grad_normals[axis, at + i] = tile.grad_normals[axis, i]
    for c in range(samples.cotangents.shape[0]):
        for i in range(n):
            samples.cotangents[c, at + i] = tile.cotangents[3 + c, i]
            samples.grad_features[c, at + i] = tile.grad_inputs[3 + c, i]


@compiled
def train_lane(
    grid, color_grid, surface, color, rays, scales, tile, lane, n_lanes, rays_per_tile, pixels, samples, gradients
):
    """Every n_lanes-th tile, one after another, summed in that order."""
    n_rays = rays.edges.shape[0]
    for first_ray in range(lane * rays_per_tile, n_rays, n_lanes * rays_per_tile):
        n = min(rays_per_tile, n_rays - first_ray)
        train_tile(grid, color_grid, surface, color, rays, scales, tile, first_ray, n, pixels, samples, gradients)


@compiled
def render_lane(grid, color_grid, surface, color, rays, scales, tile, lane, n_lanes, rays_per_tile, pixels):
    """Pixels of every n_lanes-th tile."""
    n_rays = rays.edges.shape[0]
    for first_ray in range(lane * rays_per_tile, n_rays, n_lanes * rays_per_tile):
        n = min(rays_per_tile, n_rays - first_ray)
        render_tile(grid, color_grid, surface, color, rays, scales, tile, first_ray, n, pixels)


@compiled
def distance_lane(grid, surface, tile, points, start, stop, out):
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
