"""A hash background on a CPU: tiles of whole rays, from distances to opacities and colours, and back to table and layers.

No two threads write to the same address and every sum has one order, so the numbers are the same to the bit whatever the number of
threads. Differentiable once, in everything but rays and distances.
"""

import math
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from neus.kernels.fused_step.cpu.gemm_microkernel import COLUMNS
from neus.kernels.fused_step.cpu.matmul import ONE, ZERO, add_outer, add_row_sums, product
from neus.kernels.fused_step.cpu.step import N_PARTIAL_SUMS, TASKS_PER_THREAD, TILES_PER_TASK
from neus.kernels.fused_step.cpu.tile import TILE
from neus.kernels.hash_background.arguments import LEAK, SOFTPLUS_LINEAR_FROM, Layers
from neus.kernels.hash_encode.cpu import grid_of
from neus.kernels.hash_encode.hash_lookup import add_column, corners, gather_level, level_of
from neus.kernels.hash_encode.layout import Grid, GridLayout
from neus.kernels.jit import compiled, inlined
from neus.kernels.logistic.cpu import color_slope, phi
from neus.kernels.threads import n_threads, ranges, run_tasks

# Arguments before the table, without gradient.
N_CONSTANTS = 7
_LEAK, _LINEAR_FROM, _HALF = np.float32(LEAK), np.float32(SOFTPLUS_LINEAR_FROM), np.float32(0.5)


class _Rays(NamedTuple):
    """origins, directions (N, 3); middles and lengths of B intervals, t, deltas (N, B); codes (N, E'), the encoded directions."""

    origins: np.ndarray
    directions: np.ndarray
    t: np.ndarray
    deltas: np.ndarray
    codes: np.ndarray


class _Weights(NamedTuple):
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


class _Tile(NamedTuple):
    """Memory of one thread for a tile, (rows, T): what the layers give, and gradients; the ray of each sample, (T,).

    hidden units of the first layer are followed by the encoded direction.
    """

    hidden: np.ndarray
    out: np.ndarray
    rgb: np.ndarray
    grad_out: np.ndarray
    grad_hidden: np.ndarray
    ray: np.ndarray


class _Samples(NamedTuple):
    """Opacities (N, B) and colours (N, B, 3), or their gradients."""

    alphas: np.ndarray
    colors: np.ndarray


def alphas_and_colors(
    origins: Tensor,
    directions: Tensor,
    t: Tensor,
    deltas: Tensor,
    codes: Tensor,
    table: Tensor,
    layout: GridLayout,
    n_active: int,
    layers: Layers,
) -> tuple[Tensor, Tensor]:
    """Opacities (N, B) and colours (N, B, 3) of intervals of rays; all float32.

    Args:
        origins, directions: (N, 3).
        t, deltas: (N, B), middles and lengths of the intervals.
        codes: (N, E'), encoded directions.
        table, layout, n_active: the grid, as of `hash_encode.encode`.
        layers: those over the grid.
    """
    return _AlphasAndColors.apply(layout, n_active, origins, directions, t, deltas, codes, table, *layers)


