"""The scale of a captured world from printed markers of known size (ArUco, Garrido-Jurado et al. 2014; AprilTag, Olson 2011)."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from neus.errors import InputError
from neus.scenes.images import read_rgb

if TYPE_CHECKING:
    import pycolmap

# The families that are looked for; the one with most markers is the one that was printed.
FAMILIES = ("DICT_4X4_50", "DICT_5X5_100", "DICT_6X6_250", "DICT_APRILTAG_36H11")
# A marker is measured if so many images show it.
FEWEST_VIEWS = 3
# Markers whose sizes differ by more than this fraction (median absolute deviation) were not printed at one size.
MOST_SPREAD = 0.03
# OpenCV counts pixel centres at integers, COLMAP at +0.5.
_HALF_PIXEL = 0.5


@dataclass(frozen=True)
class Scale:
    """Units of the markers' edge for one unit of the model.

    Attributes:
        factor: by which the model is multiplied.
        n_markers: that were measured.
        spread: median absolute deviation of their sizes, as a fraction.
    """

    factor: float
    n_markers: int
    spread: float


def scale_from_markers(model: "pycolmap.Reconstruction", images: Path, edge: float) -> Scale:
    """The scale by which all markers have edges of the length that is given.

    Each corner is where the rays of all images that show it meet (least squares); the size of a marker is that of the square that
    fits its four corners best, and the scale is the median over all markers.

    Args:
        model: posed, at the size of the images.
        images: their folder.
        edge: of the black square of each marker, in the unit that the world is to have.

    Raises:
        InputError: no marker is seen by three images, or their sizes differ.
    """
    posed = {image.name: image for image in model.images.values() if image.has_pose}
    corners = _corners_of_markers(images, sorted(posed))
    sizes = []
    for seen in corners.values():
        if len(seen) >= FEWEST_VIEWS:
            rays = [_rays(model.cameras[posed[name].camera_id], posed[name], pixels) for name, pixels in seen]
            sizes.append(square_edge(np.stack([meeting_point([(c, d[i]) for c, d in rays]) for i in range(4)])))
    if not sizes:
        raise InputError(
            f"--marker-edge: {len(corners)} markers found, none of them in {FEWEST_VIEWS} images with a pose; expected printed markers of "
            f"{', '.join(family.removeprefix('DICT_') for family in FAMILIES)}, flat, with a white margin, at least 40 pixels wide."
        )
    middle = float(np.median(sizes))
    spread = float(np.median(np.abs(np.array(sizes) - middle))) / middle
    if spread > MOST_SPREAD:
        raise InputError(
            f"--marker-edge: the {len(sizes)} markers differ in size by {100 * spread:.1f} %; expected markers of one size. "
            "Cover the others, or leave --marker-edge out."
        )
    return Scale(edge / middle, len(sizes), spread)


def _corners_of_markers(folder: Path, names: Sequence[str]) -> Mapping[int, list[tuple[str, NDArray]]]:
    """For each marker of the family with most of them, the images that show it with its corners (4, 2), pixel centres at +0.5."""
    parameters = cv2.aruco.DetectorParameters()
    # Lines fitted to the edges: 0.04 % off in rendered markers of 70 pixels, where corners refined one by one were 0.8 % off.
    parameters.cornerRefinementMethod = cv2.aruco.CORNER_REFINE_APRILTAG
    detectors = {
        family: cv2.aruco.ArucoDetector(cv2.aruco.getPredefinedDictionary(getattr(cv2.aruco, family)), parameters) for family in FAMILIES
    }
    found: dict[str, dict[int, list[tuple[str, NDArray]]]] = {family: defaultdict(list) for family in FAMILIES}
    for name in names:
        grey = cv2.cvtColor(read_rgb(folder / name), cv2.COLOR_RGB2GRAY)
        for family, detector in detectors.items():
            squares, numbers, _ = detector.detectMarkers(grey)
            for square, number in zip(squares, [] if numbers is None else numbers.reshape(-1).tolist()):
                found[family][number].append((name, square.reshape(4, 2).astype(np.float64) + _HALF_PIXEL))
    return max(found.values(), key=lambda markers: sum(map(len, markers.values())))


def _rays(camera: "pycolmap.Camera", image: "pycolmap.Image", pixels: NDArray) -> tuple[NDArray, NDArray]:
    """The camera's centre (3,) and the unit directions (4, 3) in the world of pixels (4, 2)."""
    plane = np.asarray(camera.cam_from_img(pixels))
    directions = np.column_stack([plane[:, :2], np.ones(len(plane))])
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    return np.asarray(image.projection_center()), directions @ image.cam_from_world().rotation.matrix()


def meeting_point(rays: Sequence[tuple[NDArray, NDArray]]) -> NDArray:
    """(3,) the point nearest to rays of centres and unit directions (3,) each: sum (I - d d^T)(x - c) = 0."""
    across = [np.eye(3) - np.outer(direction, direction) for _, direction in rays]
    return np.linalg.solve(sum(across), sum(a @ center for a, (center, _) in zip(across, rays, strict=True)))


def square_edge(corners: NDArray) -> float:
    """The edge of the square that fits corners (4, 3) best, given in their order around it.

    The best similarity of centred points q to centred p has the scale (sum of singular values of p^T q) / sum |q|^2 (Umeyama 1991).

    >>> round(square_edge(np.array([[0.0, 0, 0], [2, 0, 0], [2, 2, 0], [0, 2, 0]])), 6)
    2.0
    """
    unit = np.array([[-0.5, -0.5, 0.0], [0.5, -0.5, 0.0], [0.5, 0.5, 0.0], [-0.5, 0.5, 0.0]])
    return float(np.linalg.svd((corners - corners.mean(axis=0)).T @ unit, compute_uv=False).sum() / (unit**2).sum())
