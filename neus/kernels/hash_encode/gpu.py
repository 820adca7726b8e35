"""Hash encoding on a GPU, by Triton: the signatures of `reference`, whose docstrings hold here too.

One program encodes a block of points at one level. The table's gradient is added up by atomics, so its last digits may differ
from run to run. Differentiable once.
"""

import functools
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import once_differentiable

from neus.kernels.hash_encode.layout import HASH_FACTORS, GridLayout
from neus.kernels.hash_encode.reference import vjp
from neus.kernels.launch import blocks, launch, power_of_two, program_size
from neus.kernels.trilinear.gpu import locate

__all__ = ["encode", "encode_with_jacobian", "level_tensors", "vjp", "row_of"]

# Points of a program: eight look-ups each keep enough reads in flight to hide the memory's latency.
POINTS = program_size(128)
_Y_FACTOR, _Z_FACTOR = (tl.constexpr(factor) for factor in HASH_FACTORS)


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
        points, table = points.detach().contiguous(), table.detach().contiguous()
        ctx.save_for_backward(points, table)
        ctx.layout, ctx.n_active, ctx.with_jacobian = layout, min(n_active, layout.n_levels), with_jacobian
        n_channels = layout.n_levels * table.shape[1]
        features = table.new_zeros(len(points), n_channels)
        jacobian = table.new_zeros(len(points) if with_jacobian else 0, n_channels, 3)
        programs, sizes = (blocks(len(points), POINTS), ctx.n_active), _sizes(ctx, points, table)
        launch(_gather, programs, points, table, *sizes[0], features, jacobian, *sizes[1], **sizes[2])
        return features, jacobian

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_features: Tensor, grad_jacobian: Tensor) -> tuple[Tensor | None, ...]:
        points, table = ctx.saved_tensors
        given, sizes = (grad_features.contiguous(), grad_jacobian.contiguous()), _sizes(ctx, points, table)
        n_blocks, grad_points, grad_table = blocks(len(points), POINTS), None, None
        if ctx.needs_input_grad[0]:
            grad_points = torch.zeros_like(points)
            more = (grad_points, ctx.n_active)
            launch(_pull_to_points, (n_blocks,), points, table, *sizes[0], *given, *more, *sizes[1], **sizes[2])
        if ctx.needs_input_grad[1]:
            grad_table = torch.zeros_like(table)
            launch(_scatter, (n_blocks, ctx.n_active), points, grad_table, *sizes[0], *given, *sizes[1], **sizes[2])
        return grad_points, grad_table, None, None, None


def _sizes(ctx: Any, points: Tensor, table: Tensor) -> tuple[tuple[Tensor, ...], tuple[int, ...], dict[str, Any]]:
    """What all three kernels receive of the grid: tensors by level, numbers, and numbers they are compiled for."""
    levels, n_features = level_tensors(ctx.layout, points.dtype, points.device), table.shape[1]
    numbers = len(points), ctx.layout.n_levels * n_features, ctx.layout.hash_size - 1
    constants = {"F": n_features, "FP": power_of_two(n_features), "WITH_JACOBIAN": ctx.with_jacobian, "BLOCK": POINTS}
    return levels, numbers, constants


