"""Look-ups in a hash grid on a CPU, compiled, in single and double precision: rows, reading and adding.

Tables are read flat, at unsigned indices: numba checks each signed index for counting from the end, sixteen times a level.
"""

import numpy as np

from neus.kernels.hash_encode.four_features import N_FEATURES, add_four, read_four
from neus.kernels.hash_encode.layout import HASH_FACTORS, Grid
from neus.kernels.jit import compiled, inlined
from neus.kernels.trilinear.cpu import cell

_Y_FACTOR, _Z_FACTOR = (np.uint32(factor) for factor in HASH_FACTORS)

# Cells per axis, first row, whether it is dense, mask of hashed rows, number of features; a number for each corner, for each axis.
Level = tuple[int, int, bool, np.uint32, np.uint64]
Eight = tuple[np.uint64, np.uint64, np.uint64, np.uint64, np.uint64, np.uint64, np.uint64, np.uint64]
Three = tuple[float, float, float]


@compiled
def level_of(grid: Grid, level: int) -> Level:
    """A level of a grid, as `corners` takes it."""
    width = np.uint64(grid.table.shape[1])
    return grid.resolutions[level], grid.offsets[level], grid.is_dense[level], grid.hash_mask, width


@inlined
def corners(level: Level, x: float, y: float, z: float) -> tuple[Eight, Three, Three]:
    """Where the features of the eight corners of a point's cell begin in the flat table, x fastest; positions in the cell; slopes."""
    i, u, slope_x = cell(x, level[0])
    j, v, slope_y = cell(y, level[0])
    k, w, slope_z = cell(z, level[0])
    return _starts(level, i, j, k), (u, v, w), (slope_x, slope_y, slope_z)


@inlined
def _starts(level, x, y, z):
    resolution, first, is_dense, mask, width = level
    if is_dense:
        to_y, to_z = np.int64(resolution) + 1, (np.int64(resolution) + 1) ** 2
        here, next_x = np.uint64(first + x + to_y * y + to_z * z) * width, width
        next_y, next_z = np.uint64(to_y) * width, np.uint64(to_z) * width
        above, right = here + next_z, here + next_y
        both = above + next_y
        return here, here + next_x, right, right + next_x, above, above + next_x, both, both + next_x
    start = np.uint64(first)
    x0, x1 = np.uint32(x), np.uint32(x + 1)
    y0, z0 = np.uint32(y) * _Y_FACTOR, np.uint32(z) * _Z_FACTOR
    y1, z1 = y0 + _Y_FACTOR, z0 + _Z_FACTOR
    a, b, c, d = y0 ^ z0, y1 ^ z0, y0 ^ z1, y1 ^ z1
    return (
        (start + np.uint64((x0 ^ a) & mask)) * width,
        (start + np.uint64((x1 ^ a) & mask)) * width,
        (start + np.uint64((x0 ^ b) & mask)) * width,
        (start + np.uint64((x1 ^ b) & mask)) * width,
        (start + np.uint64((x0 ^ c) & mask)) * width,
        (start + np.uint64((x1 ^ c) & mask)) * width,
        (start + np.uint64((x0 ^ d) & mask)) * width,
        (start + np.uint64((x1 ^ d) & mask)) * width,
    )


@inlined
def read(flat: np.ndarray, at: Eight, f: np.uint64, places: Three) -> float:
    """Feature f of a point: trilinear between the corners that begin at `at`."""
    u, v, w = places
    a0 = flat[at[0] + f] + u * (flat[at[1] + f] - flat[at[0] + f])
    a1 = flat[at[2] + f] + u * (flat[at[3] + f] - flat[at[2] + f])
    a2 = flat[at[4] + f] + u * (flat[at[5] + f] - flat[at[4] + f])
    a3 = flat[at[6] + f] + u * (flat[at[7] + f] - flat[at[6] + f])
    b0, b1 = a0 + v * (a1 - a0), a2 + v * (a3 - a2)
    return b0 + w * (b1 - b0)


