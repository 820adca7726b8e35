"""Costs of a plane sweep, compiled; signature and meaning are those of `reference.matching_cost`.

Planes are swept one by one and row by row: what a plane needs of five rows stays in the cache, and sums over windows are
carried from row to row. All sums are of integers, so that nothing is lost in them.
"""

import cv2
import numpy as np
from numba import njit
from numpy.typing import NDArray

from neus.kernels.sweep_cost.reference import LEVELS, N_INSIDE, NOISE, RADIUS, UNSEEN, inverse_deviation

# Not regrouped or contracted: the numbers are those of the reference.
_compiled = njit(cache=True, nogil=True, error_model="numpy")
_inlined = njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
_SIDE = 2 * RADIUS + 1
# Rows kept of each warped image: those of a window and the one that has just left it.
_KEPT = _SIDE + 1
_THEIR_NOISE = NOISE * N_INSIDE**2 * LEVELS**2


def matching_cost(
    grey: NDArray, others: list[NDArray], turns: NDArray, parallaxes: NDArray, inverse_depths: NDArray
) -> NDArray:
    """(H, W, D) uint8; see `reference.matching_cost`. Works in as much memory again as the result takes."""
    height, width = grey.shape
    volume = np.empty((len(inverse_depths), height * width), np.uint8)
    sizes = np.array([other.shape for other in others], np.int64).reshape(-1, 2)
    starts = np.concatenate([[0], np.cumsum(sizes.prod(axis=1))[:-1]])
    _sweep(
        np.pad(grey, RADIUS, "symmetric").astype(np.int32), _box_sums(grey), inverse_deviation(grey),
        np.concatenate([_quads(other) for other in others]), starts, sizes,
        np.asarray(turns, np.float32), np.asarray(parallaxes, np.float32), np.asarray(inverse_depths, np.float32),
        volume.reshape(-1, height, width),
    )  # fmt: skip
    return cv2.transpose(volume).reshape(height, width, len(inverse_depths))


def _box_sums(grey: NDArray) -> NDArray:
    sums = cv2.boxFilter(
        np.pad(grey, RADIUS, "symmetric"), cv2.CV_32S, (_SIDE, _SIDE), normalize=False, borderType=cv2.BORDER_CONSTANT
    )
    return np.ascontiguousarray(sums[RADIUS:-RADIUS, RADIUS:-RADIUS])


def _quads(image: NDArray) -> NDArray:
    """(h w,) int32: each pixel with those right of, below, and right below it, one byte each: one load for a sample."""
    wide = np.pad(image, ((0, 1), (0, 1)), "edge").astype(np.uint32)
    return (wide[:-1, :-1] | wide[:-1, 1:] << 8 | wide[1:, :-1] << 16 | wide[1:, 1:] << 24).view(np.int32).ravel()


@_compiled
def _sweep(padded, grey_sums, deviations, quads, starts, sizes, turns, parallaxes, inverse_depths, volume):
    n_planes, height, width = volume.shape
    n_others = len(turns)
    n_best = (n_others + 1) // 2
    warped = np.zeros((n_others, _KEPT, width + 2 * RADIUS), np.int16)
    seen = np.zeros((n_others, _KEPT, width), np.float32)
    sums = np.zeros((3, n_others, width + 2 * RADIUS), np.int32)
    score, best = np.zeros(width, np.float32), np.zeros((n_best, width), np.float32)
    places, right_part, lower_part = np.zeros(width, np.int32), np.zeros(width, np.float32), np.zeros(width, np.float32)
    for plane in range(n_planes):
        warped[:], sums[:] = 0, 0
        for i in range(height + 2 * RADIUS):
            y, slot = np.float32(_mirrored(i - RADIUS, height)), i % _KEPT
            done, middle = i - 2 * RADIUS, (i - RADIUS) % _KEPT
            best[:] = UNSEEN
            for other in range(n_others):
                turn, shift = turns[other], parallaxes[other] * inverse_depths[plane]
                row = warped[other, slot]
                _project_row(
                    sizes[other, 0], sizes[other, 1], (turn[0, 0], turn[1, 0], turn[2, 0]),
                    (turn[0, 1] * y + (turn[0, 2] + shift[0]), turn[1, 1] * y + (turn[1, 2] + shift[1]),
                     turn[2, 1] * y + (turn[2, 2] + shift[2])),
                    seen[other, slot], places, right_part, lower_part,
                )  # fmt: skip
                _load(quads[starts[other] :], places)
                _interpolate(places, right_part, lower_part, row[RADIUS : RADIUS + width])
                for k in range(RADIUS):
                    row[k] = row[RADIUS + _mirrored(k - RADIUS, width)]
                    row[RADIUS + width + k] = row[RADIUS + _mirrored(width + k, width)]
                _advance(
                    sums[0, other], sums[1, other], sums[2, other], warped[other, (i + 1) % _KEPT], row,
                    padded[max(i - _SIDE, 0)], padded[i],
                )  # fmt: skip
                if done >= 0:
                    _correlate(
                        sums[0, other], sums[1, other], sums[2, other], grey_sums[done], deviations[done],
                        seen[other, middle], score,
                    )  # fmt: skip
                    for rank in range(n_best):
                        _sort_in(best[rank], score)
            if done >= 0:
                _write_cost(best, volume[plane, done])


