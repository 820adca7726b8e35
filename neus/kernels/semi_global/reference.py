"""Semi-global matching, plainly: one direction after another, one pixel after another, all labels at once."""

import numpy as np
from numpy.typing import NDArray

# Row and column steps of the paths that end in a pixel: four come from pixels earlier in reading order, four from later ones.
PATHS = ((0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1), (-1, 0), (-1, 1))
# Grey levels between neighbours that halve the penalty of a jump: depths jump at edges of the image rather than elsewhere.
HALVING_CONTRAST = 8.0
# A path's cost is at most 255 + p2, and the sum over eight paths has to fit 16 bits.
LARGEST_PENALTY = 7000


def aggregate(cost: NDArray, grey: NDArray, p1: int, p2: int) -> NDArray:
    """Costs summed over eight paths through each pixel, small where a label fits the pixel and what surrounds it.

    Along a path with step r (Hirschmueller 2008, eq. 13)

        L(p, d) = C(p, d) + min(L(q, d), L(q, d - 1) + p1, L(q, d + 1) + p1, min_k L(q, k) + P) - min_k L(q, k),  q = p - r,

    and L = C where the path enters the image. A change by one label costs p1; a jump P = p2 / (1 + |I_p - I_q| / 8), rounded
    down, but at least p1 + 1.

    Args:
        cost: (H, W, D) uint8.
        grey: (H, W) float32, grey levels.
        p1, p2: penalties in units of the cost, 0 <= p1 < p2 <= 7000.

    Returns:
        (H, W, D) uint16.

    >>> aggregate(np.array([[[0, 9], [5, 3]]], np.uint8), np.zeros((1, 2), np.float32), 1, 2)
    array([[[ 1, 72],
            [40, 25]]], dtype=uint16)
    """
    check_penalties(p1, p2)
    total = np.zeros(cost.shape, np.uint16)
    for down, right in PATHS:
        # Mirrored, each path runs down or, within a row, to the right.
        rows, columns = slice(None, None, down or 1), slice(None, None, right or 1)
        mirrored = total[rows, columns]
        mirrored += _path(cost[rows, columns].astype(np.int32), grey[rows, columns], abs(down), abs(right), p1, p2)
    return total


def _path(cost: NDArray, grey: NDArray, down: int, right: int, p1: int, p2: int) -> NDArray:
    height, width, _ = cost.shape
    path = cost.copy()
    for y in range(down, height):
        for x in range(right, width):
            before = path[y - down, x - right]
            least = before.min()
            smooth = np.minimum(before, least + jump_penalty(grey[y, x], grey[y - down, x - right], p1, p2))
            smooth[1:] = np.minimum(smooth[1:], before[:-1] + p1)
            smooth[:-1] = np.minimum(smooth[:-1], before[1:] + p1)
            path[y, x] += smooth - least
    return path.astype(np.uint16)


def jump_penalty(here: np.float32, there: np.float32, p1: int, p2: int) -> int:
    """Penalty of a jump between neighbouring pixels of two grey levels."""
    contrast = np.float32(abs(here - there)) / np.float32(HALVING_CONTRAST)
    return max(p1 + 1, int(np.float32(p2) / (np.float32(1.0) + contrast)))


def subpixel_minimum(total: NDArray) -> tuple[NDArray, NDArray]:
    """The label of least cost at each pixel, and how far from it a parabola through it and both neighbours has its minimum.

    Args:
        total: (H, W, D) uint16.

    Returns:
        (H, W) int32, the first one of equal labels, and (H, W) float32 in [-0.5, 0.5], NaN where the label is the first or
        the last one: what is sought may lie beyond.

    >>> subpixel_minimum(np.array([[[9, 4, 5, 9], [1, 2, 3, 4]]], np.uint16))
    (array([[1, 0]], dtype=int32), array([[0.33333334,        nan]], dtype=float32))
    """
    n_labels = total.shape[2]
    labels = total.argmin(axis=2)
    if n_labels < 3:
        return labels.astype(np.int32), np.full(labels.shape, np.nan, np.float32)
    inner = np.clip(labels, 1, n_labels - 2)
    before, here, after = (
        np.take_along_axis(total, (inner + step)[..., None], axis=2)[..., 0].astype(np.float32) for step in (-1, 0, 1)
    )
    bend = before + after - 2.0 * here
    offset = np.where(bend > 0.0, np.float32(0.5) * (before - after) / np.maximum(bend, 1.0), 0.0)
    offset = np.where(labels == inner, offset, np.nan)
    return labels.astype(np.int32), offset.astype(np.float32)


def check_penalties(p1: int, p2: int) -> None:
    """Raises ValueError for penalties whose sums would not fit 16 bits or whose jump costs no more than a step."""
    if not 0 <= p1 < p2 <= LARGEST_PENALTY:
        raise ValueError(f"penalties p1 = {p1}, p2 = {p2}: expected 0 <= p1 < p2 <= {LARGEST_PENALTY}.")
