"""How well images agree about a surface at offsets of its inverse depth, compiled; see `reference` for signature and meaning.

Tiles without surface are skipped. Within a tile all buffers of one neighbour stay in the cache; sums over windows are
sums of rows and then of columns.
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
            np.ascontiguousarray(is_asked, np.bool_), np.ascontiguousarray(others, np.float32),
            np.ascontiguousarray(other_depths, np.float32), np.ascontiguousarray(sizes, np.int64),
            np.ascontiguousarray(turns, np.float64), np.ascontiguousarray(shifts, np.float32),
            np.float32(step), n_offsets, window, costs,
        )  # fmt: skip
    return costs


@compiled
def _match(grey, inverse_depths, is_asked, others, other_depths, sizes, turns, shifts, step, n_offsets, window, costs):
    height, width = grey.shape
    radius, n_others, n = window // 2, len(others), 2 * n_offsets + 1
    flat, stride = others.reshape(n_others, -1), others.shape[2]
    best = np.empty((n, (n_others + 1) // 2 if n_others > 2 else n_others, ROWS, COLUMNS), np.float32)
    n_seeing = np.empty((n, ROWS, COLUMNS), np.uint8)
    tall, wide = ROWS + 2 * radius, COLUMNS + 2 * radius
    base = np.empty((3, tall, wide), np.float32)
    products = np.empty((3, tall, wide), np.float32)
    sums = np.empty((3, ROWS, COLUMNS), np.float32)
    mean, variance = np.empty((ROWS, COLUMNS), np.float32), np.empty((ROWS, COLUMNS), np.float32)
    sees, is_inside = np.empty((ROWS, COLUMNS), np.bool_), np.empty((tall, wide), np.bool_)
    for top in range(radius, height - radius, ROWS):
        rows = min(ROWS, height - radius - top)
        for left in range(radius, width - radius, COLUMNS):
            columns = min(COLUMNS, width - radius - left)
            if not is_asked[top : top + rows, left : left + columns].any():
                continue
            y0, x0, y1, x1 = top - radius, left - radius, top + rows + radius, left + columns + radius
            view, w = grey[y0:y1, x0:x1], inverse_depths[y0:y1, x0:x1]
            asked = is_asked[top : top + rows, left : left + columns]
            _multiply(view, view, products)
            _sum_windows(products, sums, rows, columns, window)
            _moments(sums, rows, columns, window, mean, variance)
            best[:] = -1.0
            n_seeing[:] = 0
            for i in range(n_others):
                depths = other_depths[i, : sizes[i, 0], : sizes[i, 1]]
                _project(turns[i], y0, x0, w, base)
                if not _look(base, w, shifts[i], asked, depths, radius, sees):
                    continue
                for k in range(n):
                    offset = np.float32(k - n_offsets) * step
                    _warp(flat[i], stride, sizes[i, 0], sizes[i, 1], base, w, shifts[i], offset, view, products, is_inside)
                    _sum_windows(products, sums, rows, columns, window)
                    _rank(sums, mean, variance, sees, is_inside, rows, columns, window, best[k], n_seeing[k])
            for k in range(n):
                _write(best[k], n_seeing[k], asked, costs[top : top + rows, left : left + columns], k)


@compiled
def _project(turn, y0, x0, w, base):
    """A u of the tile's pixels, homogeneous pixels of the neighbour at inverse depth 0."""
    for axis in range(3):
        a, b, c = turn[axis, 0], turn[axis, 1], turn[axis, 2]
        for y in range(w.shape[0]):
            for x in range(w.shape[1]):
                base[axis, y, x] = a * (x + x0) + (b * (y + y0) + c)


@compiled
def _look(base, w, shift, asked, depths, radius, sees):
    """Fills in which asked pixels the neighbour sees, and whether there are any."""
    found = False
    for y in range(asked.shape[0]):
        for x in range(asked.shape[1]):
            sees[y, x] = False
            if not asked[y, x]:
                continue
            here = w[y + radius, x + radius]
            z = base[2, y + radius, x + radius] + here * shift[2]
            if not z > 0.0:
                continue
            column = (base[0, y + radius, x + radius] + here * shift[0]) / z
            row = (base[1, y + radius, x + radius] + here * shift[1]) / z
            if not (column >= -0.5 and row >= -0.5 and column < depths.shape[1] - 0.5 and row < depths.shape[0] - 0.5):
                continue
            drawn = depths[int(row + np.float32(0.5)), int(column + np.float32(0.5))]
            if not drawn < z / here * np.float32(1.0 - OCCLUDED):
                sees[y, x] = True
                found = True
    return found