@_inlined
def _mirrored(index, size):
    if index < 0:
        index = -index - 1
    if index >= size:
        index = 2 * size - 1 - index
    return min(max(index, 0), size - 1)


@_inlined
def _advance(sums, squares, products, old, new, old_grey, new_grey):
    """Moves sums over rows on by one row: of the warped image, its squares, and its products with the grey levels."""
    for x in range(len(sums)):
        gone, come = np.int32(old[x]), np.int32(new[x])
        sums[x] = np.int32(sums[x] + np.int32(come - gone))
        squares[x] = np.int32(squares[x] + np.int32(np.int32(come * come) - np.int32(gone * gone)))
        change = np.int32(np.int32(come * new_grey[x]) - np.int32(gone * old_grey[x]))
        products[x] = np.int32(products[x] + change)


@_inlined
def _project_row(height, width, steps, starts, seen, places, right_part, lower_part):
    """Where pixels along a row of the view lie in a neighbour: 1 or 0 for seen or not, index of the pixel, parts of a pixel beyond."""
    right, bottom, zero, one = np.float32(width - 1), np.float32(height - 1), np.float32(0.0), np.float32(1.0)
    stride = np.int32(width)
    u_step, v_step, w_step = steps
    u_start, v_start, w_start = starts
    for x in range(len(seen)):
        ahead = w_step * np.float32(np.int32(x)) + w_start
        scale = one / ahead
        u = (u_step * np.float32(np.int32(x)) + u_start) * scale
        v = (v_step * np.float32(np.int32(x)) + v_start) * scale
        seen[x] = one if (ahead > zero) & (u >= zero) & (u <= right) & (v >= zero) & (v <= bottom) else zero
        # A comparison with NaN is false, and gives 0.
        u = u if u > zero else zero
        v = v if v > zero else zero
        u = u if u < right else right
        v = v if v < bottom else bottom
        column, line = np.int32(u), np.int32(v)
        places[x] = np.int32(np.int32(line * stride) + column)
        right_part[x], lower_part[x] = u - np.float32(column), v - np.float32(line)


@_inlined
def _load(quads, places):
    """Replaces each index by the value there. Gathers do not vectorise with the rest, hence a loop of its own."""
    for x in range(len(places)):
        places[x] = quads[np.uint32(places[x])]


@_inlined
def _interpolate(quads, right_part, lower_part, row):
    """Bilinear samples in quarter levels."""
    for x in range(len(quads)):
        quad = np.uint32(quads[x])
        here, there = np.float32(np.int32(quad & 255)), np.float32(np.int32((quad >> 8) & 255))
        below, below_there = np.float32(np.int32((quad >> 16) & 255)), np.float32(np.int32((quad >> 24) & 255))
        top = here + right_part[x] * (there - here)
        bottom = below + right_part[x] * (below_there - below)
        sample = top + lower_part[x] * (bottom - top)
        row[x] = np.int16(np.int32(sample * np.float32(LEVELS) + np.float32(0.5)))


@_inlined
def _correlate(sums, squares, products, grey_sums, deviations, seen, score):
    for x in range(len(score)):
        total = np.int32(np.int32(sums[x] + sums[x + 1]) + np.int32(sums[x + 2] + sums[x + 3]))
        total = np.int32(total + sums[x + 4])
        square = np.int32(np.int32(squares[x] + squares[x + 1]) + np.int32(squares[x + 2] + squares[x + 3]))
        square = np.int32(square + squares[x + 4])
        product = np.int32(np.int32(products[x] + products[x + 1]) + np.int32(products[x + 2] + products[x + 3]))
        product = np.int32(product + products[x + 4])
        n = np.int32(N_INSIDE)
        covariance = np.float32(np.int32(np.int32(n * product) - np.int32(total * grey_sums[x])))
        variance = np.float32(np.int32(np.int32(n * square) - np.int32(total * total)))
        found = covariance * deviations[x] / np.sqrt(variance + np.float32(_THEIR_NOISE))
        score[x] = found if seen[x] > np.float32(0.0) else np.float32(UNSEEN)


@_inlined
def _sort_in(best, score):
    """The greater of both goes to `best`, the other one stays for the next rank."""
    for x in range(len(score)):
        greater = best[x] if best[x] > score[x] else score[x]
        score[x] = best[x] if best[x] < score[x] else score[x]
        best[x] = greater


@_inlined
def _write_cost(best, cost):
    count, one, zero = np.float32(len(best)), np.float32(1.0), np.float32(0.0)
    for x in range(len(cost)):
        total = zero
        for rank in range(len(best)):
            total += best[rank, x]
        part = one - total / count
        part = part if part > zero else zero
        part = part if part < one else one
        cost[x] = np.uint8(np.int32(np.float32(255.0) * part + np.float32(0.5)))
