"""How far a rendered image is from the image.

Colours are compared as the images store them, in most cases sRGB: RGB in [0, 1], 255 being 1, without a change of gamma.
Renders are clipped to that range and not rounded to 8 bits; images of another size are averaged over the area of each pixel.
`image_at`, `mask_at` and `image_scores` are the only way from there to numbers, so all of them are alike.
"""

import importlib
import importlib.util
import math
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import ArrayLike
from skimage.metrics import structural_similarity

# Files of the network that LPIPS compares features of; the package itself holds the weights it adds to them.
LPIPS_BACKBONE = "alexnet-owt-7be5be79.pth"


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
        # Population moments, as in the paper: scikit-image divides by n - 1 by default.
        use_sample_covariance=False,
        data_range=1.0,
        channel_axis=-1,
        full=True,
    )
    return _mean(similarity.mean(axis=-1), mask)


def image_at(captured: np.ndarray, width: int, height: int) -> np.ndarray:
    """(height, width, 3) float32 in [0, 1] of an image (H, W, 3) uint8, averaged down to a size."""
    return cv2.resize(captured, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32) / 255.0


def mask_at(mask: np.ndarray, width: int, height: int) -> np.ndarray:
    """(height, width) bool of a mask (H, W) bool at another size."""
    return cv2.resize(mask.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST) > 0


def affine_to(image: ArrayLike, target: ArrayLike, mask: ArrayLike | None = None) -> np.ndarray:
    """(H, W, 3) float64: the image after the gain and offset of each channel that bring it nearest to a target, in least squares.

    Args:
        image, target: (H, W, 3) RGB in [0, 1].
        mask: (H, W) bool, the pixels that are fitted; None for all.

    >>> image = np.random.default_rng(0).random((4, 4, 3))
    >>> bool(np.allclose(affine_to(image, 0.7 * image + 0.1), 0.7 * image + 0.1))
    True
    """
    image, target = _pixels(image), _pixels(target)
    fitted = np.ones(image.shape[:2], bool) if mask is None else np.asarray(mask, bool)
    changed = np.empty_like(image)
    for channel in range(image.shape[-1]):
        columns = np.stack([image[fitted][:, channel], np.ones(fitted.sum())], axis=-1)
        gain, offset = np.linalg.lstsq(columns, target[fitted][:, channel], rcond=None)[0]
        changed[..., channel] = gain * image[..., channel] + offset
    return changed


def image_scores(
    rendered: ArrayLike,
    captured: np.ndarray,
    mask: np.ndarray | None = None,
    lpips: Callable[[np.ndarray, np.ndarray], float] | None = None,
) -> dict[str, float]:
    """PSNR (dB) and SSIM of a render over the whole image and, with a mask that is not empty, inside it; LPIPS if given.

    `psnr_affine` is the PSNR of the render after `affine_to`: what is left of its error beside exposure and white balance.

    Args:
        rendered: (H, W, 3) RGB, an array or CPU tensor; clipped to [0, 1].
        image: (H, W, 3) RGB in [0, 1], of `image_at`.
        mask: (H, W) bool, True on the object.
        lpips: of `find_lpips`.
    """
    image = np.clip(_pixels(rendered), 0.0, 1.0)
    scores = {"psnr": psnr(image, captured), "psnr_affine": psnr(affine_to(image, captured), captured)}
    scores["ssim"] = ssim(image, captured)
    if mask is not None and mask.any():
        scores["psnr_masked"] = psnr(image, captured, mask)
        scores["psnr_masked_affine"] = psnr(affine_to(image, captured, mask), captured, mask)
        scores["ssim_masked"] = ssim(image, captured, mask)
    if lpips is not None:
        scores["lpips"] = lpips(image, captured)
    return scores


def find_lpips() -> tuple[Callable[[np.ndarray, np.ndarray], float] | None, str]:
    """LPIPS (Zhang et al. 2018, AlexNet, version 0.1) if all of it is on this machine, else None and the reason.

    Nothing is downloaded: the package would fetch its network by itself, so it is only called once that file is there.
    """
    if importlib.util.find_spec("lpips") is None:
        return None, "not measured: the package lpips is not installed"
    weights = Path(torch.hub.get_dir()) / "checkpoints" / LPIPS_BACKBONE
    if not weights.is_file():
        return None, f"not measured: its network {LPIPS_BACKBONE} is not in the checkpoints of torch.hub"
    network = importlib.import_module("lpips").LPIPS(net="alex", verbose=False).eval()

    @torch.no_grad()
    def distance(image: np.ndarray, target: np.ndarray) -> float:
        both = [torch.from_numpy(_pixels(x)).float().permute(2, 0, 1)[None] * 2.0 - 1.0 for x in (image, target)]
        return float(network(*both))

    return distance, "LPIPS 0.1, AlexNet, whole image"


def _pixels(image: ArrayLike) -> np.ndarray:
    return np.asarray(image, dtype=np.float64)


def _mean(values: np.ndarray, mask: ArrayLike | None) -> float:
    """The mean of (H, W) values, weighted by a mask (H, W)."""
    weights = np.ones_like(values) if mask is None else np.asarray(mask, dtype=np.float64)
    assert weights.shape == values.shape, "mask and image differ in size"
    return float((values * weights).sum() / weights.sum()) if weights.any() else math.nan
