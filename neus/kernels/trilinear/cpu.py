"""Trilinear values at one point, for compiled loops on a CPU; see `reference`. In single and double precision."""

import numpy as np

from neus.kernels.jit import inlined

_ONE = np.uint64(1)


@inlined
def cell(coordinate: float, n_cells: int) -> tuple[int, float, float]:
    """Of n_cells over [-1, 1]: the cell of a coordinate, position in it from 0 to 1, and slope of that position.

    Outside the box they are those of its nearest point, and the slope is zero.
    """
    number = type(coordinate)
    zero, one, last = number(0), number(1), number(n_cells)
    slope = number(0.5) * last
    position = (coordinate + one) * slope
    if position < zero or position > last:
        slope = zero
        position = min(max(position, zero), last)
    # Clamped again as a whole number: the far face belongs to the last cell, and NaN must not become an address.
    index = min(max(np.int64(position), 0), n_cells - 1)
    return index, position - number(index), slope


@inlined
def trilinear(values: np.ndarray, x: float, y: float, z: float) -> float:
    """The value at a point of (P, P, P) values."""
    n_cells = values.shape[0] - 1
    i, u, _ = cell(x, n_cells)
    j, v, _ = cell(y, n_cells)
    k, w, _ = cell(z, n_cells)
    # Unsigned: numba checks each signed index for counting from the end.
    i, j, k = np.uint64(i), np.uint64(j), np.uint64(k)
    a = values[i, j, k] + w * (values[i, j, k + _ONE] - values[i, j, k])
    b = values[i, j + _ONE, k] + w * (values[i, j + _ONE, k + _ONE] - values[i, j + _ONE, k])
    i += _ONE
    c = values[i, j, k] + w * (values[i, j, k + _ONE] - values[i, j, k])
    d = values[i, j + _ONE, k] + w * (values[i, j + _ONE, k + _ONE] - values[i, j + _ONE, k])
    low, high = a + v * (b - a), c + v * (d - c)
    return low + u * (high - low)
