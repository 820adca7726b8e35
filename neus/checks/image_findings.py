"""What the images themselves say: black, blown out, or of one colour, as files of other bit depths become."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neus.checks.findings import Finding, counted, exclusion
from neus.scenes.scene import Scene

# Of each image about so many pixels are sampled.
N_PIXELS = 20_000
# An image is dark if 99% of its pixels are below this: of 256 levels an eighth is used.
DARK_QUANTILE, DARK = 0.99, 32
# A pixel is saturated at this value in all channels; fraction of them that is too much on the object, or without masks.
SATURATED, SATURATED_OBJECT, SATURATED_IMAGE = 254, 0.7, 0.98
# Images whose values from the first to the last hundredth span less than this show nothing.
FLAT = 6


@dataclass(frozen=True)
class ImageMeasures:
    """Measures of each view, all (V,): of the object's pixels where there are masks.

    Attributes:
        bright: value that a hundredth of the pixels exceed, 0 to 255.
        saturated: fraction of pixels that are white in all channels.
        span: of grey values from the first to the last hundredth of the whole image, 0 to 255.
    """

    bright: NDArray
    saturated: NDArray
    span: NDArray


def measure_images(scene: Scene) -> ImageMeasures:
    """Brightness of all views, from a part of their pixels."""
    rows = []
    for view, image in enumerate(scene.images):
        step = max(1, int(np.sqrt(image.shape[0] * image.shape[1] / N_PIXELS)))
        pixels = image[::step, ::step].reshape(-1, 3)
        low, high = np.quantile(pixels.mean(axis=-1), [0.01, 0.99])
        if scene.masks is not None and (mask := scene.masks[view][::step, ::step].reshape(-1)).any():
            pixels = pixels[mask]
        bright = np.quantile(pixels.max(axis=-1), DARK_QUANTILE)
        rows.append((bright, (pixels >= SATURATED).all(axis=-1).mean(), high - low))
    return ImageMeasures(*np.array(rows, np.float64).T)


def image_findings(scene: Scene, measures: ImageMeasures) -> list[Finding]:
    """Images that are dark, saturated or of one colour."""
    is_flat = measures.span < FLAT
    is_dark = (measures.bright < DARK) & ~is_flat
    has_masks = scene.masks is not None
    is_saturated = (measures.saturated > (SATURATED_OBJECT if has_masks else SATURATED_IMAGE)) & ~is_flat
    which = "the object's pixels" if has_masks else "the pixels"
    findings = []
    for kind, is_so, found, suggestion in (
        (
            "images_flat",
            is_flat,
            "of one colour",
            "check the files: values above 1 in floating-point images, or an export that failed",
        ),
        (
            "images_dark",
            is_dark,
            f"too dark: 99% of {which} are below {DARK} of 255",
            "convert images of 10, 12 or 14 bits or linear values to 8-bit sRGB over the full range",
        ),
        (
            "images_saturated",
            is_saturated,
            f"overexposed: up to {100 * measures.saturated.max():.0f}% of {which} are white",
            "export them with a lower exposure; floating-point images must be in [0, 1]",
        ),
    ):
        views = tuple(np.flatnonzero(is_so).tolist())
        if views:
            suggestion += exclusion(views, scene.names)
            findings.append(Finding(kind, views, f"{counted(len(views), 'image')} {found}", suggestion))
    return findings