class _AlphasAndColors(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, layout: GridLayout, n_active: int, *tensors: Tensor) -> tuple[Tensor, Tensor]:
        arrays = [np.ascontiguousarray(tensor.detach().numpy()) for tensor in tensors]
        rays, table, layers = _Rays(*arrays[:5]), arrays[5], arrays[6:]
        weights = _Weights(*layers, *(np.ascontiguousarray(layers[i].T) for i in (0, 2, 4)))
        grid, shape = grid_of(table, layout, n_active), rays.t.shape
        samples = _Samples(np.empty(shape, np.float32), np.empty((*shape, 3), np.float32))
        rays_per_tile = max(1, TILE // max(1, shape[1]))
        n_tiles, keeps = -(-len(rays.t) // rays_per_tile), any(ctx.needs_input_grad)
        n_columns = -(-rays_per_tile * shape[1] // COLUMNS) * COLUMNS
        size = weights.first.shape[1], n_columns
        # Points and features are kept: reading the table again would take longer than the layers do.
        kept = np.empty((n_tiles if keeps else 0, *size), np.float32)

        def evaluate(start: int, stop: int) -> None:
            inputs = kept[start:stop] if keeps else np.empty((stop - start, *size), np.float32)
            _evaluate_tiles(grid, weights, rays, inputs, _tile(weights, n_columns), start, rays_per_tile, samples)

        run_tasks(evaluate, ranges(n_tiles, TILES_PER_TASK))
        ctx.state = rays, grid, weights, kept, samples, rays_per_tile
        return tuple(torch.from_numpy(array) for array in samples)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *cotangents: Tensor) -> tuple[Tensor | None, ...]:
        rays, grid, weights, inputs, samples, rays_per_tile = ctx.state
        given = _Samples(*(np.ascontiguousarray(tensor.numpy()) for tensor in cotangents))
        sums = [np.zeros((N_PARTIAL_SUMS, *array.shape), np.float32) for array in weights[:6]]
        grad_table, grad_inputs = np.zeros_like(grid.table), np.empty_like(inputs)

        def pull(start: int, stop: int) -> None:
            tile = _tile(weights, inputs.shape[2])
            for i in range(start, stop):
                sum_of = _Weights(*(array[i] for array in sums), *weights[6:])
                _pull_tiles(weights, rays, inputs, tile, i, rays_per_tile, samples, given, sum_of, grad_inputs)

        def scatter(level: int) -> None:
            _scatter(grid._replace(table=grad_table), level, inputs, grad_inputs, rays_per_tile * rays.t.shape[1], rays.t.size)

        run_tasks(pull, ranges(N_PARTIAL_SUMS, -(-N_PARTIAL_SUMS // (TASKS_PER_THREAD * n_threads()))))
        # The finest first: they take longest.
        run_tasks(scatter, [(level,) for level in reversed(range(len(grid.resolutions)))])
        gradients = grad_table, *(array.sum(axis=0) for array in sums)
        return *[None] * N_CONSTANTS, *(torch.from_numpy(array) for array in gradients)


def _tile(weights: _Weights, n_columns: int) -> _Tile:
    """Zeros, which gradients of rows that only fill up a block stay, and codes too."""
    n_hidden, (n_out, n_second) = weights.first.shape[0], weights.second.shape
    rows = n_second, n_out, weights.last.shape[0], n_out, n_hidden
    return _Tile(*(np.zeros((count, n_columns), np.float32) for count in rows), np.zeros(n_columns, np.int64))


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
            scale = (ONE - _HALF * inverse) * inverse
            inputs[0, i], inputs[1, i], inputs[2, i] = scale * x, scale * y, scale * z


@compiled
def _evaluate_tiles(
    grid: Grid,
    weights: _Weights,
    rays: _Rays,
    inputs: np.ndarray,
    tile: _Tile,
    start: int,
    rays_per_tile: int,
    samples: _Samples,
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
def _pull_tiles(
    weights: _Weights,
    rays: _Rays,
    kept: np.ndarray,
    tile: _Tile,
    partial_sum: int,
    rays_per_tile: int,
    samples: _Samples,
    given: _Samples,
    sums: _Weights,
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
def _scatter(grid, index, inputs, grad_inputs, samples_per_tile, n_samples):
    """Adds up the gradient of one level's rows of the table, which `grid` has in place of the table itself."""
    flat, n_features, level = grid.table.reshape(grid.table.size), grid.table.shape[1], level_of(grid, index)
    for tile in range(inputs.shape[0]):
        rows, grads = inputs[tile], grad_inputs[tile]
        for i in range(min(samples_per_tile, n_samples - tile * samples_per_tile)):
            at, places, _ = corners(level, rows[0, i], rows[1, i], rows[2, i])
            add_column(flat, at, places, grads, 3 + index * n_features, i, n_features)
