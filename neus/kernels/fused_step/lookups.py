"""The grid's features and their Jacobian for a tile of samples, and the way back into the table."""

import numpy as np

from neus.kernels.fused_step.arguments import Grid, Samples
from neus.kernels.fused_step.products import HALF, ONE, ZERO, compiled
from neus.kernels.hash_encode.layout import HASH_FACTORS

_Y_FACTOR, _Z_FACTOR = (np.uint32(factor) for factor in HASH_FACTORS)


@compiled
def _cell(coordinate, resolution):
    """Cell along one axis, place in it from 0 to 1, and slope of that place; outside the box the slope is zero."""
    per_unit = HALF * np.float32(resolution)
    position, slope, last = (coordinate + ONE) * per_unit, per_unit, np.float32(resolution)
    if position < ZERO or position > last:
        slope = ZERO
        position = min(max(position, ZERO), last)
    # Clamped again as a whole number, since NaN must not become an address.
    cell = min(max(np.int64(position), 0), resolution - 1)
    return cell, position - np.float32(cell), slope


@compiled
def _rows(x, y, z, first, resolution, is_dense, mask):
    """Rows of the eight corners of a cell, x fastest."""
    if is_dense:
        to_y, to_z = np.int64(resolution) + 1, (np.int64(resolution) + 1) ** 2
        row = first + x + to_y * y + to_z * z
        return (
            row,
            row + 1,
            row + to_y,
            row + to_y + 1,
            row + to_z,
            row + to_z + 1,
            row + to_z + to_y,
            row + to_z + to_y + 1,
        )
    x0, x1 = np.uint32(x), np.uint32(x + 1)
    y0, z0 = np.uint32(y) * _Y_FACTOR, np.uint32(z) * _Z_FACTOR
    y1, z1 = y0 + _Y_FACTOR, z0 + _Z_FACTOR
    a, b, c, d = y0 ^ z0, y1 ^ z0, y0 ^ z1, y1 ^ z1
    return (
        first + np.int64((x0 ^ a) & mask),
        first + np.int64((x1 ^ a) & mask),
        first + np.int64((x0 ^ b) & mask),
        first + np.int64((x1 ^ b) & mask),
        first + np.int64((x0 ^ c) & mask),
        first + np.int64((x1 ^ c) & mask),
        first + np.int64((x0 ^ d) & mask),
        first + np.int64((x1 ^ d) & mask),
    )


@compiled
def gather(grid: Grid, inputs: np.ndarray, jacobian: np.ndarray, with_jacobian: bool, n: int) -> None:
    """Fills rows 3 ... of inputs (3 + C, T) with features of the points in its first three, and jacobian (C, 3, T)."""
    table, n_features = grid.table, grid.table.shape[1]
    for level in range(len(grid.resolutions)):
        resolution, first, is_dense = grid.resolutions[level], grid.offsets[level], grid.is_dense[level]
        for i in range(n):
            x, u, slope_x = _cell(inputs[0, i], resolution)
            y, v, slope_y = _cell(inputs[1, i], resolution)
            z, w, slope_z = _cell(inputs[2, i], resolution)
            rows = _rows(x, y, z, first, resolution, is_dense, grid.hash_mask)
            for f in range(n_features):
                v0, v1, v2, v3 = table[rows[0], f], table[rows[1], f], table[rows[2], f], table[rows[3], f]
                v4, v5, v6, v7 = table[rows[4], f], table[rows[5], f], table[rows[6], f], table[rows[7], f]
                d0, d1, d2, d3 = v1 - v0, v3 - v2, v5 - v4, v7 - v6
                a0, a1, a2, a3 = v0 + u * d0, v2 + u * d1, v4 + u * d2, v6 + u * d3
                e0, e1 = a1 - a0, a3 - a2
                b0, b1 = a0 + v * e0, a2 + v * e1
                c = level * n_features + f
                inputs[3 + c, i] = b0 + w * (b1 - b0)
                if with_jacobian:
                    g0, g1 = d0 + v * (d1 - d0), d2 + v * (d3 - d2)
                    jacobian[c, 0, i] = slope_x * (g0 + w * (g1 - g0))
                    jacobian[c, 1, i] = slope_y * (e0 + w * (e1 - e0))
                    jacobian[c, 2, i] = slope_z * (b1 - b0)


@compiled
def gather_features(grid: Grid, rows: np.ndarray, first_channel: int, n: int) -> None:
    """Fills rows first_channel ... of (E, T) rows with features of the points in its first three."""
    table, n_features = grid.table, grid.table.shape[1]
    for level in range(len(grid.resolutions)):
        resolution, first, is_dense = grid.resolutions[level], grid.offsets[level], grid.is_dense[level]
        for i in range(n):
            x, u, _ = _cell(rows[0, i], resolution)
            y, v, _ = _cell(rows[1, i], resolution)
            z, w, _ = _cell(rows[2, i], resolution)
            at = _rows(x, y, z, first, resolution, is_dense, grid.hash_mask)
            for f in range(n_features):
                a0 = table[at[0], f] + u * (table[at[1], f] - table[at[0], f])
                a1 = table[at[2], f] + u * (table[at[3], f] - table[at[2], f])
                a2 = table[at[4], f] + u * (table[at[5], f] - table[at[4], f])
                a3 = table[at[6], f] + u * (table[at[7], f] - table[at[6], f])
                b0, b1 = a0 + v * (a1 - a0), a2 + v * (a3 - a2)
                rows[first_channel + level * n_features + f, i] = b0 + w * (b1 - b0)