@inlined
def read_with_slopes(
    flat: np.ndarray, at: Eight, f: np.uint64, places: Three, slopes: Three
) -> tuple[float, float, float, float]:
    """Feature f of a point, and its derivatives along the three axes."""
    u, v, w = places
    v0, v1, v2, v3 = flat[at[0] + f], flat[at[1] + f], flat[at[2] + f], flat[at[3] + f]
    v4, v5, v6, v7 = flat[at[4] + f], flat[at[5] + f], flat[at[6] + f], flat[at[7] + f]
    d0, d1, d2, d3 = v1 - v0, v3 - v2, v5 - v4, v7 - v6
    a0, a1, a2, a3 = v0 + u * d0, v2 + u * d1, v4 + u * d2, v6 + u * d3
    e0, e1 = a1 - a0, a3 - a2
    b0, b1 = a0 + v * e0, a2 + v * e1
    g0, g1 = d0 + v * (d1 - d0), d2 + v * (d3 - d2)
    return b0 + w * (b1 - b0), slopes[0] * (g0 + w * (g1 - g0)), slopes[1] * (e0 + w * (e1 - e0)), slopes[2] * (b1 - b0)


@inlined
def read_bends(flat: np.ndarray, at: Eight, f: np.uint64, places: Three, slopes: Three) -> Three:
    """Mixed second derivatives xy, xz, yz of feature f at a point: trilinear functions bend only across two axes at a time."""
    u, v, w = places
    v0, v1, v2, v3 = flat[at[0] + f], flat[at[1] + f], flat[at[2] + f], flat[at[3] + f]
    v4, v5, v6, v7 = flat[at[4] + f], flat[at[5] + f], flat[at[6] + f], flat[at[7] + f]
    d0, d1, d2, d3 = v1 - v0, v3 - v2, v5 - v4, v7 - v6
    e0, e1 = v2 - v0 + u * (d1 - d0), v6 - v4 + u * (d3 - d2)
    by_xy = d1 - d0 + w * (d3 - d2 - d1 + d0)
    by_xz = d2 - d0 + v * (d3 - d2 - d1 + d0)
    return slopes[0] * slopes[1] * by_xy, slopes[0] * slopes[2] * by_xz, slopes[1] * slopes[2] * (e1 - e0)


@inlined
def add(flat: np.ndarray, at: Eight, f: np.uint64, places: Three, h: float) -> None:
    """Adds the gradient of feature f of a point to the corners: the transpose of `read`."""
    u, v, w = places
    one = type(u)(1)
    u0, v0, w0 = one - u, one - v, one - w
    p00, p10, p01, p11 = u0 * v0, u * v0, u0 * v, u * v
    low, high = h * w0, h * w
    flat[at[0] + f] += p00 * low
    flat[at[1] + f] += p10 * low
    flat[at[2] + f] += p01 * low
    flat[at[3] + f] += p11 * low
    flat[at[4] + f] += p00 * high
    flat[at[5] + f] += p10 * high
    flat[at[6] + f] += p01 * high
    flat[at[7] + f] += p11 * high


@inlined
def add_column(
    flat: np.ndarray, at: Eight, places: Three, rows: np.ndarray, channel: int, i: int, n_features: int
) -> None:
    """Adds the gradients of all features of point i, in rows channel ... of its column: the transpose of `gather` on one level."""
    if n_features == N_FEATURES:
        add_four(flat, at, places, (rows[channel, i], rows[channel + 1, i], rows[channel + 2, i], rows[channel + 3, i]))
        return
    for f in range(n_features):
        add(flat, at, np.uint64(f), places, rows[channel + f, i])


