"""Images reduced for stereo with their cameras, and which of them are compared with each other."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from neus.geometry.cameras import projection
from neus.kernels.threads import run_tasks
from neus.scenes.scene import Scene

# Angle between the rays of two views to one point, degrees: the best for matching and the limits of what still matches.
BEST_ANGLE, LEAST_ANGLE, LARGEST_ANGLE = 14.0, 3.0, 45.0
# Views whose optical axes part by more than 60 degrees show different sides.
LEAST_AXIS_COSINE = 0.5
# A camera within the region still sees something in front of it: least distance of its reference point, scene units.
LEAST_REFERENCE = 0.2


@dataclass(frozen=True)
class StereoView:
    """One image at the size of matching.

    Attributes:
        index: of the view in the scene.
        rgb: (H, W, 3) uint8.
        grey: (H, W) float32, 0 to 255.
        mask: (H, W) bool, True on the object, or None.
        matrix: (3, 4) float64, scene to homogeneous pixels, pixel centres at integers; the third row gives depth.
        center, forward: (3,) float64, the camera's centre and unit optical axis in the scene.
        focal: pixels.
    """

    index: int
    rgb: NDArray
    grey: NDArray
    mask: NDArray | None
    matrix: NDArray
    center: NDArray
    forward: NDArray
    focal: float

    def backprojection(self) -> NDArray:
        """(3, 3) M: the scene point at depth z of pixel (u, v) is z M (u, v, 1) + center."""
        return np.linalg.inv(self.matrix[:, :3])


@dataclass(frozen=True)
class DepthEstimate:
    """Depths of one view found by matching.

    Attributes:
        matrix: (3, 4) as in `StereoView`.
        depths: (H, W) float32 along the camera's z, scene units, NaN where nothing is known.
        scores: (H, W) float32, zero-mean normalised cross correlation at that depth, 0 where nothing is known.
        step: inverse depth that moves a point by about one pixel in the neighbours: the unit of the depths' error.
    """

    matrix: NDArray
    depths: NDArray
    scores: NDArray
    step: float


def stereo_views(scene: Scene, longest_side: int) -> list[StereoView]:
    """All views of the scene, reduced by area averaging to at most `longest_side` pixels, never enlarged."""
    found: list[StereoView | None] = [None] * len(scene)

    def reduce(index: int) -> None:
        found[index] = _stereo_view(scene, index, longest_side)

    run_tasks(reduce, [(index,) for index in range(len(scene))])
    return [view for view in found if view is not None]


def _stereo_view(scene: Scene, index: int, longest_side: int) -> StereoView:
    camera = scene.camera(index)
    camera = camera.scaled(min(1.0, longest_side / max(camera.width, camera.height)))
    size = (camera.width, camera.height)
    rgb = cv2.resize(scene.images[index], size, interpolation=cv2.INTER_AREA)
    mask = None
    if scene.masks is not None:
        soft = cv2.resize(scene.masks[index].astype(np.uint8) * 255, size, interpolation=cv2.INTER_AREA)
        mask = soft > 127
    pose = camera.camera_to_scene.numpy().astype(np.float64)
    return StereoView(
        index=index,
        rgb=rgb,
        grey=cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).astype(np.float32),
        mask=mask,
        matrix=projection(camera).astype(np.float64),
        center=pose[:3, 3],
        forward=pose[:3, 2],
        focal=float(camera.intrinsics[0, 0]),
    )


def neighbors(
    views: list[StereoView], count: int, least_angle: float = LEAST_ANGLE, largest_angle: float = LARGEST_ANGLE
) -> list[list[int]]:
    """For each view the indices of at most `count` others to match it with, the best first; see `neighbors_of_cameras`."""
    centers, axes = np.array([view.center for view in views]), np.array([view.forward for view in views])
    return neighbors_of_cameras(centers, axes, count, least_angle, largest_angle)


def neighbors_of_cameras(
    centers: NDArray,
    axes: NDArray,
    count: int,
    least_angle: float = LEAST_ANGLE,
    largest_angle: float = LARGEST_ANGLE,
    candidates: NDArray | None = None,
) -> list[list[int]]:
    """For each camera the indices of at most `count` others to match it with, the best first.

    The angle is that of parallax at the point of the camera's optical axis nearest to the scene's centre; angles count by
    their ratio to the best one, for too small an angle measures depth badly and too large a one changes the appearance.

    Args:
        centers, axes: (V, 3) centres, scene units, and unit optical axes.
        count: neighbours of each.
        least_angle, largest_angle: degrees between which a neighbour is useful.
        candidates: (V,) bool, the cameras that may be neighbours; None for all.
    """
    lists = []
    for i, (center, axis) in enumerate(zip(centers, axes, strict=True)):
        reference = center + axis * max(LEAST_REFERENCE, -center @ axis)
        toward = reference - centers
        toward /= np.linalg.norm(toward, axis=1, keepdims=True)
        angles = np.degrees(np.arccos(np.clip(toward @ toward[i], -1.0, 1.0)))
        is_usable = (angles >= least_angle) & (angles <= largest_angle) & (axes @ axis > LEAST_AXIS_COSINE)
        is_usable[i] = False
        if candidates is not None:
            is_usable &= candidates
        usable = np.flatnonzero(is_usable)
        order = np.argsort(np.abs(np.log(angles[usable] / BEST_ANGLE)), kind="stable")
        lists.append([int(other) for other in usable[order][:count]])
    return lists
