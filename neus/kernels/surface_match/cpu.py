"""How well images agree about a surface at offsets of its inverse depth, compiled; see `reference` for signature and meaning.

Tiles without surface are skipped, and within a tile all buffers of one neighbour stay in the cache. The four grey levels
between which a value lies are one word in memory, so that a vector of values takes one gather. Sums over windows are sums of
columns, which move on from row to row, and then of rows.
"""

import numpy as np

from neus.kernels.jit import compiled
from neus.kernels.surface_match.reference import ALONE, NOISE, OCCLUDED, UNKNOWN

ROWS, COLUMNS = 48, 64


def costs_of_offsets(
    grey: np.ndarray,
    inverse_depths: np.ndarray,
    is_asked: np.ndarray,
    others: np.ndarray,
    other_depths: np.ndarray,
    sizes: np.ndarray,
    turns: np.ndarray,
    shifts: np.ndarray,
    step: float,
    n_offsets: int,
    window: int,
) -> np.ndarray:
    """(H, W, 2 J + 1) uint8 costs; see `reference.costs_of_offsets`."""
    costs = np.full((*grey.shape, 2 * n_offsets + 1), UNKNOWN, np.uint8)
    if len(others):
        _match(
            np.ascontiguousarray(grey, np.float32), np.ascontiguousarray(inverse_depths, np.float32),
            np.ascontiguousarray(is_asked, np.bool_), _fours(np.ascontiguousarray(others, np.uint8)),
            np.ascontiguousarray(other_depths, np.float32), np.ascontiguousarray(sizes, np.int64),
            np.ascontiguousarray(turns, np.float64), np.ascontiguousarray(shifts, np.float32),
            np.float32(step), n_offsets, window, costs,
        )  # fmt: skip
    return costs


@compiled
def _fours(images):
    """(N, H, W) uint32: a pixel, those right of it, below it, and right of that, in one word, the first lowest."""
    n, height, width = images.shape
    fours = np.zeros(images.shape, np.uint32)
    for i in range(n):
        for y in range(height - 1):
            for x in range(width - 1):
                upper = np.uint32(images[i, y, x]) | np.uint32(images[i, y, x + 1]) << np.uint32(8)
                lower = np.uint32(images[i, y + 1, x]) | np.uint32(images[i, y + 1, x + 1]) << np.uint32(8)
                fours[i, y, x] = upper | lower << np.uint32(16)
    return fours


