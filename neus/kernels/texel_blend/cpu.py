"""The colours that one view gives to the texels of a texture, compiled; see `reference` for signature and meaning."""

import math

import numpy as np
from numpy.typing import NDArray

from neus.kernels.jit import compiled, inlined


@inlined
def _cubic_weights(t, out):
    s = 1.0 - t
    out[0] = -0.5 * t * s * s
    out[1] = 1.0 + t * t * (1.5 * t - 2.5)
    out[2] = t * (0.5 + t * (2.0 - 1.5 * t))
    out[3] = -0.5 * t * t * s


def add_view(
    texels: NDArray,
    starts: NDArray,
    size: int,
    corners: NDArray,
    faces: NDArray,
    projected: NDArray,
    weights: NDArray,
    image: NDArray,
    levels: NDArray,
    depths: NDArray,
    clear: NDArray,
    tolerance: float,
    first: int,
    last: int,
    sums: NDArray,
) -> None:
    """Adds a view to sums (p, 4) of colours and weights; see `reference.add_view`."""
    given = (texels, starts, size, corners, faces, projected, weights, image, levels, depths, clear)
    _add_view(*given, tolerance, first, last, sums)


@compiled
def _add_view(
    texels, starts, size, corners, faces, projected, weights, image, levels, depths, clear, tolerance, first, last, sums
):
    height, width = image.shape[0], image.shape[1]
    h, w = depths.shape
    of_columns, of_rows = np.empty(4), np.empty(4)
    for f in range(first, last):
        begin, end = starts[f], starts[f + 1]
        i, j, k = faces[f, 0], faces[f, 1], faces[f, 2]
        if begin == end or not (weights[i] > 0.0 or weights[j] > 0.0 or weights[k] > 0.0):
            continue
        ax, ay = corners[f, 0, 0], corners[f, 0, 1]
        bx, by = corners[f, 1, 0] - ax, corners[f, 1, 1] - ay
        cx, cy = corners[f, 2, 0] - ax, corners[f, 2, 1] - ay
        area = bx * cy - by * cx
        if area == 0.0:
            continue
        for p in range(begin, end):
            x, y = texels[p] % size + 0.5 - ax, texels[p] // size + 0.5 - ay
            of_b, of_c = (x * cy - y * cx) / area, (bx * y - by * x) / area
            of_a = max(1.0 - of_b - of_c, 0.0)
            of_b, of_c = max(of_b, 0.0), max(of_c, 0.0)
            total = of_a + of_b + of_c
            of_a, of_b, of_c = of_a / total, of_b / total, of_c / total
            weight = of_a * weights[i] + of_b * weights[j] + of_c * weights[k]
            depth = of_a * projected[i, 2] + of_b * projected[j, 2] + of_c * projected[k, 2]
            if not (weight > 0.0 and depth > 0.0):
                continue
            u = (of_a * projected[i, 0] + of_b * projected[j, 0] + of_c * projected[k, 0]) / depth
            v = (of_a * projected[i, 1] + of_b * projected[j, 1] + of_c * projected[k, 1]) / depth
            if not (u >= 0.0 and v >= 0.0 and u < width and v < height):
                continue
            s, t = u * (w / width), v * (h / height)
            weight *= clear[min(int(t), h - 1), min(int(s), w - 1)]
            if not weight > 0.0:
                continue
            column, row = int(math.floor(s - 0.5)), int(math.floor(t - 0.5))
            left, right = max(column, 0), min(column + 1, w - 1)
            top, bottom = max(row, 0), min(row + 1, h - 1)
            around = max(max(depths[top, left], depths[top, right]), max(depths[bottom, left], depths[bottom, right]))
            if not depth <= around * (1.0 + tolerance):
                continue
            u -= 0.5
            v -= 0.5
            column, row = int(math.floor(u)), int(math.floor(v))
            _cubic_weights(u - column, of_columns)
            _cubic_weights(v - row, of_rows)
            red = green = blue = 0.0
            for dy in range(4):
                line = min(max(row + dy - 1, 0), height - 1)
                for dx in range(4):
                    place = min(max(column + dx - 1, 0), width - 1)
                    part = of_rows[dy] * of_columns[dx]
                    red += part * levels[image[line, place, 0], 0]
                    green += part * levels[image[line, place, 1], 1]
                    blue += part * levels[image[line, place, 2], 2]
            sums[p, 0] += weight * max(red, 0.0)
            sums[p, 1] += weight * max(green, 0.0)
            sums[p, 2] += weight * max(blue, 0.0)
            sums[p, 3] += weight
