"""The colour network for those samples of a tile that are visible, and its backward pass."""

import math

import numpy as np

from neus.kernels.fused_step.arguments import ColorWeights, Gradients, Grid
from neus.kernels.fused_step.cpu.matmul import (
    ONE,
    ZERO,
    add_outer,
    add_product,
    add_row_sums,
    compiled,
    fill_rows,
    product,
)
from neus.kernels.fused_step.cpu.tile import Tile
from neus.kernels.hash_encode.hash_lookup import gather


@compiled
def _rectify(rows, n):
    for j in range(rows.shape[0]):
        row = rows[j]
        for i in range(n):
            row[i] = max(row[i], ZERO)


@compiled
def _keep_where_positive(rows, values, n):
    for j in range(rows.shape[0]):
        row, value = rows[j], values[j]
        for i in range(n):
            row[i] = row[i] if value[i] > ZERO else ZERO


@compiled
def color_forward(
    grid: Grid,
    weights: ColorWeights,
    tile: Tile,
    n_features: int,
    color_bias: np.ndarray,
    first_ray: int,
    n_intervals: int,
    n: int,
) -> None:
    """Fills the tile's rgb (4, n) of its n visible samples, whose indices are in `tile.visible`.

    The network sees point, normal, the distance's n_features and the features of the colour grid.
    """
    for m in range(n):
        i = tile.visible[m]
        for axis in range(3):
            tile.color_inputs[axis, m] = tile.inputs[axis, i]
            tile.color_inputs[3 + axis, m] = tile.normals[axis, i]
        for f in range(n_features):
            tile.color_inputs[6 + f, m] = tile.out[1 + f, i]
        tile.ray[m] = first_ray + i // n_intervals
    for j in range(color_bias.shape[1]):
        row, ray = tile.color_hidden[0, j], tile.ray
        for m in range(n):
            row[m] = color_bias[ray[m], j]
    gather(grid, tile.color_inputs, 6 + n_features, tile.jacobian, False, n)
    add_product(weights.first, tile.color_inputs, tile.color_hidden[0], n)
    _rectify(tile.color_hidden[0], n)
    for layer in range(weights.hidden.shape[0]):
        fill_rows(weights.hidden_b[layer], tile.color_hidden[layer + 1], n)
        add_product(weights.hidden[layer], tile.color_hidden[layer], tile.color_hidden[layer + 1], n)
        _rectify(tile.color_hidden[layer + 1], n)
    fill_rows(weights.last_b, tile.rgb, n)
    add_product(weights.last, tile.color_hidden[weights.hidden.shape[0]], tile.rgb, n)
    for channel in range(3):
        row = tile.rgb[channel]
        for m in range(n):
            row[m] = ONE / (ONE + math.exp(-row[m]))


@compiled
def color_backward(
    weights: ColorWeights,
    tile: Tile,
    n_features: int,
    grad_color_bias: np.ndarray,
    gradients: Gradients,
    n: int,
) -> None:
    """From the tile's grad_rgb, before the sigmoid, to grad_out and grad_normals, adding to the gradients of the network."""
    n_hidden = weights.hidden.shape[0]
    add_outer(tile.grad_rgb, tile.color_hidden[n_hidden], gradients.last, n)
    add_row_sums(tile.grad_rgb, gradients.last_b, n)
    product(weights.last_t, tile.grad_rgb, tile.grad_color[0], n)
    _keep_where_positive(tile.grad_color[0], tile.color_hidden[n_hidden], n)
    now = 0
    for layer in range(n_hidden - 1, -1, -1):
        add_outer(tile.grad_color[now], tile.color_hidden[layer], gradients.hidden[layer], n)
        add_row_sums(tile.grad_color[now], gradients.hidden_b[layer], n)
        product(weights.hidden_t[layer], tile.grad_color[now], tile.grad_color[1 - now], n)
        now = 1 - now
        _keep_where_positive(tile.grad_color[now], tile.color_hidden[layer], n)
    grads = tile.grad_color[now]
    add_outer(grads, tile.color_inputs, gradients.first, n)
    product(weights.first_t, grads, tile.grad_color_inputs, n)
    for m in range(n):
        i = tile.visible[m]
        for axis in range(3):
            tile.grad_normals[axis, i] += tile.grad_color_inputs[3 + axis, m]
        for f in range(n_features):
            tile.grad_out[1 + f, i] += tile.grad_color_inputs[6 + f, m]
    _add_by_ray(grads, tile.ray, grad_color_bias, n)


@compiled
def _add_by_ray(rows, ray, sums, n):
    """sums[ray[m], j] += rows[j, m]; the samples of a ray follow each other."""
    first = 0
    while first < n:
        stop = first + 1
        while stop < n and ray[stop] == ray[first]:
            stop += 1
        of_ray = sums[ray[first]]
        for j in range(rows.shape[0]):
            row, total = rows[j], ZERO
            for m in range(first, stop):
                total += row[m]
            of_ray[j] += total
        first = stop
