"""One image warped into another by the depths of a surface, and how alike both are."""

import cv2
import numpy as np
from numpy.typing import NDArray

from neus.kernels.surface_match.reference import NOISE, OCCLUDED
from neus.stereo.stereo_views import StereoView


def correlation(
    view: StereoView, depths: NDArray, other: StereoView, other_depths: NDArray, window: int
) -> NDArray:
    """(H, W) float32 zero-mean normalised cross correlation of a view with another one warped into it, in [-1, 1].

    NaN where the surface does not appear, and where the other view does not see it: outside its image, or behind what it
    draws there. Windows that reach beyond the surface hold what is known of it. Both variances are increased by that of noise.

    Args:
        view, other: with cameras of one scene.
        depths, other_depths: (H, W) of the surface in each, NaN where it does not appear.
        window: odd side of the windows, pixels.
    """
    known = np.isfinite(depths)
    places = _places(view, np.where(known, depths, np.nan), other)
    x, y, z = places
    height, width = other.grey.shape
    with np.errstate(invalid="ignore"):
        sees = known & (z > 0.0) & (x >= 0.0) & (y >= 0.0) & (x <= width - 1) & (y <= height - 1)
    drawn = np.full(depths.shape, np.nan, np.float32)
    drawn[sees] = other_depths[np.rint(y[sees]).astype(int), np.rint(x[sees]).astype(int)]
    with np.errstate(invalid="ignore"):
        sees &= ~(drawn < z * (1.0 - OCCLUDED))
    warped = cv2.remap(other.grey, np.nan_to_num(x, nan=-1.0), np.nan_to_num(y, nan=-1.0), cv2.INTER_LINEAR)
    return np.where(sees, _ncc(view.grey, warped, known.astype(np.float32), window), np.float32(np.nan))


def _places(view: StereoView, depths: NDArray, other: StereoView) -> NDArray:
    """(3, H, W) float32 column, row and depth at which another view has the surface points of a view's pixels."""
    height, width = depths.shape
    turn = other.matrix[:, :3] @ view.backprojection()
    shift = other.matrix[:, :3] @ view.center + other.matrix[:, 3]
    y, x = np.mgrid[:height, :width]
    a, b, c = (depths * (row[0] * x + row[1] * y + row[2]) + e for row, e in zip(turn, shift, strict=True))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.stack([a / c, b / c, c]).astype(np.float32)


def _ncc(first: NDArray, second: NDArray, weights: NDArray, window: int) -> NDArray:
    """(H, W) correlation of two images over the pixels of each window that have weight (1 or 0)."""

    def total(values: NDArray) -> NDArray:
        return cv2.boxFilter(values * weights, cv2.CV_64F, (window, window), normalize=False)

    n = np.maximum(cv2.boxFilter(weights, cv2.CV_64F, (window, window), normalize=False), 1.0)
    m, k = total(first) / n, total(second) / n
    v, w = total(first * first) / n - m * m, total(second * second) / n - k * k
    product = total(first * second) / n - m * k
    return (product / np.sqrt((np.maximum(v, 0.0) + NOISE) * (np.maximum(w, 0.0) + NOISE))).astype(np.float32)