@compiled
def scatter_features(grid: Grid, level: int, samples: Samples, grad_table: np.ndarray) -> None:
    """Adds the gradient of one level's rows of the colour grid: the transpose of `gather_features`."""
    n_features = grad_table.shape[1]
    resolution, first, is_dense = grid.resolutions[level], grid.offsets[level], grid.is_dense[level]
    for m in range(samples.points.shape[1]):
        if not samples.is_seen[m]:
            continue
        x, u, _ = _cell(samples.points[0, m], resolution)
        y, v, _ = _cell(samples.points[1, m], resolution)
        z, w, _ = _cell(samples.points[2, m], resolution)
        at = _rows(x, y, z, first, resolution, is_dense, grid.hash_mask)
        u0, v0, w0 = ONE - u, ONE - v, ONE - w
        p00, p10, p01, p11 = u0 * v0, u * v0, u0 * v, u * v
        for f in range(n_features):
            h = samples.grad_color_features[level * n_features + f, m]
            low, high = h * w0, h * w
            grad_table[at[0], f] += p00 * low
            grad_table[at[1], f] += p10 * low
            grad_table[at[2], f] += p01 * low
            grad_table[at[3], f] += p11 * low
            grad_table[at[4], f] += p00 * high
            grad_table[at[5], f] += p10 * high
            grad_table[at[6], f] += p01 * high
            grad_table[at[7], f] += p11 * high


@compiled
def scatter(grid: Grid, level: int, samples: Samples, grad_table: np.ndarray) -> None:
    """Adds the gradient of one level's rows: weight of each corner times grad_features, and its slope along grad_normals times
    the cotangents, since the normal is the Jacobian's transpose applied to those.
    """
    n_features = grad_table.shape[1]
    resolution, first, is_dense = grid.resolutions[level], grid.offsets[level], grid.is_dense[level]
    for m in range(samples.points.shape[1]):
        x, u, slope_x = _cell(samples.points[0, m], resolution)
        y, v, slope_y = _cell(samples.points[1, m], resolution)
        z, w, slope_z = _cell(samples.points[2, m], resolution)
        rows = _rows(x, y, z, first, resolution, is_dense, grid.hash_mask)
        dx, dy, dz = (
            samples.grad_normals[0, m] * slope_x,
            samples.grad_normals[1, m] * slope_y,
            samples.grad_normals[2, m] * slope_z,
        )
        u0, v0, w0 = ONE - u, ONE - v, ONE - w
        # Weights and directional slopes of the eight corners, built up axis by axis.
        p00, p10, p01, p11 = u0 * v0, u * v0, u0 * v, u * v
        q00, q10 = -dx * v0 - dy * u0, dx * v0 - dy * u
        q01, q11 = -dx * v + dy * u0, dx * v + dy * u
        for f in range(n_features):
            c = level * n_features + f
            h, g = samples.grad_features[c, m], samples.cotangents[c, m]
            hw0, hw1, gw0, gw1, gz = h * w0, h * w, g * w0, g * w, g * dz
            low0, low1 = hw0 - gz, hw1 + gz
            grad_table[rows[0], f] += p00 * low0 + q00 * gw0
            grad_table[rows[1], f] += p10 * low0 + q10 * gw0
            grad_table[rows[2], f] += p01 * low0 + q01 * gw0
            grad_table[rows[3], f] += p11 * low0 + q11 * gw0
            grad_table[rows[4], f] += p00 * low1 + q00 * gw1
            grad_table[rows[5], f] += p10 * low1 + q10 * gw1
            grad_table[rows[6], f] += p01 * low1 + q01 * gw1
            grad_table[rows[7], f] += p11 * low1 + q11 * gw1


@compiled
def read_lattice(values: np.ndarray, x: float, y: float, z: float) -> float:
    """Trilinear value of (P, P, P) values at linspace(-1, 1, P) per axis; outside the box that of its nearest point."""
    resolution = values.shape[0] - 1
    i, u, _ = _cell(x, resolution)
    j, v, _ = _cell(y, resolution)
    k, w, _ = _cell(z, resolution)
    a = values[i, j, k] + w * (values[i, j, k + 1] - values[i, j, k])
    b = values[i, j + 1, k] + w * (values[i, j + 1, k + 1] - values[i, j + 1, k])
    c = values[i + 1, j, k] + w * (values[i + 1, j, k + 1] - values[i + 1, j, k])
    d = values[i + 1, j + 1, k] + w * (values[i + 1, j + 1, k + 1] - values[i + 1, j + 1, k])
    low, high = a + v * (b - a), c + v * (d - c)
    return low + u * (high - low)
