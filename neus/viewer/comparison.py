"""An image of the scene beside what the model renders from there, and where they differ."""

from dataclasses import dataclass

import cv2
import numpy as np

from neus.evaluation.images import image_at, mask_at, psnr
from neus.rendering.views import Renderer, render_view, rgb_image
from neus.scenes.scene import Scene

# Differences from this on, as a part of full scale, are drawn in the brightest colour.
LARGEST_ERROR = 0.25


@dataclass(frozen=True)
class Comparison:
    """All (H, W, 3) uint8 RGB.

    Attributes:
        image, rendered: both at the same size.
        error: mean absolute difference of the channels, from black to yellow at LARGEST_ERROR.
        psnr: dB over all pixels.
        psnr_masked: dB within the object's mask, or None where the scene has none.
    """

    image: np.ndarray
    rendered: np.ndarray
    error: np.ndarray
    psnr: float
    psnr_masked: float | None = None

    @property
    def side_by_side(self) -> np.ndarray:
        """(H, 3 W, 3) image, rendered and error."""
        return np.concatenate([self.image, self.rendered, self.error], axis=1)

    @property
    def scores(self) -> str:
        """The numbers in words."""
        masked = "" if self.psnr_masked is None else f", {self.psnr_masked:.2f} dB within the mask"
        return f"PSNR {self.psnr:.2f} dB{masked}"


def compared(renderer: Renderer, scene: Scene, view: int, width: int = 320) -> Comparison:
    """A view of the scene compared with its rendering, at a width in pixels (no more than it has)."""
    camera = scene.camera(view)
    camera = camera.scaled(min(1.0, width / camera.width))
    image = image_at(scene.images[view], camera.width, camera.height)
    image = image if image.dtype == np.uint8 else (np.clip(image, 0.0, 1.0) * 255.0).round().astype(np.uint8)
    rendered = rgb_image(render_view(renderer, camera))
    difference = np.abs(rendered.astype(np.float32) - image).mean(axis=-1) / 255.0
    level = (np.clip(difference / LARGEST_ERROR, 0.0, 1.0) * 255.0).round().astype(np.uint8)
    error = cv2.cvtColor(cv2.applyColorMap(level, cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB)
    pair, masked = (rendered / 255.0, image / 255.0), None
    if scene.masks is not None:
        masked = psnr(*pair, mask_at(scene.masks[view], camera.width, camera.height))
    return Comparison(image, rendered, error, psnr(*pair), masked)
