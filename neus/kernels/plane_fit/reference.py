"""Planes fitted to the values around each pixel of an image, plainly: sums over all windows, then Cramer's rule."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

# As many pixels of a window must be known, and not all nearly on one line: least determinant over the cube of the weights.
LEAST_KNOWN, LEAST_SPREAD = 8, 1e-3


def planes_of_windows(values: NDArray, weights: NDArray, window: int) -> NDArray:
    """(H, W, 3) float64 a, b, c of the planes a + b dx + c dy of weighted least squares about each pixel.

    NaN where fewer than 8 pixels of the window are known, or all nearly on one line.

    Args:
        values: (H, W), anything where nothing is known.
        weights: (H, W), 0 where nothing is known.
        window: odd side of the windows, pixels.
    """
    along, one = np.arange(window, dtype=np.float64) - window // 2, np.ones(window)
    known = weights > 0
    weights = np.where(known, weights, 0.0).astype(np.float64)
    weighted = np.where(known, values, 0.0) * weights

    def total(image: NDArray, rows: NDArray, columns: NDArray) -> NDArray:
        summed = ndimage.correlate1d(image, rows, axis=0, mode="constant")
        return ndimage.correlate1d(summed, columns, axis=1, mode="constant")

    s, sx, sy = total(weights, one, one), total(weights, one, along), total(weights, along, one)
    sxx, sxy, syy = total(weights, one, along**2), total(weights, along, along), total(weights, along**2, one)
    t, tx, ty = total(weighted, one, one), total(weighted, one, along), total(weighted, along, one)
    # Minors of the symmetric matrix of the normal equations.
    ss, xx, yy = sxx * syy - sxy * sxy, s * syy - sy * sy, s * sxx - sx * sx
    xs, ys, xy = sx * syy - sxy * sy, sx * sxy - sxx * sy, s * sxy - sx * sy
    determinant = s * ss - sx * xs + sy * ys
    is_fitted = (total(known.astype(np.float64), one, one) > LEAST_KNOWN - 0.5) & (determinant > LEAST_SPREAD * s**3)
    determinant = np.where(is_fitted, determinant, np.nan)
    a, b, c = t * ss - tx * xs + ty * ys, -t * xs + tx * xx - ty * xy, t * ys - tx * xy + ty * yy
    return np.stack([a, b, c], axis=-1) / determinant[..., None]
