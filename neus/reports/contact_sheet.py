"""Views of a scene as a model shows them, beside their images, as large as a given time allows."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from neus.evaluation.images import psnr
from neus.rendering.model import Model
from neus.rendering.modes import renderer_for
from neus.rendering.views import Renderer, normal_image, render_view, rgb_image
from neus.reports.error_map import color_error, error_image
from neus.scenes.scene import Scene

# Views on a sheet; fewer if they would get narrower than this.
MOST_VIEWS, NARROW = 4, 100
# Pixels across: of the images, and of the one that is timed.
WIDEST, NARROWEST, PROBE_WIDTH = 420, 48, 32


@dataclass(frozen=True)
class SheetView:
    """One view of a sheet.

    Attributes:
        view, name: number and name in the scene.
        image, render, normals: (H, W, 3) uint8 RGB.
        error: (H, W), mean absolute difference of the channels.
        counted: (H, W) bool, where image and render are meant to agree.
        psnr: dB, within the mask where there is one to train with.
    """

    view: int
    name: str
    captured: NDArray
    render: NDArray
    normals: NDArray
    error: NDArray
    counted: NDArray
    psnr: float

    @property
    def error_image(self) -> NDArray:
        """(H, W, 3) uint8 RGB."""
        return error_image(self.error, self.counted)


def views_to_show(candidates: Sequence[int], n: int = MOST_VIEWS) -> list[int]:
    """Up to n of the candidates, spread evenly.

    >>> views_to_show(list(range(0, 49, 8)), 4), views_to_show([3, 5], 4)
    ([0, 16, 32, 48], [3, 5])
    """
    n = min(n, len(candidates))
    return [candidates[round(i * (len(candidates) - 1) / max(n - 1, 1))] for i in range(n)]


def fitting_sheet(
    model: Model, scene: Scene, candidates: Sequence[int], seconds: float, masked: bool
) -> list[SheetView]:
    """As many of the candidates, as large, as can be rendered in so many seconds; at least one small one.

    Args:
        model, scene: in evaluation mode, and all its views.
        candidates: numbers of the views to choose from.
        seconds: measured on a small image first.
        masked: whether the model was trained within the masks only.
    """
    renderer = renderer_for(model)
    first = scene.camera(candidates[0])
    probe = first.scaled(min(PROBE_WIDTH / first.width, 1.0))
    render_view(renderer, probe)  # the first time compiles
    started = time.monotonic()
    render_view(renderer, probe)
    n_pixels = seconds * probe.width * probe.height / max(time.monotonic() - started, 1e-6)
    aspect = first.width / first.height
    n = max(1, min(MOST_VIEWS, len(candidates), int(n_pixels / (NARROW**2 / aspect))))
    width = max(NARROWEST, min(WIDEST, int(math.sqrt(n_pixels / n * aspect))))
    return sheet_of(renderer, scene, views_to_show(candidates, n), width, masked)


def sheet_of(
    renderer: Model | Renderer, scene: Scene, views: Sequence[int], width: int, masked: bool
) -> list[SheetView]:
    """The given views, `width` pixels across or as the images if those are narrower."""
    return [_sheet_view(renderer, scene, view, width, masked) for view in views]


def _sheet_view(renderer: Model | Renderer, scene: Scene, view: int, width: int, masked: bool) -> SheetView:
    whole = scene.camera(view)
    camera = whole.scaled(min(width / whole.width, 1.0))
    size = (camera.width, camera.height)
    seen = render_view(renderer, camera)
    captured = cv2.resize(scene.images[view], size, interpolation=cv2.INTER_AREA)
    render = rgb_image(seen)
    mask, counted = None, np.ones(render.shape[:2], bool)
    if masked and scene.masks is not None and scene.masks[view].any():
        mask = cv2.resize(scene.masks[view].astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0
        # Surface beyond the mask is an error as well.
        counted = mask | (seen.foreground.numpy() > 0.5)
    ratio = psnr(render / 255.0, captured / 255.0, mask if mask is not None and mask.any() else None)
    error = color_error(render, captured)
    return SheetView(view, scene.names[view], captured, render, normal_image(seen, camera), error, counted, ratio)
