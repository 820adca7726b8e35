"""Images read at a part of their size: which part, and how pixels, masks and cameras follow."""

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from torch import Tensor

from neus.errors import InputError
from neus.scenes.pixel_store import Size

AUTO = "auto"
# `auto` halves images until their longer side is at most this: DTU's 1600 pixels stay as they are.
LONGEST_SIDE = 1600
# JPEG decodes to these parts of its size at once, in a fraction of the time.
JPEG_REDUCTIONS = (8, 4, 2)


def downscale_factor(asked: str | int, sizes: Sequence[Size]) -> int:
    """The whole number by which the images of a scene are made smaller, the same for all of them.

    Args:
        asked: the number itself, or `auto`, by which the largest image is halved until its longer side is at most 1600 pixels.
        sizes: V (width, height) of the files.

    Raises:
        InputError: neither of them.

    >>> downscale_factor("auto", [(4000, 3000)]), downscale_factor("auto", [(1600, 1200)])
    (4, 1)
    """
    if asked == AUTO:
        factor, longest = 1, max(max(size) for size in sizes)
        while max(downscaled_size((longest, longest), factor)) > LONGEST_SIDE:
            factor *= 2
        return factor
    if isinstance(asked, bool) or not str(asked).isdecimal() or int(asked) < 1:
        raise InputError(
            f"dataset.downscale = {asked!r}: expected auto or a whole number from 1 (full size), such as 2 or 4."
        )
    return int(asked)


def downscaled_size(size: Size, factor: float) -> Size:
    """Width and height over the factor, rounded, at least one pixel."""
    return max(1, round(size[0] / factor)), max(1, round(size[1] / factor))


def jpeg_reduction(size: Size, factor: int) -> int:
    """The largest reduction of JPEG's that divides the factor and both sides, or 1: no pixel then hangs over the border."""
    return next((k for k in JPEG_REDUCTIONS if factor % k == size[0] % k == size[1] % k == 0), 1)


def resized_intrinsics(intrinsics: Tensor, size: Size, new_size: Size) -> Tensor:
    """(3, 3) K of an image resized to another size: scaled about its corner, since pixel centres are at +0.5.

    >>> resized_intrinsics(torch.tensor([[8.0, 0.0, 4.0], [0.0, 8.0, 3.0], [0.0, 0.0, 1.0]]), (8, 6), (4, 3))[0]
    tensor([4., 0., 2.])
    """
    if size == new_size:
        return intrinsics
    return torch.diag(intrinsics.new_tensor([new_size[0] / size[0], new_size[1] / size[1], 1.0])) @ intrinsics


def resized_pixels(pixels: np.ndarray, size: Size) -> np.ndarray:
    """Pixels (H, W) or (H, W, C) uint8 averaged over areas to width and height; masks (H, W) bool True where more than half is."""
    if (pixels.shape[1], pixels.shape[0]) == size:
        return pixels
    if pixels.dtype == bool:
        return cv2.resize(pixels.astype(np.uint8) * 255, size, interpolation=cv2.INTER_AREA) > 127
    return cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