@functools.lru_cache(maxsize=16)
def level_tensors(layout: GridLayout, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Resolutions (L,) in the type of the points, first rows (L,) int64, which levels are dense (L,) int32; on a device."""
    return (
        torch.tensor(layout.resolutions, dtype=dtype, device=device),
        torch.tensor(layout.offsets[:-1], dtype=torch.int64, device=device),
        torch.tensor(layout.is_dense, dtype=torch.int32, device=device),
    )


@triton.jit
def row_of(x, y, z, resolution, first, is_dense, mask):
    """Row of a vertex in the table, int64."""
    per_axis = resolution.to(tl.int32) + 1
    dense = x + per_axis * (y + per_axis * z)
    hashed = (x.to(tl.uint32) ^ (y.to(tl.uint32) * _Y_FACTOR) ^ (z.to(tl.uint32) * _Z_FACTOR)) & mask.to(tl.uint32)
    return first + tl.where(is_dense != 0, dense, hashed.to(tl.int32))


@triton.jit
def _cells(points, m, here, resolution):
    """Cells, positions in them and slopes (BLOCK, 1) along the three axes."""
    at = points + m[:, None] * 3
    x, u, slope_x = locate(tl.load(at, mask=here[:, None], other=0.0), resolution)
    y, v, slope_y = locate(tl.load(at + 1, mask=here[:, None], other=0.0), resolution)
    z, w, slope_z = locate(tl.load(at + 2, mask=here[:, None], other=0.0), resolution)
    return x, y, z, u, v, w, slope_x, slope_y, slope_z


@triton.jit(do_not_specialize=["n_points", "mask"])
def _gather(
    points, table, resolutions, offsets, is_dense, features, jacobian, n_points, n_channels, mask,
    F: tl.constexpr, FP: tl.constexpr, WITH_JACOBIAN: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Fills features (M, C), and jacobian (M, C, 3) if requested, of a block of points at one level."""
    level = tl.program_id(1)
    m = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    f = tl.arange(0, FP)[None, :]
    here = m < n_points
    valid = here[:, None] & (f < F)
    resolution, first, dense = tl.load(resolutions + level), tl.load(offsets + level), tl.load(is_dense + level)
    x, y, z, u, v, w, slope_x, slope_y, slope_z = _cells(points, m, here, resolution)
    feature = tl.zeros([BLOCK, FP], dtype=table.dtype.element_ty)
    dx, dy, dz = feature, feature, feature
    for corner in tl.static_range(8):
        i, j, k = corner & 1, (corner >> 1) & 1, corner >> 2
        row = row_of(x + i, y + j, z + k, resolution, first, dense, mask)
        value = tl.load(table + row * F + f, mask=valid, other=0.0)
        # 1 - u on the lower side, u on the upper one.
        a, b, c = (1 - i) + (2 * i - 1) * u, (1 - j) + (2 * j - 1) * v, (1 - k) + (2 * k - 1) * w
        feature += a * b * c * value
        if WITH_JACOBIAN:
            dx += (2 * i - 1) * slope_x * b * c * value
            dy += (2 * j - 1) * slope_y * a * c * value
            dz += (2 * k - 1) * slope_z * a * b * value
    channel = m[:, None] * n_channels + level * F + f
    tl.store(features + channel, feature, mask=valid)
    if WITH_JACOBIAN:
        tl.store(jacobian + channel * 3, dx, mask=valid)
        tl.store(jacobian + channel * 3 + 1, dy, mask=valid)
        tl.store(jacobian + channel * 3 + 2, dz, mask=valid)


@triton.jit(do_not_specialize=["n_points", "mask"])
def _scatter(
    points, grad_table, resolutions, offsets, is_dense, grad_features, grad_jacobian, n_points, n_channels, mask,
    F: tl.constexpr, FP: tl.constexpr, WITH_JACOBIAN: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Adds the gradient of one level's rows of the table from a block of points: the transpose of `_gather`."""
    level = tl.program_id(1)
    m = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    f = tl.arange(0, FP)[None, :]
    here = m < n_points
    valid = here[:, None] & (f < F)
    resolution, first, dense = tl.load(resolutions + level), tl.load(offsets + level), tl.load(is_dense + level)
    x, y, z, u, v, w, slope_x, slope_y, slope_z = _cells(points, m, here, resolution)
    channel = m[:, None] * n_channels + level * F + f
    h = tl.load(grad_features + channel, mask=valid, other=0.0)
    for corner in tl.static_range(8):
        i, j, k = corner & 1, (corner >> 1) & 1, corner >> 2
        row = row_of(x + i, y + j, z + k, resolution, first, dense, mask)
        a, b, c = (1 - i) + (2 * i - 1) * u, (1 - j) + (2 * j - 1) * v, (1 - k) + (2 * k - 1) * w
        change = a * b * c * h
        if WITH_JACOBIAN:
            change += (2 * i - 1) * slope_x * b * c * tl.load(grad_jacobian + channel * 3, mask=valid, other=0.0)
            change += (2 * j - 1) * slope_y * a * c * tl.load(grad_jacobian + channel * 3 + 1, mask=valid, other=0.0)
            change += (2 * k - 1) * slope_z * a * b * tl.load(grad_jacobian + channel * 3 + 2, mask=valid, other=0.0)
        tl.atomic_add(grad_table + row * F + f, change, mask=valid, sem="relaxed")


@triton.jit(do_not_specialize=["n_points", "n_active", "mask"])
def _pull_to_points(
    points, table, resolutions, offsets, is_dense, grad_features, grad_jacobian, grad_points, n_active,
    n_points, n_channels, mask,
    F: tl.constexpr, FP: tl.constexpr, WITH_JACOBIAN: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Fills grad_points (M, 3): slopes times grad_features, and mixed second derivatives times grad_jacobian."""
    m = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    f = tl.arange(0, FP)[None, :]
    here = m < n_points
    valid = here[:, None] & (f < F)
    to_x = tl.zeros([BLOCK, FP], dtype=table.dtype.element_ty)
    to_y, to_z = to_x, to_x
    for level in range(n_active):
        resolution, first, dense = tl.load(resolutions + level), tl.load(offsets + level), tl.load(is_dense + level)
        x, y, z, u, v, w, slope_x, slope_y, slope_z = _cells(points, m, here, resolution)
        channel = m[:, None] * n_channels + level * F + f
        h = tl.load(grad_features + channel, mask=valid, other=0.0)
        if WITH_JACOBIAN:
            by_x = tl.load(grad_jacobian + channel * 3, mask=valid, other=0.0)
            by_y = tl.load(grad_jacobian + channel * 3 + 1, mask=valid, other=0.0)
            by_z = tl.load(grad_jacobian + channel * 3 + 2, mask=valid, other=0.0)
        for corner in tl.static_range(8):
            i, j, k = corner & 1, (corner >> 1) & 1, corner >> 2
            row = row_of(x + i, y + j, z + k, resolution, first, dense, mask)
            value = tl.load(table + row * F + f, mask=valid, other=0.0)
            a, b, c = (1 - i) + (2 * i - 1) * u, (1 - j) + (2 * j - 1) * v, (1 - k) + (2 * k - 1) * w
            dx, dy, dz = (2 * i - 1) * slope_x, (2 * j - 1) * slope_y, (2 * k - 1) * slope_z
            to_x += value * h * dx * b * c
            to_y += value * h * dy * a * c
            to_z += value * h * dz * a * b
            if WITH_JACOBIAN:
                # Trilinear weights bend only across two axes at a time.
                to_x += value * dx * (by_y * dy * c + by_z * dz * b)
                to_y += value * dy * (by_x * dx * c + by_z * dz * a)
                to_z += value * dz * (by_x * dx * b + by_y * dy * a)
    tl.store(grad_points + m * 3, tl.sum(to_x, 1), mask=here)
    tl.store(grad_points + m * 3 + 1, tl.sum(to_y, 1), mask=here)
    tl.store(grad_points + m * 3 + 2, tl.sum(to_z, 1), mask=here)
