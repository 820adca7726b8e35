"""The foremost triangle at each pixel of an image, compiled; see `reference` for signature and meaning."""

import math

import numpy as np
from numba import njit

from neus.kernels.raster_depth.reference import ROUNDING

_compiled = njit(cache=True, nogil=True, error_model="numpy")


def foremost_triangles(corners: np.ndarray, faces: np.ndarray, width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    """(H, W) the nearness of the foremost triangle and its number; see `reference.foremost_triangles`."""
    nearness, numbers = np.zeros((height, width)), np.full((height, width), -1)
    corners = np.ascontiguousarray(corners, dtype=np.float64)
    _draw(corners, np.ascontiguousarray(faces, dtype=np.int64), ROUNDING, nearness, numbers)
    return nearness, numbers


@_compiled
def _draw(corners, faces, rounding, nearness, numbers):
    height, width = nearness.shape
    for f in range(len(faces)):
        a, b, c = corners[faces[f, 0]], corners[faces[f, 1]], corners[faces[f, 2]]
        if not min(a[2], min(b[2], c[2])) > 0.0:
            continue
        b0, b1, c0, c1 = b[0] - a[0], b[1] - a[1], c[0] - a[0], c[1] - a[1]
        area = b0 * c1 - b1 * c0
        if area == 0.0 or not math.isfinite(area):
            continue
        left, right = min(a[0], min(b[0], c[0])), max(a[0], max(b[0], c[0]))
        top, bottom = min(a[1], min(b[1], c[1])), max(a[1], max(b[1], c[1]))
        if right < 0.0 or bottom < 0.0 or left > width or top > height:
            continue
        # One pixel more on each side than the corners reach: the inner test decides, with its own rounding.
        first_x, last_x = max(0, int(math.floor(max(left, 0.0) - 0.5))), int(math.floor(min(right, width) - 0.5)) + 1
        first_y, last_y = max(0, int(math.floor(max(top, 0.0) - 0.5))), int(math.floor(min(bottom, height) - 0.5)) + 1
        for row in range(first_y, min(last_y + 1, height)):
            y = row + 0.5 - a[1]
            for column in range(first_x, min(last_x + 1, width)):
                x = column + 0.5 - a[0]
                weight_b, weight_c = (x * c1 - y * c0) / area, (b0 * y - b1 * x) / area
                weight_a = 1.0 - weight_b - weight_c
                if min(weight_a, min(weight_b, weight_c)) >= -rounding:
                    here = weight_a * a[2] + weight_b * b[2] + weight_c * c[2]
                    if here > nearness[row, column]:
                        nearness[row, column], numbers[row, column] = here, f
