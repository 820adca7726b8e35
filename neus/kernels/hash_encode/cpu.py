"""Hash encoding on a CPU: compiled loops with the signatures of `reference`, whose docstrings hold here too.

Threads divide look-ups by points, and sums of the table's gradient by levels. No two write to the same address, and each sum
has one order: the numbers are the same to the bit whatever the number of threads. Differentiable once.
"""

import functools
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from neus.kernels.hash_encode.hash_lookup import (
    add,
    add_with_slopes,
    corners,
    gather,
    level_of,
    read_bends,
    read_with_slopes,
)
from neus.kernels.hash_encode.layout import Grid, GridLayout
from neus.kernels.hash_encode.reference import vjp
from neus.kernels.jit import compiled
from neus.kernels.threads import ranges, run_tasks

__all__ = ["encode", "encode_with_jacobian", "grid_of", "vjp"]

# Points of a task, enough to make it worth its start, and of a tile, few enough for its features and slopes to stay in cache.
POINTS_PER_TASK, POINTS_PER_TILE = 1024, 256


def encode(points: Tensor, table: Tensor, layout: GridLayout, n_active: int) -> Tensor:
    """Features (M, L F); see `reference.encode`."""
    return _Encoding.apply(points, table, layout, n_active, False)[0]


def encode_with_jacobian(points: Tensor, table: Tensor, layout: GridLayout, n_active: int) -> tuple[Tensor, Tensor]:
    """Features (M, L F) and jacobian (M, L F, 3); see `reference.encode_with_jacobian`."""
    return _Encoding.apply(points, table, layout, n_active, True)


class _Encoding(torch.autograd.Function):
    """Features and, if requested, their Jacobian (empty otherwise)."""

    @staticmethod
    def forward(
        ctx: Any, points: Tensor, table: Tensor, layout: GridLayout, n_active: int, with_jacobian: bool
    ) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(points, table)
        ctx.layout, ctx.n_active, ctx.with_jacobian = layout, min(n_active, layout.n_levels), with_jacobian
        points, grid = _array(points), grid_of(_array(table), layout, ctx.n_active)
        n_channels = layout.n_levels * table.shape[1]
        features = np.zeros((len(points), n_channels), grid.table.dtype)
        jacobian = np.zeros((len(points) if with_jacobian else 0, n_channels, 3), grid.table.dtype)

        def encode_some(start: int, stop: int) -> None:
            _encode(points, grid, start, stop, features, jacobian, with_jacobian)

        run_tasks(encode_some, ranges(len(points), POINTS_PER_TASK))
        return torch.from_numpy(features), torch.from_numpy(jacobian)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_features: Tensor, grad_jacobian: Tensor) -> tuple[Tensor | None, ...]:
        points, table = (_array(tensor) for tensor in ctx.saved_tensors)
        cotangents = _array(grad_features), _array(grad_jacobian), ctx.with_jacobian
        grad_points = grad_table = None
        if ctx.needs_input_grad[0]:
            grid, grad_points = grid_of(table, ctx.layout, ctx.n_active), np.zeros_like(points)

            def pull(start: int, stop: int) -> None:
                _pull_to_points(points, grid, start, stop, *cotangents, grad_points)

            run_tasks(pull, ranges(len(points), POINTS_PER_TASK))
            grad_points = torch.from_numpy(grad_points)
        if ctx.needs_input_grad[1]:
            grad_table = np.zeros_like(table)
            grad_grid = grid_of(grad_table, ctx.layout, ctx.n_active)

            def scatter(level: int) -> None:
                _scatter(points, grad_grid, level, *cotangents)

            # The finest first: they take longest.
            run_tasks(scatter, [(level,) for level in reversed(range(ctx.n_active))])
            grad_table = torch.from_numpy(grad_table)
        return grad_points, grad_table, None, None, None


def _array(tensor: Tensor) -> np.ndarray:
    return np.ascontiguousarray(tensor.detach().numpy())


def grid_of(table: np.ndarray, layout: GridLayout, n_active: int) -> Grid:
    """The first n_active levels of a table, for compiled loops."""
    return Grid(table, *_levels(layout, n_active), np.uint32(layout.hash_size - 1))


@functools.lru_cache(maxsize=16)
def _levels(layout: GridLayout, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Resolution, first row, and whether it is dense, of the first n levels."""
    return np.array(layout.resolutions[:n]), np.array(layout.offsets[:n]), np.array(layout.is_dense[:n])


@compiled
def _encode(points, grid, start, stop, features, jacobian, with_jacobian):
    """Fills features (M, L F), and jacobian (M, L F, 3) if requested, of points start ... stop, a tile at a time."""
    n_channels = len(grid.resolutions) * grid.table.shape[1]
    rows = np.empty((3 + n_channels, POINTS_PER_TILE), points.dtype)
    slopes = np.empty((n_channels, 3, POINTS_PER_TILE), points.dtype)
    for first in range(start, stop, POINTS_PER_TILE):
        n = min(POINTS_PER_TILE, stop - first)
        for i in range(n):
            for axis in range(3):
                rows[axis, i] = points[first + i, axis]
        gather(grid, rows, 3, slopes, with_jacobian, n)
        for i in range(n):
            for c in range(n_channels):
                features[first + i, c] = rows[3 + c, i]
                if with_jacobian:
                    for axis in range(3):
                        jacobian[first + i, c, axis] = slopes[c, axis, i]


@compiled
def _scatter(points, grad_grid, index, grad_features, grad_jacobian, with_jacobian):
    """Adds up the gradient of one level's rows of the table: the transpose of `_encode`."""
    flat, n_features = grad_grid.table.reshape(grad_grid.table.size), grad_grid.table.shape[1]
    level, one = level_of(grad_grid, index), points.dtype.type(1)
    for m in range(len(points)):
        at, places, slopes = corners(level, points[m, 0], points[m, 1], points[m, 2])
        for f in range(n_features):
            c = index * n_features + f
            if with_jacobian:
                by_slopes = grad_jacobian[m, c]
                along = (slopes[0] * by_slopes[0], slopes[1] * by_slopes[1], slopes[2] * by_slopes[2])
                add_with_slopes(flat, at, np.uint64(f), places, grad_features[m, c], along, one)
            else:
                add(flat, at, np.uint64(f), places, grad_features[m, c])


@compiled
def _pull_to_points(points, grid, start, stop, grad_features, grad_jacobian, with_jacobian, grad_points):
    """Fills grad_points (M, 3): slopes times grad_features, and mixed second derivatives times grad_jacobian."""
    flat, n_features = grid.table.reshape(grid.table.size), grid.table.shape[1]
    for index in range(len(grid.resolutions)):
        level = level_of(grid, index)
        for m in range(start, stop):
            at, places, slopes = corners(level, points[m, 0], points[m, 1], points[m, 2])
            to = grad_points[m]
            for f in range(n_features):
                c = index * n_features + f
                h = grad_features[m, c]
                _, x, y, z = read_with_slopes(flat, at, np.uint64(f), places, slopes)
                to[0] += h * x
                to[1] += h * y
                to[2] += h * z
                if with_jacobian:
                    a0, a1, a2 = grad_jacobian[m, c, 0], grad_jacobian[m, c, 1], grad_jacobian[m, c, 2]
                    xy, xz, yz = read_bends(flat, at, np.uint64(f), places, slopes)
                    to[0] += a1 * xy + a2 * xz
                    to[1] += a0 * xy + a2 * yz
                    to[2] += a0 * xz + a1 * yz
