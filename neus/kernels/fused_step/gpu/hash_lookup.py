"""The grid's features and their Jacobian for a block of samples, all channels side by side, and the backward pass into the table.

A tile is (BLOCK, CP): samples by channels, the channels of all levels filled up to a power of two. Each of its elements reads the
eight corners of its own level and feature; neighbouring features of a row lie side by side in memory.
"""

import triton
import triton.language as tl

from neus.kernels.hash_encode.gpu import row_of
from neus.kernels.launch import IS_INTERPRETED
from neus.kernels.trilinear.gpu import locate

_IS_INTERPRETED = tl.constexpr(IS_INTERPRETED)


@triton.jit
def product(left, right, PRECISION: tl.constexpr):
    """left @ right with sums in single precision; PRECISION is that of the factors: ieee, tf32, tf32x3 or bfloat16."""
    if PRECISION == "bfloat16" and _IS_INTERPRETED:
        # The interpreter takes the bits of bfloat16 for whole numbers; their products are exact in single precision.
        return tl.dot(left.to(tl.bfloat16).to(tl.float32), right.to(tl.bfloat16).to(tl.float32))
    elif PRECISION == "bfloat16":
        return tl.dot(left.to(tl.bfloat16), right.to(tl.bfloat16))
    else:
        return tl.dot(left, right, input_precision=PRECISION)


@triton.jit
def channels_of(resolutions, offsets, is_dense, n_channels, F: tl.constexpr, CP: tl.constexpr):
    """Of the channels (1, CP): which there are, feature, resolution, first row of the level, whether it is dense."""
    c = tl.arange(0, CP)[None, :]
    level, is_there = c // F, c < n_channels
    resolution = tl.load(resolutions + level, mask=is_there, other=1).to(tl.float32)
    first = tl.load(offsets + level, mask=is_there, other=0)
    return is_there, c % F, resolution, first, tl.load(is_dense + level, mask=is_there, other=1)


@triton.jit
def gather(
    table, resolutions, offsets, is_dense, mask, x, y, z, here, n_channels,
    F: tl.constexpr, CP: tl.constexpr, WITH_JACOBIAN: tl.constexpr,
):  # fmt: skip
    """Features (BLOCK, CP) at points x, y, z (BLOCK,), and their slopes along the three axes, zeros if not requested."""
    is_there, f, resolution, first, dense = channels_of(resolutions, offsets, is_dense, n_channels, F, CP)
    valid = here[:, None] & is_there
    i, u, slope_x = locate(x[:, None], resolution)
    j, v, slope_y = locate(y[:, None], resolution)
    k, w, slope_z = locate(z[:, None], resolution)
    feature = u * 0.0
    dx, dy, dz = feature, feature, feature
    for corner in tl.static_range(8):
        p, q, r = corner & 1, (corner >> 1) & 1, corner >> 2
        row = row_of(i + p, j + q, k + r, resolution, first, dense, mask)
        value = tl.load(table + row * F + f, mask=valid, other=0.0)
        a, b, c = (1 - p) + (2 * p - 1) * u, (1 - q) + (2 * q - 1) * v, (1 - r) + (2 * r - 1) * w
        feature += a * b * c * value
        if WITH_JACOBIAN:
            dx += (2 * p - 1) * slope_x * b * c * value
            dy += (2 * q - 1) * slope_y * a * c * value
            dz += (2 * r - 1) * slope_z * a * b * value
    return feature, dx, dy, dz


@triton.jit
def scatter(
    grad_table, resolutions, offsets, is_dense, mask, x, y, z, here, n_channels, grad_features,
    cotangents, along_x, along_y, along_z, F: tl.constexpr, CP: tl.constexpr, WITH_JACOBIAN: tl.constexpr,
):  # fmt: skip
    """Adds the gradient of the rows: weight of each corner times grad_features, and its slope along `along` times cotangents.

    Both are (BLOCK, CP), the direction (BLOCK,); without Jacobian the latter two are not read.
    """
    is_there, f, resolution, first, dense = channels_of(resolutions, offsets, is_dense, n_channels, F, CP)
    valid = here[:, None] & is_there
    i, u, slope_x = locate(x[:, None], resolution)
    j, v, slope_y = locate(y[:, None], resolution)
    k, w, slope_z = locate(z[:, None], resolution)
    for corner in tl.static_range(8):
        p, q, r = corner & 1, (corner >> 1) & 1, corner >> 2
        row = row_of(i + p, j + q, k + r, resolution, first, dense, mask)
        a, b, c = (1 - p) + (2 * p - 1) * u, (1 - q) + (2 * q - 1) * v, (1 - r) + (2 * r - 1) * w
        change = a * b * c * grad_features
        if WITH_JACOBIAN:
            slope = (2 * p - 1) * slope_x * b * c * along_x[:, None]
            slope += (2 * q - 1) * slope_y * a * c * along_y[:, None]
            slope += (2 * r - 1) * slope_z * a * b * along_z[:, None]
            change += slope * cotangents
        tl.atomic_add(grad_table + row * F + f, change, mask=valid, sem="relaxed")
