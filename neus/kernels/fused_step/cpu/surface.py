"""The signed distance layers for a tile: value, features and gradient, and the backward pass through all three.

With a = W1 x + b1, h = squareplus(a) and out = W2 h + b2, the gradient of out[0] in the inputs is W1^T (w2 h'(a)), w2 the first row
of W2; the grid's Jacobian carries it to the point. All of it is written out, so the backward pass needs no second differentiation.
"""

import math

from neus.kernels.fused_step.arguments import Gradients, Grid, SurfaceWeights
from neus.kernels.fused_step.cpu.matmul import (
    HALF,
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
def surface_forward(grid: Grid, weights: SurfaceWeights, tile: Tile, n: int) -> None:
    """Fills the tile's out (distance and features), cotangents of the inputs and normals from the points in its inputs."""
    gather(grid, tile.inputs, 3, tile.jacobian, True, n)
    fill_rows(weights.b1, tile.hidden, n)
    add_product(weights.w1, tile.inputs, tile.hidden, n)
    for j in range(tile.hidden.shape[0]):
        hidden, slope, bend, pulled = tile.hidden[j], tile.slope[j], tile.bend[j], tile.pulled[j]
        w = weights.w2[0, j]
        for i in range(n):
            a = hidden[i]
            root = math.sqrt(a * a + weights.squareplus_b)
            hidden[i] = HALF * (a + root)
            s = HALF * (ONE + a / root)
            slope[i] = s
            bend[i] = HALF * weights.squareplus_b / (root * root * root) * w
            pulled[i] = s * w
    fill_rows(weights.b2, tile.out, n)
    add_product(weights.w2, tile.hidden, tile.out, n)
    product(weights.w1_t, tile.pulled, tile.cotangents, n)
    n_channels = tile.jacobian.shape[0]
    for axis in range(3):
        normal, cotangent = tile.normals[axis], tile.cotangents[axis]
        for i in range(n):
            normal[i] = cotangent[i]
        for c in range(n_channels):
            cotangent, slopes = tile.cotangents[3 + c], tile.jacobian[c, axis]
            for i in range(n):
                normal[i] += cotangent[i] * slopes[i]


@compiled
def distance_forward(grid: Grid, weights: SurfaceWeights, tile: Tile, n: int) -> None:
    """Fills the first row of the tile's out with signed distances alone."""
    gather(grid, tile.inputs, 3, tile.jacobian, False, n)
    fill_rows(weights.b1, tile.hidden, n)
    add_product(weights.w1, tile.inputs, tile.hidden, n)
    out = tile.out[0]
    for i in range(n):
        out[i] = weights.b2[0]
    for j in range(tile.hidden.shape[0]):
        hidden, w = tile.hidden[j], weights.w2[0, j]
        for i in range(n):
            a = hidden[i]
            out[i] += w * HALF * (a + math.sqrt(a * a + weights.squareplus_b))


@compiled
def surface_backward(weights: SurfaceWeights, tile: Tile, gradients: Gradients, n: int) -> None:
    """From the tile's grad_out and grad_normals to its grad_inputs, adding to the gradients of the layers."""
    n_channels = tile.jacobian.shape[0]
    for axis in range(3):
        up, down = tile.grad_cotangents[axis], tile.grad_normals[axis]
        for i in range(n):
            up[i] = down[i]
    for c in range(n_channels):
        up = tile.grad_cotangents[3 + c]
        x, y, z = tile.jacobian[c, 0], tile.jacobian[c, 1], tile.jacobian[c, 2]
        dx, dy, dz = tile.grad_normals[0], tile.grad_normals[1], tile.grad_normals[2]
        for i in range(n):
            up[i] = x[i] * dx[i] + y[i] * dy[i] + z[i] * dz[i]
    product(weights.w1, tile.grad_cotangents, tile.grad_pulled, n)
    product(weights.w2_t, tile.grad_out, tile.grad_hidden, n)
    for j in range(tile.hidden.shape[0]):
        slope, bend = tile.slope[j], tile.bend[j]
        grad_pulled, grad_hidden = tile.grad_pulled[j], tile.grad_hidden[j]
        total = ZERO
        for i in range(n):
            total += slope[i] * grad_pulled[i]
            grad_hidden[i] = slope[i] * grad_hidden[i] + bend[i] * grad_pulled[i]
        gradients.w2[0, j] += total
    add_outer(tile.grad_out, tile.hidden, gradients.w2, n)
    add_row_sums(tile.grad_out, gradients.b2, n)
    add_outer(tile.pulled, tile.grad_cotangents, gradients.w1, n)
    add_outer(tile.grad_hidden, tile.inputs, gradients.w1, n)
    add_row_sums(tile.grad_hidden, gradients.b1, n)
    product(weights.w1_t, tile.grad_hidden, tile.grad_inputs, n)
