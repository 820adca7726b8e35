"""What depth maps say about points near a surface, plainly: one map after another, all points at once.

A point at depth z of a view that sees the surface at depth s is d = s - z before it along the ray and about d c before it
in space, c the cosine between ray and normal. As c also says how accurately a view measures that, it is its weight in the average (Curless
& Levoy 1996).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

# Depths around a point are interpolated where they differ by less than this fraction, else the nearest is taken.
SMOOTH = 0.02
# A point so many reaches behind what is seen may still be inside of it; farther behind nothing is known.
BEHIND = 3.0


def evidence(
    points: NDArray, matrices: NDArray, depths: Sequence[NDArray], cosines: Sequence[NDArray], reach: float
) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    """How many views see the surface near each point, before it and behind it, and where those near see it.

    Args:
        points: (n, 3) float32.
        matrices: (V, 3, 4), points to homogeneous pixels, pixel centres at integers; the third row gives depth.
        depths: V of (H, W) float32, NaN where nothing is known; sizes may differ.
        cosines: V of (H, W) float32 in (0, 1], of the surface at each pixel.
        reach: |d| up to which a point is near.

    Returns:
        (n,) int32 number of views with |d| <= reach; (n,) float32 sum of their c^2 d over that of their c, 0 for none; (n,)
        int32 numbers of views with d > reach (they see through the point) and with -3 reach < d < -reach (it is behind what
        they see).
    """
    n = len(points)
    n_near, n_through, n_behind = (np.zeros(n, np.int32) for _ in range(3))
    total, weight = np.zeros(n, np.float32), np.zeros(n, np.float32)
    for matrix, image, slants in zip(matrices, depths, cosines, strict=True):
        x, y, z = matrix.astype(np.float32) @ np.vstack([points.T, np.ones(n)]).astype(np.float32)
        with np.errstate(divide="ignore", invalid="ignore"):
            seen, cosine = _at(image, slants, x / z, y / z)
            d = np.where(z > 0, seen - z, np.nan)
            is_near = np.abs(d) <= reach
            n_near += is_near
            total += np.where(is_near, cosine * cosine * d, 0.0)
            weight += np.where(is_near, cosine, 0.0)
            n_through += d > reach
            n_behind += (d < -reach) & (d > -BEHIND * reach)
    return n_near, total / np.where(n_near > 0, weight, np.float32(1.0)), n_through, n_behind


def _at(image: NDArray, slants: NDArray, x: NDArray, y: NDArray) -> tuple[NDArray, NDArray]:
    """(n,) depths at pixels: bilinear where the four around are known and alike, else the nearest; NaN outside. And cosines."""
    height, width = image.shape
    is_inside = (x >= 0) & (y >= 0) & (x < width - 1) & (y < height - 1)
    x, y = np.where(is_inside, x, 0.0).astype(np.float32), np.where(is_inside, y, 0.0).astype(np.float32)
    j, i = x.astype(np.int64), y.astype(np.int64)
    u, v = x - j, y - i
    a, b, c, d = image[i, j], image[i, j + 1], image[i + 1, j], image[i + 1, j + 1]
    upper, lower = a + u * (b - a), c + u * (d - c)
    row, column = i + (v > 0.5), j + (u > 0.5)
    nearest = image[row, column]
    four = np.stack([a, b, c, d])
    is_smooth = four.max(axis=0) - four.min(axis=0) < SMOOTH * nearest
    depths = np.where(is_inside, np.where(is_smooth, upper + v * (lower - upper), nearest), np.nan)
    return depths, slants[row, column]
