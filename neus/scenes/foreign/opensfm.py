"""Cameras and points of OpenSfM and OpenDroneMap (ODM): reconstruction.json, and tracks.csv beside it.

A shot's rotation vector and translation lead from world to camera. Focal lengths and principal points are fractions of the longer side,
from the middle of the image; the coefficients are OpenCV's (OpenSfM documentation, geometric models). The world's z is upwards; with
GPS its unit is the metre.
"""

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from neus.errors import InputError, warn_of
from neus.files import read_text
from neus.scenes.foreign.brown import brown_lens
from neus.scenes.foreign.files import (
    SUGGESTION,
    begins_with,
    found_file,
    json_text_of,
    number_of,
    numbers_of,
    size_of,
    value_of,
)
from neus.scenes.posed_images import PosedImage, PosedImages, described, pinhole, pose_from_rotation
from neus.scenes.tracked_points import TrackedPoints

POLYNOMIAL, FISHEYE = ("perspective", "brown", "simple_radial", "radial"), ("fisheye", "fisheye_opencv")


def find_opensfm(folder: Path) -> Path | None:
    """reconstruction.json, or opensfm/reconstruction.json of ODM."""
    return found_file(
        folder, ("reconstruction.json", "opensfm/reconstruction.json"), lambda path: begins_with(path, b'"cameras"')
    )


def read_opensfm(path: Path, folder: Path) -> PosedImages:
    """Cameras and points of the reconstruction with most images.

    Raises:
        InputError: a missing key, another number of numbers, or a camera that is no perspective or fisheye one.

    Warns:
        InputWarning: there are several reconstructions.
    """
    found = json_text_of(path)
    if not isinstance(found, list) or not found:
        raise InputError(f"{path}: no list of reconstructions; {SUGGESTION}.")
    counts = [len(value_of(one, "shots", f"{path}: reconstruction {i}")) for i, one in enumerate(found)]
    if len(found) > 1:
        warn_of(f"{path}: {len(found)} reconstructions; the largest is read", [f"{count} images" for count in counts])
    chosen = found[counts.index(max(counts))]
    cameras = value_of(chosen, "cameras", str(path))
    images = []
    for name, shot in chosen["shots"].items():
        where = f"{path}: shot {name}"
        rotation = cv2.Rodrigues(numbers_of(value_of(shot, "rotation", where), 3, f"{where}: rotation"))[0]
        translation = numbers_of(value_of(shot, "translation", where), 3, f"{where}: translation")
        camera = value_of(cameras, value_of(shot, "camera", where), f"{where}: its camera")
        images.append(
            PosedImage(name, pose_from_rotation(rotation, -rotation.T @ translation), *_camera(camera, where))
        )
    reference = chosen.get("reference_lla") or {}
    has_gps = any(number_of(reference, key, f"{path}: reference_lla", 0.0) for key in ("latitude", "longitude"))
    points = _points(chosen.get("points") or {}, [image.name for image in images], path)
    return PosedImages(path, folder, images, points, up=(0.0, 0.0, 1.0), metres=1.0 if has_gps else None)


def _camera(camera: dict[str, Any], where: str) -> tuple:
    """`intrinsics`, `model` and `coefficients` of a `PosedImage`."""
    kind, size = str(value_of(camera, "projection_type", where)), size_of(camera, where)
    if kind not in (*POLYNOMIAL, *FISHEYE):
        raise InputError(
            f"{where}: its camera is {kind}, expected one of {', '.join((*POLYNOMIAL, *FISHEYE))}; undistort the images."
        )
    longer = max(size)
    focal = number_of(camera, "focal_x" if "focal_x" in camera else "focal", where)
    focal_y = number_of(camera, "focal_y", where, focal)
    cx, cy = (number_of(camera, key, where, 0.0) for key in ("c_x", "c_y"))
    matrix = pinhole(focal * longer, focal_y * longer, size[0] / 2 + cx * longer, size[1] / 2 + cy * longer)
    k = [number_of(camera, f"k{i}", where, 0.0) for i in range(1, 5)]
    p = [number_of(camera, key, where, 0.0) for key in ("p1", "p2")]
    if kind in FISHEYE:
        if any(p):
            raise InputError(f"{where}: a fisheye with p1 and p2 is not read; undistort the images by OpenSfM first.")
        return described(matrix, size, where), "OPENCV_FISHEYE", tuple(k)
    return described(matrix, size, where), *brown_lens(k[:3], p)


def _points(points: dict[str, Any], names: list[str], path: Path) -> TrackedPoints | None:
    if not points:
        return None
    order = {name: index for index, name in enumerate(points)}
    positions = np.array([numbers_of(p.get("coordinates"), 3, f"{path}: point {n}") for n, p in points.items()])
    colors = np.array([numbers_of(p.get("color", [128] * 3), 3, f"{path}: point {n}") for n, p in points.items()])
    track_points, track_views = _tracks(
        path.with_name("tracks.csv"), order, {name: view for view, name in enumerate(names)}
    )
    return TrackedPoints(positions, colors.clip(0, 255).astype(np.uint8), track_points, track_views)


def _tracks(path: Path, order: dict[str, int], view_of: dict[str, int]) -> tuple[np.ndarray, np.ndarray]:
    """Points and views of the lines image, track, ... that belong to both."""
    pairs = []
    for line in read_text(path, SUGGESTION).split("\n") if path.is_file() else []:
        words = line.split("\t", 2)
        if len(words) == 3 and words[0] in view_of and words[1] in order:
            pairs.append((order[words[1]], view_of[words[0]]))
    found = np.array(pairs, np.int64).reshape(-1, 2)
    return found[:, 0], found[:, 1]
