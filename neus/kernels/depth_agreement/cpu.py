"""Whether two depth maps show the same surface, compiled; signature and meaning are those of `reference`."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

_compiled = njit(cache=True, nogil=True, error_model="numpy")


def agreements(depths: NDArray, to_other: NDArray, other_depths: NDArray, tolerance: float) -> NDArray:
    """(H, W) bool; see `reference.agreements`."""
    agrees = np.zeros(depths.shape, np.bool_)
    _compare(
        np.ascontiguousarray(depths, np.float32), np.ascontiguousarray(to_other, np.float64),
        np.ascontiguousarray(other_depths, np.float32), float(tolerance), agrees,
    )  # fmt: skip
    return agrees


@_compiled
def _compare(depths, to_other, other_depths, tolerance, agrees):
    height, width = other_depths.shape
    for v in range(depths.shape[0]):
        for u in range(depths.shape[1]):
            z = np.float64(depths[v, u])
            if not z > 0.0:
                continue
            ahead = to_other[2, 0] * (z * u) + to_other[2, 1] * (z * v) + to_other[2, 2] * z + to_other[2, 3]
            if not ahead > 0.0:
                continue
            across = to_other[0, 0] * (z * u) + to_other[0, 1] * (z * v) + to_other[0, 2] * z + to_other[0, 3]
            down = to_other[1, 0] * (z * u) + to_other[1, 1] * (z * v) + to_other[1, 2] * z + to_other[1, 3]
            column, line = np.floor(across / ahead + 0.5), np.floor(down / ahead + 0.5)
            if 0 <= column < width and 0 <= line < height:
                theirs = np.float64(other_depths[int(line), int(column)])
                agrees[v, u] = abs(1.0 / ahead - 1.0 / theirs) < tolerance
