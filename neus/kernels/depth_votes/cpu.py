"""What one depth map says of the vertices of a lattice, compiled; see `reference` for signature and meaning."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from neus.kernels.depth_votes.reference import SMOOTH_REACHES

# No fast mathematics: rounded like the reference, so that no vote differs.
_compiled = njit(cache=True, nogil=True, error_model="numpy")


def add_votes(
    matrix: NDArray,
    depths: NDArray,
    limits: NDArray,
    first: int,
    reach: float,
    thickness: float,
    free: NDArray,
    near: NDArray,
    behind: NDArray,
    weight: NDArray,
    total: NDArray,
) -> None:
    """Adds one view's votes on the vertices of a slab, in place; see `reference.add_votes`."""
    axis = np.linspace(-1.0, 1.0, free.shape[1]).astype(np.float32)
    matrix = np.ascontiguousarray(matrix, dtype=np.float32)
    planes = axis[first : first + len(free)]
    _vote(
        matrix,
        depths,
        limits,
        planes,
        axis,
        np.float32(reach),
        np.float32(thickness),
        free,
        near,
        behind,
        weight,
        total,
    )


@_compiled
def _vote(matrix, depths, limits, planes, axis, reach, thickness, free, near, behind, weight, total):
    height, width = depths.shape
    half, least = np.float32(0.5), np.float32(1e-6)
    for i in range(len(planes)):
        for j in range(len(axis)):
            across = matrix[0, 0] * planes[i] + matrix[0, 1] * axis[j]
            down = matrix[1, 0] * planes[i] + matrix[1, 1] * axis[j]
            ahead = matrix[2, 0] * planes[i] + matrix[2, 1] * axis[j]
            for k in range(len(axis)):
                depth = ahead + matrix[2, 2] * axis[k] + matrix[2, 3]
                if not depth > least:
                    continue
                u = (across + matrix[0, 2] * axis[k] + matrix[0, 3]) / depth
                v = (down + matrix[1, 2] * axis[k] + matrix[1, 3]) / depth
                if not (u > -half and v > -half and u < width - half and v < height - half):
                    continue
                column, row = np.uint64(u + half), np.uint64(v + half)
                if limits[row, column] - depth > reach:
                    free[i, j, k] += np.uint16(1)
                before = depths[row, column] - depth
                # Nothing is known, or it is far: not a number compares false.
                if not (before > -thickness - reach and before <= np.float32(2.0) * reach):
                    continue
                if abs(before) <= np.float32(2.0) * reach:
                    before = _interpolated(depths, u, v, before + depth, np.float32(SMOOTH_REACHES) * reach) - depth
                if abs(before) <= reach:
                    near[i, j, k] += np.uint16(1)
                    near_weight = np.float32(1.0) - abs(before) / reach
                    weight[i, j, k] += near_weight
                    total[i, j, k] += near_weight * before
                if before < -half * reach and before > -thickness:
                    behind[i, j, k] += np.uint16(1)


@_compiled
def _interpolated(depths, u, v, nearest, smooth):
    height, width = depths.shape
    if not (u >= 0 and v >= 0 and u < width - 1 and v < height - 1):
        return nearest
    left, top = np.uint64(u), np.uint64(v)
    right, bottom = left + np.uint64(1), top + np.uint64(1)
    a, b, c, d = depths[top, left], depths[top, right], depths[bottom, left], depths[bottom, right]
    # Written so that one unknown depth makes it false.
    spread = max(abs(a - d), abs(b - c), abs(a - b), abs(c - d), abs(a - c), abs(b - d))
    if not (abs(a + b + c + d) < np.float32(np.inf) and spread <= smooth):
        return nearest
    x, y = u - np.float32(left), v - np.float32(top)
    upper, lower = a + x * (b - a), c + x * (d - c)
    return upper + y * (lower - upper)
