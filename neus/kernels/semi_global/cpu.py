"""Semi-global matching, compiled; signatures and meanings are those of `reference`.

Four of the paths run through the image together in reading order, the other four against it. Of each path the last row
is kept, with a border of labels and pixels, so that the loops over labels have no branches and fill vector registers.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from neus.kernels.semi_global.reference import HALVING_CONTRAST, check_penalties

# Nothing is regrouped or contracted here: the numbers are those of the reference, bit by bit.
_compiled = njit(cache=True, nogil=True, error_model="numpy")
_inlined = njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
# Cost of labels out of range: above every path's cost, and still within 16 bits with a penalty added.
_HIGH = 30000


def aggregate(cost: NDArray, grey: NDArray, p1: int, p2: int) -> NDArray:
    """(H, W, D) uint16 costs summed over eight paths; see `reference.aggregate`. Works in 16 W D bytes besides the result."""
    check_penalties(p1, p2)
    cost, grey = np.ascontiguousarray(cost), np.ascontiguousarray(grey, dtype=np.float32)
    height, width, n_labels = cost.shape
    total = np.zeros(cost.shape, np.uint16)
    # Four paths, two rows in turn, a pixel and a label beyond each end.
    rows = np.empty((4, 2, width + 2, n_labels + 2), np.uint16)
    for is_backward in (False, True):
        _pass(cost, grey, np.uint16(p1), p2, is_backward, rows, total)
    return total


@_compiled
def _pass(cost, grey, p1, p2, is_backward, rows, total):
    height, width, n_labels = cost.shape
    least = np.zeros((4, 2, width + 2), np.uint16)
    # What enters the image from outside has L = 0 for all labels: then L = C at its first pixel.
    rows[:] = 0
    rows[..., 0], rows[..., n_labels + 1] = _HIGH, _HIGH
    step = -1 if is_backward else 1
    for i in range(height):
        y = height - 1 - i if is_backward else i
        now, last = i % 2, 1 - i % 2
        for j in range(width):
            x = width - 1 - j if is_backward else j
            for path in range(4):
                # Along the row; and from the row before: one earlier, the same, one later.
                row = now if path == 0 else last
                there = j if path < 2 else j + path - 1
                y_there = y if path == 0 else y - step
                x_there = x + step * (there - j - 1)
                penalty = p1 + 1
                if 0 <= y_there < height and 0 <= x_there < width:
                    contrast = np.float32(abs(grey[y, x] - grey[y_there, x_there])) / np.float32(HALVING_CONTRAST)
                    penalty = max(penalty, int(np.float32(p2) / (np.float32(1.0) + contrast)))
                least[path, now, j + 1] = _advance(
                    rows[path, row, there], least[path, row, there], np.uint16(penalty), p1, cost[y, x],
                    rows[path, now, j + 1], total[y, x],
                )  # fmt: skip


@_inlined
def _advance(before, least, penalty, p1, cost, path, total):
    """Writes a path's cost of all labels at one pixel and adds it to the total; returns the least of them."""
    jump, smallest = np.uint16(least + penalty), np.uint16(65535)
    for label in range(len(cost)):
        here = min(before[label + 1], jump)
        here = min(here, np.uint16(before[label] + p1))
        here = min(here, np.uint16(before[label + 2] + p1))
        here = np.uint16(np.uint16(here - least) + np.uint16(cost[label]))
        path[label + 1] = here
        total[label] = np.uint16(total[label] + here)
        smallest = min(smallest, here)
    return smallest


def subpixel_minimum(total: NDArray) -> tuple[NDArray, NDArray]:
    """(H, W) labels of least cost and (H, W) offsets of a parabola's minimum; see `reference.subpixel_minimum`."""
    labels, offsets = np.empty(total.shape[:2], np.int32), np.empty(total.shape[:2], np.float32)
    _minimum(np.ascontiguousarray(total), labels, offsets)
    return labels, offsets


@_compiled
def _minimum(total, labels, offsets):
    height, width, n_labels = total.shape
    for y in range(height):
        for x in range(width):
            costs = total[y, x]
            smallest = np.uint16(65535)
            for label in range(n_labels):
                smallest = min(smallest, costs[label])
            first = 0
            while costs[first] != smallest:
                first += 1
            labels[y, x], offsets[y, x] = first, np.nan
            if 0 < first < n_labels - 1:
                before, here, after = np.float32(costs[first - 1]), np.float32(smallest), np.float32(costs[first + 1])
                bend = before + after - np.float32(2.0) * here
                offsets[y, x] = np.float32(0.5) * (before - after) / bend if bend > 0 else 0.0
