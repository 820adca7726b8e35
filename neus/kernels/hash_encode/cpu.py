"""Hash encoding on a CPU: compiled loops with the signatures of `reference`, whose docstrings hold here too.

Looking up is shared out by points, adding up the table's gradient by levels. No two threads write to the same place, and each
sum has one order: the numbers are the same to the bit whatever the number of threads. Differentiable once.
"""

import functools
from typing import Any

import numpy as np
import torch
from numba import njit
from torch import Tensor
from torch.autograd.function import once_differentiable

from neus.kernels.hash_encode.layout import HASH_FACTORS, GridLayout
from neus.kernels.hash_encode.reference import pull_back
from neus.kernels.threads import ranges, run_tasks

__all__ = ["encode", "encode_with_jacobian", "pull_back"]

# Points handled at a time: few enough for a level's part of the output to stay in cache, enough to make a task worth its start.
POINTS_PER_TASK = 1024
_Y_FACTOR, _Z_FACTOR = (np.uint32(factor) for factor in HASH_FACTORS)
_compiled = njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})


def encode(points: Tensor, table: Tensor, layout: GridLayout, n_active: int) -> Tensor:
    """Features (M, L F); see `reference.encode`."""
    return _Encoding.apply(points, table, layout, n_active, False)[0]


def encode_with_jacobian(points: Tensor, table: Tensor, layout: GridLayout, n_active: int) -> tuple[Tensor, Tensor]:
    """Features (M, L F) and jacobian (M, L F, 3); see `reference.encode_with_jacobian`."""
    return _Encoding.apply(points, table, layout, n_active, True)


class _Encoding(torch.autograd.Function):
    """Features and, if asked for, their Jacobian (empty otherwise)."""

    @staticmethod
    def forward(
        ctx: Any, points: Tensor, table: Tensor, layout: GridLayout, n_active: int, with_jacobian: bool
    ) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(points, table)
        ctx.layout, ctx.n_active, ctx.with_jacobian = layout, n_active, with_jacobian
        points, table = _array(points), _array(table)
        n_channels = layout.n_levels * table.shape[1]
        features = np.zeros((len(points), n_channels), table.dtype)
        jacobian = np.zeros((len(points) if with_jacobian else 0, n_channels, 3), table.dtype)
        grid = _grid(layout, points.dtype)

        def gather(start: int, stop: int) -> None:
            _gather(points, table, grid, n_active, start, stop, features, jacobian, with_jacobian)

        run_tasks(gather, ranges(len(points), POINTS_PER_TASK))
        return torch.from_numpy(features), torch.from_numpy(jacobian)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_features: Tensor, grad_jacobian: Tensor) -> tuple[Tensor | None, ...]:
        points, table = (_array(tensor) for tensor in ctx.saved_tensors)
        cotangents = _array(grad_features), _array(grad_jacobian), ctx.with_jacobian
        grid = _grid(ctx.layout, points.dtype)
        grad_points = grad_table = None
        if ctx.needs_input_grad[0]:
            grad_points = np.zeros_like(points)

            def pull(start: int, stop: int) -> None:
                _pull_to_points(points, table, grid, ctx.n_active, start, stop, *cotangents, grad_points)

            run_tasks(pull, ranges(len(points), POINTS_PER_TASK))
            grad_points = torch.from_numpy(grad_points)
        if ctx.needs_input_grad[1]:
            grad_table = np.zeros_like(table)

            def scatter(level: int) -> None:
                _scatter(points, grid, level, *cotangents, grad_table)

            # The finest first: they take longest.
            run_tasks(scatter, [(level,) for level in reversed(range(min(ctx.n_active, ctx.layout.n_levels)))])
            grad_table = torch.from_numpy(grad_table)
        return grad_points, grad_table, None, None, None


def _array(tensor: Tensor) -> np.ndarray:
    return np.ascontiguousarray(tensor.detach().numpy())


@functools.lru_cache(maxsize=16)
def _grid(layout: GridLayout, dtype: np.dtype) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.uint32]:
    """Resolutions (L,) in the type of the points, first rows (L,), which levels are dense (L,), mask of hashed rows."""
    resolutions = np.array(layout.resolutions, dtype)
    return resolutions, np.array(layout.offsets[:-1]), np.array(layout.is_dense), np.uint32(layout.hash_size - 1)


@_compiled
def _locate(x, resolution, one):
    """Cell, place in it from 0 to 1, and slope of that place in x, along one axis."""
    per_unit = resolution / (one + one)
    position = (x + one) * per_unit
    slope = per_unit
    if position < 0 or position > resolution:
        slope = one - one
        position = min(max(position, one - one), resolution)
    # The far face belongs to the last cell. Clamped again as a whole number, since NaN must not become an address.
    lower = min(np.floor(position), resolution - one)
    cell = min(max(np.int64(lower), 0), np.int64(resolution) - 1)
    return cell, position - lower, slope


@_compiled
def _row(x, y, z, resolution, is_dense, mask):
    """Row of a vertex within its level."""
    if is_dense:
        per_axis = np.int64(resolution) + 1
        return x + per_axis * (y + per_axis * z)
    return np.int64((np.uint32(x) ^ (np.uint32(y) * _Y_FACTOR) ^ (np.uint32(z) * _Z_FACTOR)) & mask)


