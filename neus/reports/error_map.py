"""Where a rendered image differs from its image, as colours, and the scale of those colours."""

import cv2
import numpy as np
from numpy.typing import NDArray

# The difference, in parts of the whole range of a channel, that is drawn in the brightest colour; larger ones are as well.
FULL_SCALE = 0.2
# What is not counted: neither of the map's colours nor black or white.
NOT_COUNTED = 128


def color_error(image: NDArray, target: NDArray) -> NDArray:
    """(H, W) mean over the channels of |image - target|, in [0, 1].

    Args:
        image, target: (H, W, 3) uint8 RGB.
    """
    return np.abs(image.astype(np.float32) - target.astype(np.float32)).mean(axis=-1) / 255.0


def error_image(error: NDArray, counted: NDArray | None = None, full_scale: float = FULL_SCALE) -> NDArray:
    """(H, W, 3) uint8 RGB: 0 is black-violet, `full_scale` and more bright yellow; grey where nothing is counted.

    Args:
        error: (H, W), as from `color_error`.
        counted: (H, W) bool; None counts everything.
        full_scale: drawn in the brightest colour.

    >>> error_image(np.array([[0.0, 0.2, 9.0]]))[0].tolist()
    [[0, 0, 4], [252, 255, 164], [252, 255, 164]]
    """
    levels = (error / full_scale * 255.0).clip(0, 255).round().astype(np.uint8)
    rendered = np.ascontiguousarray(cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO)[..., ::-1])
    if counted is not None:
        rendered[~counted] = NOT_COUNTED
    return rendered


def scale_bar(width: int = 256, height: int = 10) -> NDArray:
    """(height, width, 3) uint8 RGB: the colours from no error to the full scale, left to right."""
    return error_image(np.tile(np.linspace(0.0, FULL_SCALE, width), (height, 1)))