@compiled
def _multiply(first, second, products):
    """First image, its square, and its product with the second."""
    for y in range(first.shape[0]):
        for x in range(first.shape[1]):
            a = first[y, x]
            products[0, y, x], products[1, y, x], products[2, y, x] = a, a * a, a * second[y, x]


@compiled
def _warp(flat, stride, height, width, base, w, shift, offset, view, products, is_inside):
    """The neighbour's values where the moved surface falls, their squares and products with the view's."""
    e0, e1, e2 = shift[0], shift[1], shift[2]
    zero, one, one_on, down = np.float32(0.0), np.float32(1.0), np.uint64(1), np.uint64(stride)
    last_x, last_y = np.float32(width - 1), np.float32(height - 1)
    most_x, most_y = np.int32(width - 2), np.int32(height - 2)
    for y in range(view.shape[0]):
        for x in range(view.shape[1]):
            here = w[y, x] + offset
            z = base[2, y, x] + here * e2
            inverse = one / z
            column, row = (base[0, y, x] + here * e0) * inverse, (base[1, y, x] + here * e1) * inverse
            is_inside[y, x] = (z > zero) & (column >= zero) & (row >= zero) & (column <= last_x) & (row <= last_y)
            # What is not a number must not become an address.
            column = column if column > zero else zero
            row = row if row > zero else zero
            column = column if column < last_x else last_x
            row = row if row < last_y else last_y
            j, i = min(np.int32(column), most_x), min(np.int32(row), most_y)
            u, v = column - np.float32(j), row - np.float32(i)
            # Unsigned: numba checks each signed index for counting from the end.
            at = np.uint64(i * np.int32(stride) + j)
            a, b, c, d = flat[at], flat[at + one_on], flat[at + down], flat[at + down + one_on]
            upper, lower = a + u * (b - a), c + u * (d - c)
            value = upper + v * (lower - upper)
            products[0, y, x], products[1, y, x], products[2, y, x] = value, value * value, value * view[y, x]


@compiled
def _sum_windows(products, sums, rows, columns, window):
    """Sums of the three planes over the windows about each pixel of the tile."""
    line = np.empty(products.shape[2], np.float32)
    wide = columns + window - 1
    for plane in range(3):
        for y in range(rows):
            for x in range(wide):
                line[x] = products[plane, y, x]
            for d in range(1, window):
                for x in range(wide):
                    line[x] += products[plane, y + d, x]
            for x in range(columns):
                sums[plane, y, x] = line[x]
            for d in range(1, window):
                for x in range(columns):
                    sums[plane, y, x] += line[x + d]


@compiled
def _moments(sums, rows, columns, window, mean, variance):
    part = np.float32(1.0 / (window * window))
    for y in range(rows):
        for x in range(columns):
            mean[y, x] = sums[0, y, x] * part
            variance[y, x] = max(sums[1, y, x] * part - mean[y, x] * mean[y, x], np.float32(0.0))


@compiled
def _rank(sums, mean, variance, sees, is_inside, rows, columns, window, best, n_seeing):
    """Puts the correlations with one neighbour among the best so far."""
    radius = window // 2
    part, noise, unseen = np.float32(1.0 / (window * window)), np.float32(NOISE), np.float32(-1.0)
    for y in range(rows):
        for x in range(columns):
            m = sums[0, y, x] * part
            v = max(sums[1, y, x] * part - m * m, np.float32(0.0))
            covariance = sums[2, y, x] * part - m * mean[y, x]
            score = covariance / np.sqrt((v + noise) * (variance[y, x] + noise))
            is_seen = sees[y, x] & is_inside[y + radius, x + radius]
            score = score if is_seen else unseen
            n_seeing[y, x] += is_seen
            for r in range(best.shape[0]):
                larger = max(best[r, y, x], score)
                score = min(best[r, y, x], score)
                best[r, y, x] = larger


@compiled
def _write(best, n_seeing, asked, costs, k):
    for y in range(asked.shape[0]):
        for x in range(asked.shape[1]):
            n = n_seeing[y, x]
            if n == 0 or not asked[y, x]:
                continue
            taken = max((n + 1) // 2, min(n, 2))
            score = np.float32(0.0)
            for r in range(taken):
                score += best[r, y, x]
            score /= np.float32(taken)
            if n == 1:
                score *= np.float32(ALONE)
            costs[y, x, k] = np.uint8(np.float32(UNKNOWN) * min(max(np.float32(1.0) - score, np.float32(0.0)), np.float32(1.0)))
