"""Tiles of a hash background on a CPU: whole rays whose samples stay in the nearest cache from layer to layer."""

import math
from typing import NamedTuple

import numpy as np

from neus.kernels.fused_step.cpu.matmul import HALF, ONE, ZERO, add_outer, add_row_sums, product
from neus.kernels.fused_step.cpu.step import N_PARTIAL_SUMS
from neus.kernels.hash_background.arguments import LEAK, SOFTPLUS_LINEAR_FROM
from neus.kernels.hash_encode.hash_lookup import add_column, corners, gather_level, level_of
from neus.kernels.hash_encode.layout import Grid
from neus.kernels.jit import compiled, inlined
from neus.kernels.logistic.cpu import color_slope, phi

_LEAK, _LINEAR_FROM = np.float32(LEAK), np.float32(SOFTPLUS_LINEAR_FROM)


class Rays(NamedTuple):
    """origins, directions (N, 3); middles and lengths of B intervals, t, deltas (N, B); codes (N, E'), the encoded directions."""

    origins: np.ndarray
    directions: np.ndarray
    t: np.ndarray
    deltas: np.ndarray
    codes: np.ndarray


class Weights(NamedTuple):
    """`Layers` as arrays, and their transposes."""

    first: np.ndarray
    first_b: np.ndarray
    second: np.ndarray
    second_b: np.ndarray
    last: np.ndarray
    last_b: np.ndarray
    first_t: np.ndarray
    second_t: np.ndarray
    last_t: np.ndarray


class Tile(NamedTuple):
    """Memory of one thread for a tile, (rows, T): what the layers give, and gradients; the ray of each sample, (T,).

    hidden units of the first layer are followed by the encoded direction.
    """

    hidden: np.ndarray
    out: np.ndarray
    rgb: np.ndarray
    grad_out: np.ndarray
    grad_hidden: np.ndarray
    ray: np.ndarray


class Samples(NamedTuple):
    """Opacities (N, B) and colours (N, B, 3), or their gradients."""

    alphas: np.ndarray
    colors: np.ndarray


def empty_tile(weights: Weights, n_columns: int) -> Tile:
    """Zeros, which gradients of rows that only fill up a block stay, and codes too."""
    n_hidden, (n_out, n_second) = weights.first.shape[0], weights.second.shape
    rows = n_second, n_out, weights.last.shape[0], n_out, n_hidden
    return Tile(*(np.zeros((count, n_columns), np.float32) for count in rows), np.zeros(n_columns, np.int64))


@inlined
def _add_bias_and_leak(bias, rows, n_rows, n):
    for j in range(n_rows):
        row, b = rows[j], bias[j]
        for i in range(n):
            a = row[i] + b
            row[i] = max(a, _LEAK * a)


@inlined
def _pull_leak(rows, values, n_rows, n):
    for j in range(n_rows):
        row, value = rows[j], values[j]
        for i in range(n):
            row[i] = row[i] if value[i] > ZERO else _LEAK * row[i]


@compiled
def _contracted_points(rays, first_ray, n_rays, inputs):
    """Fills the first three rows with points of `contraction.contracted_ball`."""
    n_samples = rays.t.shape[1]
    for r in range(n_rays):
        ray = first_ray + r
        for k in range(n_samples):
            t, i = rays.t[ray, k], r * n_samples + k
            x = rays.origins[ray, 0] + rays.directions[ray, 0] * t
            y = rays.origins[ray, 1] + rays.directions[ray, 1] * t
            z = rays.origins[ray, 2] + rays.directions[ray, 2] * t
            inverse = ONE / max(math.sqrt(x * x + y * y + z * z), ONE)
            scale = (ONE - HALF * inverse) * inverse
            inputs[0, i], inputs[1, i], inputs[2, i] = scale * x, scale * y, scale * z


@compiled
def evaluate_tiles(
    grid: Grid,
    weights: Weights,
    rays: Rays,
    inputs: np.ndarray,
    tile: Tile,
    start: int,
    rays_per_tile: int,
    samples: Samples,
) -> None:
    """Samples of tiles from start on, whose points and features fill inputs (K, D, T).

    Level by level, so that the rows of one stay in the cache.
    """
    n_features, n_samples, n_rays = grid.table.shape[1], rays.t.shape[1], len(rays.t)
    for k in range(len(inputs)):
        first_ray = (start + k) * rays_per_tile
        _contracted_points(rays, first_ray, min(rays_per_tile, n_rays - first_ray), inputs[k])
        inputs[k, 3 + len(grid.resolutions) * n_features :] = ZERO
    for level in range(len(grid.resolutions)):
        for k in range(len(inputs)):
            n = min(rays_per_tile, n_rays - (start + k) * rays_per_tile) * n_samples
            gather_level(grid, level, inputs[k], 3 + level * n_features, n)
    for k in range(len(inputs)):
        first_ray = (start + k) * rays_per_tile
        n_rays_here = min(rays_per_tile, n_rays - first_ray)
        _evaluate_layers(weights, rays, inputs[k], tile, first_ray, n_rays_here)
        product(weights.last, tile.out, tile.rgb, n_rays_here * n_samples)
        _store_samples(weights, rays, tile, first_ray, n_rays_here, samples)


