"""Plain backgrounds: a colour common to the borders of all images, black cloth or white paper, treated as free space."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from neus.stereo.stereo_views import StereoView

# So far may a channel be from the background's colour, in grey levels: noise and uneven light.
TOLERANCE = 10.0
# At most so far where the background's own colours spread more than that.
LARGEST_TOLERANCE = 30.0
# This fraction of the border's pixels must have the colour, of all images together and in half of the images: an object may reach over
# some of them, but no ordinary scene is that even (the captures it was tried on had 0.2 at most, plain ones 0.9).
LEAST_FRACTION = 0.6
# Width of the sampled border, pixels.
BORDER = 2
# Regions of the colour no wider than twice this many pixels do not carry on to what lies behind them, and outlines keep this distance.
MARGIN = 1


def plain_background(views: Sequence[StereoView]) -> list[NDArray] | None:
    """(H, W) bool of each view, True where it shows a plain background, or None if the scene has none.

    A background is plain if 60 % of all border pixels are within 10 grey levels of their median colour, and 60 % of its own border in at
    least half of the images. What has that colour and is connected to the border belongs to it, less a margin of a pixel around all else.
    """
    if not views:
        return None
    borders = [_border(view.rgb).astype(np.float32) for view in views]
    pixels = np.concatenate(borders)
    color = np.median(pixels, axis=0)
    fractions = [float((np.abs(border - color).max(axis=1) < TOLERANCE).mean()) for border in borders]
    if (
        np.average(fractions, weights=[len(border) for border in borders]) < LEAST_FRACTION
        or np.median(fractions) < LEAST_FRACTION
    ):
        return None
    deviations = np.abs(pixels - color).max(axis=1)
    spread = float(np.percentile(deviations[deviations < LARGEST_TOLERANCE], 98))
    return [_connected_to_border(view.rgb, color, max(TOLERANCE, spread)) for view in views]


def _border(image: NDArray) -> NDArray:
    """(N, 3) pixels of the image's border."""
    inner = np.zeros(image.shape[:2], dtype=bool)
    inner[BORDER:-BORDER, BORDER:-BORDER] = True
    return image[~inner]


def _connected_to_border(image: NDArray, color: NDArray, tolerance: float) -> NDArray:
    """(H, W) bool: pixels of a colour that are connected to the border by regions of it, less a margin."""
    window = np.ones((2 * MARGIN + 1,) * 2, dtype=np.uint8)
    has_color = (np.abs(image.astype(np.float32) - color).max(axis=2) < tolerance).astype(np.uint8)
    # Beyond the border the background goes on.
    has_color = cv2.morphologyEx(has_color, cv2.MORPH_OPEN, window, borderType=cv2.BORDER_REPLICATE)
    _, labels = cv2.connectedComponents(has_color, connectivity=4)
    at_border = np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))
    background = np.isin(labels, at_border[at_border > 0])
    return cv2.erode(background.astype(np.uint8), window, borderType=cv2.BORDER_REPLICATE) > 0
