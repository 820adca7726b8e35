"""Do the intrinsics belong to images of this size? A wrong scale spoils masks, poses and region alike."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from neus.scenes.scene import Scene

# Principal points of images lie near the middle of the image; those of crops at least in its middle half.
MIDDLE = (0.25, 0.75)
# Fields of view along one side, degrees: beyond the longest and the widest lenses of pinhole cameras.
NARROWEST, WIDEST = 3.0, 150.0
# The factors that principal point over image size gives across and down agree this well if the image is only scaled.
AGREEMENT = 0.1


@dataclass(frozen=True)
class IntrinsicsFault:
    """Intrinsics that cannot be of these images.

    Attributes:
        views: the views concerned.
        found: what was found, without a full stop.
        suggestion: what to do.
        factor: they are for images this many times as large; None if they are wrong otherwise.
    """

    views: tuple[int, ...]
    found: str
    suggestion: str
    factor: float | None = None

    @property
    def text(self) -> str:
        """Both in one line."""
        return f"{self.found}; {self.suggestion}"


def fields_of_view(intrinsics: Tensor, width: int, height: int) -> Tensor:
    """(2,) radians from border to border across and down, for the principal point as it is.

    >>> fields_of_view(torch.tensor([[50.0, 0.0, 50.0], [0.0, 50.0, 50.0], [0.0, 0.0, 1.0]]), 100, 100).rad2deg()
    tensor([90., 90.])
    """
    focal, center = intrinsics.diagonal()[:2], intrinsics[:2, 2]
    size = torch.tensor([width, height]).to(intrinsics)
    return torch.atan(center / focal) + torch.atan((size - center) / focal)


def size_factors(scene: Scene) -> np.ndarray:
    """(V, 2) how many times as large, across and down, an image with its principal point in the middle would be."""
    return 2.0 * scene.intrinsics[:, :2, 2].numpy() / np.array(scene.sizes, np.float64)


def common_factor(scene: Scene, views: tuple[int, ...]) -> float | None:
    """The factor of size of the intrinsics of these views, if across and down agree on one; None otherwise.

    Close to a whole number, or one over it, that number is returned.
    """
    across, down = np.median(size_factors(scene)[list(views)], axis=0)
    factor = (across + down) / 2
    if factor <= 0 or abs(across - down) > AGREEMENT * factor:
        return None
    nearest = round(factor) if factor >= 1 else 1 / round(1 / factor)
    return float(nearest if abs(factor - nearest) < 0.03 * nearest else factor)


def intrinsics_fault(scene: Scene) -> IntrinsicsFault | None:
    """What is wrong with the intrinsics of most views, by principal point and field of view alone; None if nothing is."""
    fractions = size_factors(scene) / 2
    angles = np.degrees(
        [
            fields_of_view(intrinsics, *size).numpy()
            for intrinsics, size in zip(scene.intrinsics, scene.sizes, strict=True)
        ]
    )
    is_off = ((fractions < MIDDLE[0]) | (fractions > MIDDLE[1])).any(axis=-1)
    is_odd = ((angles < NARROWEST) | (angles > WIDEST)).any(axis=-1)
    if 2 * (is_off | is_odd).sum() <= len(scene):
        return None
    views = tuple(np.flatnonzero(is_off | is_odd).tolist())
    if 2 * is_off.sum() > len(scene):
        return _off_center(scene, views, fractions)
    middle = np.median(angles, axis=0)
    found = f"the intrinsics give fields of view of {middle[0]:.3g} by {middle[1]:.3g} degrees"
    suggestion = f"expected {NARROWEST:g} to {WIDEST:g}; give focal lengths in pixels of these images"
    return IntrinsicsFault(views, found, suggestion)


def scaled_fault(scene: Scene, views: tuple[int, ...], factor: float) -> IntrinsicsFault:
    """The fault of intrinsics for images `factor` times as large as those of the scene."""
    width, height = (round(scene.downscale * side) for side in scene.sizes[views[0]])
    meant = (round(factor * width), round(factor * height))
    found = (
        f"the intrinsics are for images {factor:.4g} times as large: {meant[0]}x{meant[1]} pixels, where the images have "
        f"{width}x{height}"
    )
    how = {
        "idr": f"replace each world_mat_i of the camera file by diag({1 / factor:.4g}, {1 / factor:.4g}, 1, 1) @ world_mat_i",
        "blender": f'give "w": {meant[0]} and "h": {meant[1]} beside them',
    }
    suggestion = how.get(scene.format, f"divide fx, fy, cx and cy by {factor:.4g}") + ", or use the images they belong to"
    return IntrinsicsFault(views, found, suggestion, factor)


def _off_center(scene: Scene, views: tuple[int, ...], fractions: np.ndarray) -> IntrinsicsFault:
    centers = scene.intrinsics[list(views), :2, 2].numpy()
    if (np.abs(centers) <= 1.0).all():
        found = (
            f"the intrinsics are fractions of the image size: principal point at {_pair(np.median(centers, axis=0))}"
        )
        return IntrinsicsFault(views, found, "give fx, fy, cx and cy in pixels: times the width and the height")
    factor = common_factor(scene, views)
    if factor is not None:
        return scaled_fault(scene, views, factor)
    found = f"principal point at {_pair(np.median(fractions[list(views)], axis=0))} of width and height of the images"
    suggestion = (
        f"expected {MIDDLE[0]:g} to {MIDDLE[1]:g}; check that the intrinsics belong to these images (cropped, resized or "
        "turned on their side after calibration?)"
    )
    return IntrinsicsFault(views, found, suggestion)


def _pair(values: np.ndarray) -> str:
    return " and ".join(f"{value:.3g}" for value in values)