@compiled
def _evaluate_layers(weights, rays, inputs, tile, first_ray, n_rays):
    """Fills hidden and out of a tile."""
    n_samples, n_hidden = rays.t.shape[1], weights.first.shape[0]
    n, codes, ray_of = n_rays * n_samples, rays.codes, tile.ray
    for r in range(n_rays):
        ray_of[r * n_samples : (r + 1) * n_samples] = first_ray + r
    for c in range(codes.shape[1]):
        row = tile.hidden[n_hidden + c]
        for i in range(n):
            row[i] = codes[ray_of[i], c]
    product(weights.first, inputs, tile.hidden, n)
    _add_bias_and_leak(weights.first_b, tile.hidden, n_hidden, n)
    product(weights.second, tile.hidden, tile.out, n)
    _add_bias_and_leak(weights.second_b, tile.out, n_hidden, n)
    logits, bias = tile.out[n_hidden], weights.second_b[n_hidden]
    for i in range(n):
        logits[i] += bias


@compiled
def _store_samples(weights, rays, tile, first_ray, n_rays, samples):
    n_samples, logits = rays.t.shape[1], tile.out[weights.first.shape[0]]
    for r in range(n_rays):
        ray = first_ray + r
        for k in range(n_samples):
            i = r * n_samples + k
            logit = logits[i]
            density = logit if logit > _LINEAR_FROM else math.log1p(math.exp(logit))
            samples.alphas[ray, k] = -math.expm1(-density * rays.deltas[ray, k])
            for channel in range(3):
                samples.colors[ray, k, channel] = phi(tile.rgb[channel, i] + weights.last_b[channel])


@compiled
def pull_tiles(
    weights: Weights,
    rays: Rays,
    kept: np.ndarray,
    tile: Tile,
    partial_sum: int,
    rays_per_tile: int,
    samples: Samples,
    given: Samples,
    sums: Weights,
    grad_inputs: np.ndarray,
) -> None:
    """Gradients of every N_PARTIAL_SUMS-th tile, added to sums, and filled into grad_inputs of the tile."""
    n_hidden = weights.first.shape[0]
    for index in range(partial_sum, len(kept), N_PARTIAL_SUMS):
        inputs, first_ray = kept[index], index * rays_per_tile
        n_rays = min(rays_per_tile, len(rays.t) - first_ray)
        n = n_rays * rays.t.shape[1]
        _evaluate_layers(weights, rays, inputs, tile, first_ray, n_rays)
        _pull_samples(rays, tile, first_ray, n_rays, samples, given)
        add_outer(tile.rgb, tile.out, sums.last, n)
        add_row_sums(tile.rgb, sums.last_b, n)
        product(weights.last_t, tile.rgb, tile.grad_out, n)
        _pull_leak(tile.grad_out, tile.out, n_hidden, n)
        add_outer(tile.grad_out, tile.hidden, sums.second, n)
        add_row_sums(tile.grad_out, sums.second_b, n)
        product(weights.second_t[:n_hidden], tile.grad_out, tile.grad_hidden, n)
        _pull_leak(tile.grad_hidden, tile.hidden, n_hidden, n)
        add_outer(tile.grad_hidden, inputs, sums.first, n)
        add_row_sums(tile.grad_hidden, sums.first_b, n)
        product(weights.first_t, tile.grad_hidden, grad_inputs[index], n)


@compiled
def _pull_samples(rays, tile, first_ray, n_rays, samples, given):
    """From the gradients of opacities and colours to those of their logits, in rgb and in the density's row of grad_out."""
    n_samples, n_hidden = rays.t.shape[1], tile.grad_hidden.shape[0]
    logits, grad_logits = tile.out[n_hidden], tile.grad_out[n_hidden]
    for r in range(n_rays):
        ray = first_ray + r
        for k in range(n_samples):
            i = r * n_samples + k
            for channel in range(3):
                grad = given.colors[ray, k, channel]
                tile.rgb[channel, i] = grad * color_slope(samples.colors[ray, k, channel], grad)
            slope = ONE if logits[i] > _LINEAR_FROM else phi(logits[i])
            by_density = rays.deltas[ray, k] * (ONE - samples.alphas[ray, k])
            grad_logits[i] = given.alphas[ray, k] * by_density * slope


@compiled
def scatter(
    grid: Grid, index: int, inputs: np.ndarray, grad_inputs: np.ndarray, samples_per_tile: int, n_samples: int
) -> None:
    """Adds up the gradient of one level's rows of the table, which `grid` has in place of the table itself."""
    flat, n_features, level = grid.table.reshape(grid.table.size), grid.table.shape[1], level_of(grid, index)
    for tile in range(inputs.shape[0]):
        rows, grads = inputs[tile], grad_inputs[tile]
        for i in range(min(samples_per_tile, n_samples - tile * samples_per_tile)):
            at, places, _ = corners(level, rows[0, i], rows[1, i], rows[2, i])
            add_column(flat, at, places, grads, 3 + index * n_features, i, n_features)