@inlined
def add_with_slopes(flat: np.ndarray, at: Eight, f: np.uint64, places: Three, h: float, along: Three, g: float) -> None:
    """Adds to the corners h times their weights and g times the slopes of those along a vector: the transpose of `read_with_slopes`.

    `along` is that vector, each of its numbers times the slope of the position along that axis.
    """
    u, v, w = places
    dx, dy, dz = along
    one = type(u)(1)
    u0, v0, w0 = one - u, one - v, one - w
    # Weights and directional slopes of the corners, built up axis by axis.
    p00, p10, p01, p11 = u0 * v0, u * v0, u0 * v, u * v
    q00, q10 = -dx * v0 - dy * u0, dx * v0 - dy * u
    q01, q11 = -dx * v + dy * u0, dx * v + dy * u
    hw0, hw1, gw0, gw1, gz = h * w0, h * w, g * w0, g * w, g * dz
    low0, low1 = hw0 - gz, hw1 + gz
    flat[at[0] + f] += p00 * low0 + q00 * gw0
    flat[at[1] + f] += p10 * low0 + q10 * gw0
    flat[at[2] + f] += p01 * low0 + q01 * gw0
    flat[at[3] + f] += p11 * low0 + q11 * gw0
    flat[at[4] + f] += p00 * low1 + q00 * gw1
    flat[at[5] + f] += p10 * low1 + q10 * gw1
    flat[at[6] + f] += p01 * low1 + q01 * gw1
    flat[at[7] + f] += p11 * low1 + q11 * gw1


@compiled
def gather(grid: Grid, rows: np.ndarray, first_channel: int, jacobian: np.ndarray, with_jacobian: bool, n: int) -> None:
    """Fills rows first_channel ... of (E, T) rows with features of the n points in its first three, and jacobian (C, 3, T)."""
    flat, n_features = grid.table.reshape(grid.table.size), grid.table.shape[1]
    for index in range(len(grid.resolutions)):
        c = index * n_features
        if with_jacobian:
            level, slopes = level_of(grid, index), jacobian[c : c + n_features]
            _gather_with_slopes(flat, level, n_features, rows, first_channel + c, slopes, n)
        else:
            gather_level(grid, index, rows, first_channel + c, n)


@compiled
def gather_level(grid: Grid, index: int, rows: np.ndarray, channel: int, n: int) -> None:
    """Fills rows channel ... of (E, T) rows with features of one level at the n points in its first three."""
    flat, n_features, level = grid.table.reshape(grid.table.size), grid.table.shape[1], level_of(grid, index)
    if n_features == N_FEATURES:
        for i in range(n):
            at, places, _ = corners(level, rows[0, i], rows[1, i], rows[2, i])
            features = read_four(flat, at, places)
            for f in range(N_FEATURES):
                rows[channel + f, i] = features[f]
        return
    for i in range(n):
        at, places, _ = corners(level, rows[0, i], rows[1, i], rows[2, i])
        # Pairs lie side by side in memory, and are read together.
        for f in range(0, n_features - 1, 2):
            rows[channel + f, i] = read(flat, at, np.uint64(f), places)
            rows[channel + f + 1, i] = read(flat, at, np.uint64(f + 1), places)
        if n_features % 2:
            rows[channel + n_features - 1, i] = read(flat, at, np.uint64(n_features - 1), places)


@compiled
def _gather_with_slopes(flat, level, n_features, rows, channel, jacobian, n):
    for i in range(n):
        at, places, slopes = corners(level, rows[0, i], rows[1, i], rows[2, i])
        for f in range(0, n_features - 1, 2):
            feature, x, y, z = read_with_slopes(flat, at, np.uint64(f), places, slopes)
            rows[channel + f, i], jacobian[f, 0, i], jacobian[f, 1, i], jacobian[f, 2, i] = feature, x, y, z
            feature, x, y, z = read_with_slopes(flat, at, np.uint64(f + 1), places, slopes)
            rows[channel + f + 1, i] = feature
            jacobian[f + 1, 0, i], jacobian[f + 1, 1, i], jacobian[f + 1, 2, i] = x, y, z
        if n_features % 2:
            f = n_features - 1
            feature, x, y, z = read_with_slopes(flat, at, np.uint64(f), places, slopes)
            rows[channel + f, i], jacobian[f, 0, i], jacobian[f, 1, i], jacobian[f, 2, i] = feature, x, y, z
