"""How far a rendered image is from the photograph."""

import math

import numpy as np
from numpy.typing import ArrayLike
from skimage.metrics import structural_similarity


def psnr(image: ArrayLike, target: ArrayLike, mask: ArrayLike | None = None) -> float:
    """Peak signal-to-noise ratio in dB: 20 log10(1 / sqrt(sum((C - C_gt)^2 mask) / (3 sum(mask)))), as NeuS counts it.

    Args:
        image, target: (H, W, 3) RGB in [0, 1], arrays or CPU tensors.
        mask: (H, W) weights or bool; None counts every pixel alike.

    Returns:
        dB; infinite for equal images, NaN for an empty mask.

    >>> round(psnr(np.full((2, 2, 3), 0.6), np.full((2, 2, 3), 0.5)), 3)
    20.0
    """
    squared = np.square(_pixels(image) - _pixels(target)).mean(axis=-1)
    error = _mean(squared, mask)
    return math.inf if error == 0.0 else -10.0 * math.log10(error)


def ssim(image: ArrayLike, target: ArrayLike, mask: ArrayLike | None = None) -> float:
    """Structural similarity (Wang et al. 2004): Gaussian windows of 1.5 pixels, averaged over the channels.

    With a mask, the mean of the similarity map within it; windows at its edge still look beyond it.

    Args:
        image, target: (H, W, 3) RGB in [0, 1], arrays or CPU tensors, at least 11 pixels each way.
        mask: (H, W) weights or bool; None counts every pixel alike.

    Returns:
        At most 1, for equal images; NaN for an empty mask.
    """
    _, similarity = structural_similarity(
        _pixels(image),
        _pixels(target),
        gaussian_weights=True,
        sigma=1.5,
        # Population moments, as in the paper: scikit-image divides by n - 1 unless told.
        use_sample_covariance=False,
        data_range=1.0,
        channel_axis=-1,
        full=True,
    )
    return _mean(similarity.mean(axis=-1), mask)


def _pixels(image: ArrayLike) -> np.ndarray:
    return np.asarray(image, dtype=np.float64)


def _mean(values: np.ndarray, mask: ArrayLike | None) -> float:
    """The mean of (H, W) values, weighted by a mask (H, W)."""
    weights = np.ones_like(values) if mask is None else np.asarray(mask, dtype=np.float64)
    assert weights.shape == values.shape, "mask and image differ in size"
    return float((values * weights).sum() / weights.sum()) if weights.any() else math.nan