@_compiled
def _find_corners(at_x, at_y, at_z, level, one, rows, factors, signs):
    """Fills rows (8,) of the corners of a point's cell, and factors, signs (3, 2): weight and slope by axis and side.

    `level` is resolution, first row, whether it is dense, mask.
    """
    resolution, first, is_dense, mask = level
    x, u, slope_x = _locate(at_x, resolution, one)
    y, v, slope_y = _locate(at_y, resolution, one)
    z, w, slope_z = _locate(at_z, resolution, one)
    factors[0, 0], factors[1, 0], factors[2, 0] = one - u, one - v, one - w
    factors[0, 1], factors[1, 1], factors[2, 1] = u, v, w
    signs[0, 0], signs[1, 0], signs[2, 0] = -slope_x, -slope_y, -slope_z
    signs[0, 1], signs[1, 1], signs[2, 1] = slope_x, slope_y, slope_z
    for corner in range(8):
        i, j, k = corner & 1, corner >> 1 & 1, corner >> 2
        rows[corner] = first + _row(x + i, y + j, z + k, resolution, is_dense, mask)


@_compiled
def _weigh_corners(factors, signs, weights, slopes):
    """Fills weights (8,) of the corners and their slopes (8, 3)."""
    for corner in range(8):
        i, j, k = corner & 1, corner >> 1 & 1, corner >> 2
        x, y, z = factors[0, i], factors[1, j], factors[2, k]
        weights[corner] = x * y * z
        slopes[corner, 0], slopes[corner, 1], slopes[corner, 2] = (
            signs[0, i] * y * z,
            signs[1, j] * x * z,
            signs[2, k] * x * y,
        )


@_compiled
def _gather(points, table, grid, n_active, start, stop, features, jacobian, with_jacobian):
    """Fills features (M, L F), and jacobian (M, L F, 3) if asked for, of points start ... stop."""
    one = points.dtype.type(1)
    n_features = table.shape[1]
    rows, factors, signs = np.empty(8, np.int64), np.empty((3, 2), points.dtype), np.empty((3, 2), points.dtype)
    weights, slopes = np.empty(8, points.dtype), np.empty((8, 3), points.dtype)
    for level in range(min(n_active, len(grid[0]))):
        place = grid[0][level], grid[1][level], grid[2][level], grid[3]
        for m in range(start, stop):
            _find_corners(points[m, 0], points[m, 1], points[m, 2], place, one, rows, factors, signs)
            _weigh_corners(factors, signs, weights, slopes)
            for f in range(n_features):
                feature = dx = dy = dz = one - one
                for corner in range(8):
                    value = table[rows[corner], f]
                    feature += weights[corner] * value
                    if with_jacobian:
                        dx += slopes[corner, 0] * value
                        dy += slopes[corner, 1] * value
                        dz += slopes[corner, 2] * value
                channel = level * n_features + f
                features[m, channel] = feature
                if with_jacobian:
                    jacobian[m, channel, 0], jacobian[m, channel, 1], jacobian[m, channel, 2] = dx, dy, dz


@_compiled
def _scatter(points, grid, level, grad_features, grad_jacobian, with_jacobian, grad_table):
    """Adds up the gradient of one level's rows of the table: the transpose of `_gather`."""
    one = points.dtype.type(1)
    n_features = grad_table.shape[1]
    rows, factors, signs = np.empty(8, np.int64), np.empty((3, 2), points.dtype), np.empty((3, 2), points.dtype)
    weights, slopes = np.empty(8, points.dtype), np.empty((8, 3), points.dtype)
    place = grid[0][level], grid[1][level], grid[2][level], grid[3]
    for m in range(len(points)):
        _find_corners(points[m, 0], points[m, 1], points[m, 2], place, one, rows, factors, signs)
        _weigh_corners(factors, signs, weights, slopes)
        for f in range(n_features):
            channel = level * n_features + f
            h, dx, dy, dz = grad_features[m, channel], one - one, one - one, one - one
            if with_jacobian:
                dx, dy, dz = grad_jacobian[m, channel, 0], grad_jacobian[m, channel, 1], grad_jacobian[m, channel, 2]
            for corner in range(8):
                grad_table[rows[corner], f] += (
                    weights[corner] * h + slopes[corner, 0] * dx + slopes[corner, 1] * dy + slopes[corner, 2] * dz
                )


@_compiled
def _pull_to_points(
    points, table, grid, n_active, start, stop, grad_features, grad_jacobian, with_jacobian, grad_points
):
    """Fills grad_points (M, 3): slopes times grad_features, and mixed second derivatives times grad_jacobian."""
    one = points.dtype.type(1)
    n_features = table.shape[1]
    rows, factors, signs = np.empty(8, np.int64), np.empty((3, 2), points.dtype), np.empty((3, 2), points.dtype)
    for level in range(min(n_active, len(grid[0]))):
        place = grid[0][level], grid[1][level], grid[2][level], grid[3]
        for m in range(start, stop):
            _find_corners(points[m, 0], points[m, 1], points[m, 2], place, one, rows, factors, signs)
            for corner in range(8):
                i, j, k = corner & 1, corner >> 1 & 1, corner >> 2
                x, y, z = factors[0, i], factors[1, j], factors[2, k]
                dx, dy, dz = signs[0, i], signs[1, j], signs[2, k]
                for f in range(n_features):
                    value, channel = table[rows[corner], f], level * n_features + f
                    c = grad_features[m, channel]
                    grad_points[m, 0] += value * c * dx * y * z
                    grad_points[m, 1] += value * c * dy * x * z
                    grad_points[m, 2] += value * c * dz * x * y
                    if with_jacobian:
                        # Trilinear weights bend only across two axes at a time.
                        a0, a1 = grad_jacobian[m, channel, 0], grad_jacobian[m, channel, 1]
                        a2 = grad_jacobian[m, channel, 2]
                        grad_points[m, 0] += value * dx * (a1 * dy * z + a2 * dz * y)
                        grad_points[m, 1] += value * dy * (a0 * dx * z + a2 * dz * x)
                        grad_points[m, 2] += value * dz * (a0 * dx * y + a1 * dy * x)
