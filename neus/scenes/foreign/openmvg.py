"""Cameras and points of OpenMVG: sfm_data.json.

Extrinsics hold the rows of the rotation from world to camera, and the centre. The serializer names a class only where it stands first, so
the kind of a lens is told by the key of its coefficients.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from neus.errors import InputError, warn_of
from neus.scenes.foreign.brown import brown_lens
from neus.scenes.foreign.files import (
    SUGGESTION,
    begins_with,
    found_file,
    json_of,
    number_of,
    numbers_of,
    size_of,
    value_of,
)
from neus.scenes.posed_images import PosedImage, PosedImages, described, pinhole, pose_from_rotation
from neus.scenes.tracked_points import TrackedPoints

PLACES = ("sfm_data.json", "sfm_data*.json", "reconstruction*/sfm_data.json", "*/sfm_data.json")
# The numbers behind each key of coefficients.
DISTORTIONS = {"disto_k1": 1, "disto_k3": 3, "disto_t2": 5, "fisheye": 4}


def find_openmvg(folder: Path) -> Path | None:
    """sfm_data.json, also in a folder of its own."""
    return found_file(folder, PLACES, lambda path: begins_with(path, b'"sfm_data_version"'))


def read_openmvg(path: Path, folder: Path) -> PosedImages:
    """Cameras and points of an sfm_data.json.

    Raises:
        InputError: a missing key, another number of numbers, or a camera that is no pinhole or fisheye.

    Warns:
        InputWarning: views without a pose.
    """
    data = json_of(path, ("views", "intrinsics", "extrinsics"))
    intrinsics = {
        entry["key"]: _data(entry, f"{path}: intrinsic {entry['key']}") for entry in _entries(data, "intrinsics", path)
    }
    extrinsics = {
        entry["key"]: value_of(entry, "value", f"{path}: extrinsics") for entry in _entries(data, "extrinsics", path)
    }
    images, lost, view_of = [], [], {}
    for entry in _entries(data, "views", path):
        view = _data(entry, f"{path}: view {entry['key']}")
        name = str(value_of(view, "filename", f"{path}: view {entry['key']}"))
        where = f"{path}: view {name}"
        local = str(view.get("local_path") or "").strip("/\\")
        if view.get("id_pose") not in extrinsics or view.get("id_intrinsic") not in intrinsics:
            lost.append(name)
            continue
        view_of[entry["key"]] = len(images)
        pose = extrinsics[view["id_pose"]]
        rotation = numbers_of(value_of(pose, "rotation", where), 9, f"{where}: rotation").reshape(3, 3)
        center = numbers_of(value_of(pose, "center", where), 3, f"{where}: center")
        images.append(
            _image(f"{local}/{name}" if local else name, intrinsics[view["id_intrinsic"]], rotation, center, where)
        )
    if lost:
        warn_of(f"{path}: {len(lost)} of {len(lost) + len(images)} views have no pose and are left out", lost)
    return PosedImages(path, folder, images, _points(data.get("structure") or [], view_of, path), without_pose=lost)


def _entries(data: dict[str, Any], key: str, path: Path) -> list[dict[str, Any]]:
    entries = data[key]
    if not isinstance(entries, list) or not all(isinstance(entry, dict) and "key" in entry for entry in entries):
        raise InputError(f"{path}: {key} is no list of objects with a key; {SUGGESTION}.")
    return entries


def _data(entry: dict[str, Any], where: str) -> dict[str, Any]:
    """What is wrapped for its class, the part of the base class among it."""
    data = value_of(value_of(value_of(entry, "value", where), "ptr_wrapper", where), "data", where)
    if not isinstance(data, dict):
        raise InputError(f"{where}: no object of data; {SUGGESTION}.")
    return {**(data["value0"] if isinstance(data.get("value0"), dict) else {}), **data}


def _image(name: str, camera: dict[str, Any], rotation: np.ndarray, center: np.ndarray, where: str) -> PosedImage:
    if "focal_length" not in camera:
        raise InputError(
            f"{where}: its camera has no focal_length, expected a pinhole or a fisheye; cut spherical images first."
        )
    focal = number_of(camera, "focal_length", where)
    cx, cy = numbers_of(value_of(camera, "principal_point", where), 2, f"{where}: principal_point")
    intrinsics = described(pinhole(focal, focal, cx, cy), size_of(camera, where), where)
    key = next((key for key in DISTORTIONS if key in camera), None)
    lens = brown_lens(())
    if key is not None:
        numbers = numbers_of(camera[key], DISTORTIONS[key], f"{where}: {key}").tolist()
        lens = (
            ("OPENCV_FISHEYE", tuple(numbers))
            if key == "fisheye"
            else brown_lens(numbers[:3], numbers[3:] or (0.0, 0.0))
        )
    return PosedImage(name, pose_from_rotation(rotation, center), intrinsics, *lens)


def _points(structure: Sequence[Any], view_of: dict[Any, int], path: Path) -> TrackedPoints | None:
    if not structure:
        return None
    positions, points, views = np.zeros((len(structure), 3)), [], []
    for index, entry in enumerate(structure):
        where = f"{path}: point {index}"
        point = value_of(entry, "value", where)
        positions[index] = numbers_of(value_of(point, "X", where), 3, f"{where}: X")
        seen = [view_of[one["key"]] for one in point.get("observations") or [] if one.get("key") in view_of]
        points += [index] * len(seen)
        views += seen
    return TrackedPoints(positions, None, np.array(points, np.int64), np.array(views, np.int64))
