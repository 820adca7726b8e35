"""Point sets thinned to a distance through a hashed grid, compiled; signature and meaning are those of `reference`."""

import numpy as np
from numba import njit

_compiled = njit(cache=True, nogil=True, error_model="numpy")


def keeps_of_thinning(points: np.ndarray, distance: float) -> np.ndarray:
    """(n,) bool: which points stay; see `reference.keeps_of_thinning`."""
    points = np.ascontiguousarray(points, dtype=np.float64)
    keeps = np.zeros(len(points), np.bool_)
    n_buckets = 1 << max(4, (2 * len(points)).bit_length())
    _thin(points, float(distance), np.full(n_buckets, -1, np.int32), np.empty(len(points), np.int32), keeps)
    return keeps


@_compiled
def _thin(points, distance, heads, nexts, keeps):
    """Kept points form chains, one for each bucket of cells as wide as the distance; collisions only cost time."""
    mask, squared = len(heads) - 1, distance * distance
    for i in range(len(points)):
        x, y, z = points[i, 0], points[i, 1], points[i, 2]
        cell_x, cell_y, cell_z = _cell(x, distance), _cell(y, distance), _cell(z, distance)
        is_free = True
        for neighbour in range(27):
            x_there, y_there = cell_x + neighbour // 9 - 1, cell_y + neighbour // 3 % 3 - 1
            j = heads[_bucket(x_there, y_there, cell_z + neighbour % 3 - 1, mask)]
            while j >= 0:
                if (points[j, 0] - x) ** 2 + (points[j, 1] - y) ** 2 + (points[j, 2] - z) ** 2 <= squared:
                    is_free = False
                    break
                j = nexts[j]
            if not is_free:
                break
        if is_free:
            keeps[i] = True
            bucket = _bucket(cell_x, cell_y, cell_z, mask)
            nexts[i], heads[bucket] = heads[bucket], i


@_compiled
def _cell(coordinate, distance):
    return np.int64(np.floor(coordinate / distance))


@_compiled
def _bucket(x, y, z, mask):
    mixed = (x * 73856093) ^ (y * 19349663) ^ (z * 83492791)
    return (mixed ^ (mixed >> 17)) & mask
