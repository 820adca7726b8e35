"""Planes fitted to the values around each pixel of an image, compiled; see `reference` for signature and meaning."""

import numpy as np
from numpy.typing import NDArray

from neus.kernels.jit import compiled
from neus.kernels.plane_fit.reference import LEAST_KNOWN, LEAST_SPREAD


def planes_of_windows(values: NDArray, weights: NDArray, window: int) -> NDArray:
    """(H, W, 3) float64 planes; see `reference.planes_of_windows`. Only about known pixels, NaN elsewhere."""
    planes = np.full((*values.shape, 3), np.nan)
    _fit(np.ascontiguousarray(values, np.float32), np.ascontiguousarray(weights, np.float32), window // 2, planes)
    return planes


@compiled
def _fit(values, weights, radius, planes):
    height, width = values.shape
    for y in range(height):
        for x in range(width):
            if not weights[y, x] > 0:
                continue
            n, s, sx, sy, sxx, sxy, syy, t, tx, ty = 0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
            for i in range(max(y - radius, 0), min(y + radius + 1, height)):
                dy = np.float64(i - y)
                for j in range(max(x - radius, 0), min(x + radius + 1, width)):
                    w = np.float64(weights[i, j])
                    if w > 0:
                        dx, v = np.float64(j - x), w * np.float64(values[i, j])
                        n += 1
                        s, sx, sy = s + w, sx + w * dx, sy + w * dy
                        sxx, sxy, syy = sxx + w * dx * dx, sxy + w * dx * dy, syy + w * dy * dy
                        t, tx, ty = t + v, tx + v * dx, ty + v * dy
            ss, xx, yy = sxx * syy - sxy * sxy, s * syy - sy * sy, s * sxx - sx * sx
            xs, ys, xy = sx * syy - sxy * sy, sx * sxy - sxx * sy, s * sxy - sx * sy
            determinant = s * ss - sx * xs + sy * ys
            if n >= LEAST_KNOWN and determinant > LEAST_SPREAD * s * s * s:
                planes[y, x, 0] = (t * ss - tx * xs + ty * ys) / determinant
                planes[y, x, 1] = (-t * xs + tx * xx - ty * xy) / determinant
                planes[y, x, 2] = (t * ys - tx * xy + ty * yy) / determinant
