"""What depth maps say about points near a surface, compiled; see `reference` for signature and meaning."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from neus.kernels.band_fusion.reference import BEHIND, SMOOTH
from neus.kernels.jit import compiled
from neus.kernels.threads import ranges, run_tasks

# Points at a time: their sums stay in the cache while one view after another adds to them.
CHUNK = 1 << 12


def evidence(
    points: NDArray, matrices: NDArray, depths: Sequence[NDArray], cosines: Sequence[NDArray], reach: float
) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    """(n,) numbers of views near, mean distances, numbers of views through and behind; see `reference.evidence`."""
    points = np.ascontiguousarray(points, np.float32)
    n_near, n_through, n_behind = (np.zeros(len(points), np.int32) for _ in range(3))
    total, weight = np.zeros(len(points), np.float32), np.zeros(len(points), np.float32)
    # Both lie side by side, so that what is read of a pixel is contiguous.
    images = [
        np.stack([image, slants], axis=-1).astype(np.float32) for image, slants in zip(depths, cosines, strict=True)
    ]
    matrices = matrices.astype(np.float32)

    def add(start: int, end: int) -> None:
        part = slice(start, end)
        sums = n_near[part], total[part], weight[part], n_through[part], n_behind[part]
        for matrix, image in zip(matrices, images, strict=True):
            _add(points[part], matrix, image, np.float32(reach), *sums)

    run_tasks(add, ranges(len(points), CHUNK))
    total /= np.where(n_near > 0, weight, np.float32(1.0))
    return n_near, total, n_through, n_behind


@compiled
def _add(points, matrix, image, reach, n_near, total, weight, n_through, n_behind):
    height, width = image.shape[:2]
    half, smooth, last = np.float32(0.5), np.float32(SMOOTH), -np.float32(BEHIND) * reach
    flat, right, down, zero = image.reshape(-1, 2), np.uint64(1), np.uint64(width), np.uint64(0)
    for p in range(len(points)):
        px, py, pz = points[p, 0], points[p, 1], points[p, 2]
        z = matrix[2, 0] * px + matrix[2, 1] * py + matrix[2, 2] * pz + matrix[2, 3]
        x = (matrix[0, 0] * px + matrix[0, 1] * py + matrix[0, 2] * pz + matrix[0, 3]) / z
        y = (matrix[1, 0] * px + matrix[1, 1] * py + matrix[1, 2] * pz + matrix[1, 3]) / z
        if not (z > 0 and x >= 0 and y >= 0 and x < width - 1 and y < height - 1):
            continue
        j, i = int(x), int(y)
        u, v = x - np.float32(j), y - np.float32(i)
        at = np.uint64(i) * down + np.uint64(j)
        a, b, c, d = flat[at, 0], flat[at + right, 0], flat[at + down, 0], flat[at + down + right, 0]
        nearest = at + (down if v > half else zero) + (right if u > half else zero)
        seen, cosine = flat[nearest, 0], flat[nearest, 1]
        upper, lower = a + u * (b - a), c + u * (d - c)
        spread = max(max(a, b), max(c, d)) - min(min(a, b), min(c, d))
        mean = upper + v * (lower - upper)
        # The mean is not a number where any of the four is not.
        if spread < smooth * seen and mean == mean:
            seen = mean
        before = seen - z
        if abs(before) <= reach:
            n_near[p] += 1
            total[p] += cosine * cosine * before
            weight[p] += cosine
        elif before > reach:
            n_through[p] += 1
        elif before < -reach and before > last:
            n_behind[p] += 1