@compiled
def _match(grey, inverse_depths, is_asked, fours, other_depths, sizes, turns, shifts, step, n_offsets, window, costs):
    height, width = grey.shape
    radius, n_others, n = window // 2, len(fours), 2 * n_offsets + 1
    flat, stride = fours.reshape(n_others, -1), fours.shape[2]
    best = np.empty((n, max((n_others + 1) // 2, min(n_others, 2)), ROWS, COLUMNS), np.float32)
    n_seeing = np.empty((ROWS, COLUMNS), np.int32)
    tall, wide = ROWS + 2 * radius, COLUMNS + 2 * radius
    base, values = np.empty((3, tall, wide), np.float32), np.empty((tall, wide), np.float32)
    lines, fractions = np.empty((3, wide), np.float32), np.empty((2, wide), np.float32)
    places, words = np.empty(wide, np.uint32), np.empty(wide, np.uint32)
    mean, inverse_deviation = np.empty((ROWS, COLUMNS), np.float32), np.empty((ROWS, COLUMNS), np.float32)
    sees = np.empty((ROWS, COLUMNS), np.bool_)
    for top in range(radius, height - radius, ROWS):
        rows = min(ROWS, height - radius - top)
        for left in range(radius, width - radius, COLUMNS):
            columns = min(COLUMNS, width - radius - left)
            asked = is_asked[top : top + rows, left : left + columns]
            if not asked.any():
                continue
            y0, x0, y1, x1 = top - radius, left - radius, top + rows + radius, left + columns + radius
            view, w = grey[y0:y1, x0:x1], inverse_depths[y0:y1, x0:x1]
            _moments(view, window, lines, mean, inverse_deviation)
            best[:] = -1.0
            n_seeing[:] = 0
            for i in range(n_others):
                depths, shift = other_depths[i, : sizes[i, 0], : sizes[i, 1]], shifts[i]
                _project(turns[i], y0, x0, w, base)
                if not _look(base, w, shift, np.float32(n_offsets) * step, asked, depths, radius, sees, n_seeing):
                    continue
                for k in range(n):
                    offset = np.float32(k - n_offsets) * step
                    _warp(
                        flat[i],
                        stride,
                        sizes[i, 0],
                        sizes[i, 1],
                        base,
                        w,
                        shift,
                        offset,
                        places,
                        words,
                        fractions,
                        values,
                    )
                    _rank(values, view, window, lines, mean, inverse_deviation, sees, best[k])
            _write(best, n_seeing, asked, costs[top : top + rows, left : left + columns])


@compiled
def _project(turn, y0, x0, w, base):
    """A u of the tile's pixels, homogeneous pixels of the neighbour at inverse depth 0."""
    for axis in range(3):
        a, b, c = turn[axis, 0], turn[axis, 1], turn[axis, 2]
        for y in range(w.shape[0]):
            for x in range(w.shape[1]):
                base[axis, y, x] = a * (x + x0) + (b * (y + y0) + c)


@compiled
def _look(base, w, shift, reach, asked, depths, radius, sees, n_seeing):
    """Fills in which requested pixels the neighbour sees, counts them, and returns whether there are any."""
    found = False
    height, width = depths.shape
    for y in range(asked.shape[0]):
        for x in range(asked.shape[1]):
            sees[y, x] = False
            if not asked[y, x]:
                continue
            a, b, c = base[0, y + radius, x + radius], base[1, y + radius, x + radius], base[2, y + radius, x + radius]
            here = w[y + radius, x + radius]
            # A line through the image: if both ends are inside, so is all between.
            if not _is_inside(a, b, c, here - reach, shift, height, width):
                continue
            if not _is_inside(a, b, c, here + reach, shift, height, width):
                continue
            z = c + here * shift[2]
            column, row = (a + here * shift[0]) / z, (b + here * shift[1]) / z
            drawn = depths[int(row + np.float32(0.5)), int(column + np.float32(0.5))]
            if not drawn < z / here * np.float32(1.0 - OCCLUDED):
                sees[y, x] = True
                n_seeing[y, x] += 1
                found = True
    return found


@compiled
def _is_inside(a, b, c, inverse_depth, shift, height, width):
    z = c + inverse_depth * shift[2]
    column, row = (a + inverse_depth * shift[0]) / z, (b + inverse_depth * shift[1]) / z
    return z > 0.0 and column >= 0.0 and row >= 0.0 and column <= width - 1 and row <= height - 1


@compiled
def _warp(flat, stride, height, width, base, w, shift, offset, places, words, fractions, values):
    """The neighbour's values where the moved surface falls.

    Three loops, for only the one in the middle, which reads from anywhere in memory, cannot fill vector registers.
    """
    e0, e1, e2 = shift[0], shift[1], shift[2]
    zero, one, byte = np.float32(0.0), np.float32(1.0), np.uint32(255)
    # Just below the last pixel, so that the one right of it exists.
    last_x, last_y = np.float32(width - 1) - np.float32(1e-3), np.float32(height - 1) - np.float32(1e-3)
    stride, wide = np.int32(stride), w.shape[1]
    for y in range(w.shape[0]):
        for x in range(wide):
            here = w[y, x] + offset
            inverse = one / (base[2, y, x] + here * e2)
            column, row = (base[0, y, x] + here * e0) * inverse, (base[1, y, x] + here * e1) * inverse
            # What is not a number must not become an address.
            column = column if column > zero else zero
            row = row if row > zero else zero
            column = column if column < last_x else last_x
            row = row if row < last_y else last_y
            j, i = np.int32(column), np.int32(row)
            fractions[0, x], fractions[1, x] = column - np.float32(j), row - np.float32(i)
            places[x] = np.uint32(i * stride + j)
        for x in range(wide):
            words[x] = flat[places[x]]
        for x in range(wide):
            word, u, v = words[x], fractions[0, x], fractions[1, x]
            a, b = np.float32(np.int32(word & byte)), np.float32(np.int32((word >> np.uint32(8)) & byte))
            c, d = np.float32(np.int32((word >> np.uint32(16)) & byte)), np.float32(np.int32(word >> np.uint32(24)))
            upper, lower = a + u * (b - a), c + u * (d - c)
            values[y, x] = upper + v * (lower - upper)


@compiled
def _start_lines(values, view, window, wide, lines):
    """Column sums of the first window of rows: of the values, their squares, and their products with the view's."""
    lines[:] = 0.0
    for y in range(window):
        for x in range(wide):
            a = values[y, x]
            lines[0, x] += a
            lines[1, x] += a * a
            lines[2, x] += a * view[y, x]


@compiled
def _move_lines(values, view, y, window, wide, lines):
    """Moves column sums on to start at row y."""
    for x in range(wide):
        a, b = values[y + window - 1, x], values[y - 1, x]
        lines[0, x] += a - b
        lines[1, x] += a * a - b * b
        lines[2, x] += a * view[y + window - 1, x] - b * view[y - 1, x]


@compiled
def _sum_along(line, window, columns, sums):
    """Sums of so many neighbours in a row."""
    if window == 7:  # of known length: the sum stays in a register
        for x in range(columns):
            sums[x] = ((line[x] + line[x + 1]) + (line[x + 2] + line[x + 3])) + (
                (line[x + 4] + line[x + 5]) + line[x + 6]
            )
        return
    for x in range(columns):
        sums[x] = line[x]
    for d in range(1, window):
        for x in range(columns):
            sums[x] += line[x + d]


@compiled
def _moments(view, window, lines, mean, inverse_deviation):
    """Mean and one over the deviation, noise included, of the view's windows."""
    rows, columns, wide = view.shape[0] - window + 1, view.shape[1] - window + 1, view.shape[1]
    part, noise = np.float32(1.0 / (window * window)), np.float32(NOISE)
    sums = np.empty((2, columns), np.float32)
    for y in range(rows):
        if y == 0:
            _start_lines(view, view, window, wide, lines)
        else:
            _move_lines(view, view, y, window, wide, lines)
        _sum_along(lines[0], window, columns, sums[0])
        _sum_along(lines[1], window, columns, sums[1])
        for x in range(columns):
            m = sums[0, x] * part
            mean[y, x] = m
            inverse_deviation[y, x] = np.float32(1.0) / np.sqrt(max(sums[1, x] * part - m * m, np.float32(0.0)) + noise)


@compiled
def _rank(values, view, window, lines, mean, inverse_deviation, sees, best):
    """Puts the correlations with one neighbour among the best so far."""
    rows, columns, wide = view.shape[0] - window + 1, view.shape[1] - window + 1, view.shape[1]
    part, noise, unseen, zero = (
        np.float32(1.0 / (window * window)),
        np.float32(NOISE),
        np.float32(-1.0),
        np.float32(0.0),
    )
    sums, scores = np.empty((3, COLUMNS), np.float32), np.empty(COLUMNS, np.float32)
    for y in range(rows):
        if y == 0:
            _start_lines(values, view, window, wide, lines)
        else:
            _move_lines(values, view, y, window, wide, lines)
        for plane in range(3):
            _sum_along(lines[plane], window, columns, sums[plane])
        for x in range(columns):
            m = sums[0, x] * part
            v = sums[1, x] * part - m * m
            v = v if v > zero else zero
            score = (sums[2, x] * part - m * mean[y, x]) * inverse_deviation[y, x] / np.sqrt(v + noise)
            scores[x] = score if sees[y, x] else unseen
        for r in range(best.shape[0]):
            for x in range(columns):
                score, other = scores[x], best[r, y, x]
                best[r, y, x] = other if other > score else score
                scores[x] = score if other > score else other


@compiled
def _write(best, n_seeing, asked, costs):
    n, most = best.shape[0], best.shape[1]
    rows, columns = asked.shape
    scores = np.empty((n, COLUMNS), np.float32)
    taken, factor = np.empty(COLUMNS, np.int32), np.empty(COLUMNS, np.float32)
    for y in range(rows):
        for x in range(columns):
            count = n_seeing[y, x]
            taken[x] = max((count + 1) // 2, min(count, 2))
            factor[x] = np.float32(ALONE) if count == 1 else np.float32(1.0) / np.float32(max(taken[x], 1))
        for k in range(n):
            for x in range(columns):
                scores[k, x] = 0.0
            for r in range(most):
                for x in range(columns):
                    scores[k, x] += best[k, r, y, x] if r < taken[x] else np.float32(0.0)
            for x in range(columns):
                score = min(max(np.float32(1.0) - scores[k, x] * factor[x], np.float32(0.0)), np.float32(1.0))
                scores[k, x] = np.float32(UNKNOWN) * score
        for x in range(columns):
            if n_seeing[y, x] > 0:
                for k in range(n):
                    costs[y, x, k] = np.uint8(scores[k, x])
