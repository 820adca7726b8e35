"""Cameras and points of AliceVision and Meshroom: cameras.sfm, or sfm.json of the node ConvertSfMFormat.

All numbers are texts. A rotation is that from world to camera column by column, which are the rows of camera to world. The world's axes
changed with Meshroom 2023, but in the poses as in the mesh, so nothing is turned here. By the version of the file:

    below 1.2.0   pxFocalLength is one number; from there two; from 1.2.2 on focalLength in millimetres of sensorWidth
    below 1.2.1   principalPoint from the corner, from there on from the middle
    below 1.2.5   pixelRatio is fx / fy, from there on fy / fx
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

PLACES = (
    "cameras.sfm",
    "sfm.sfm",
    "*.sfm",
    "sfm.json",
    "*/cameras.sfm",
    "MeshroomCache/StructureFromMotion/*/cameras.sfm",
)
# Names of lenses, older and newer, and how many coefficients each has.
LENSES = {
    "": 0, "none": 0, "pinhole": 0, "radial1": 1, "radialk1": 1, "radial3": 3, "radialk3": 3, "brown": 5, "fisheye4": 4,
}  # fmt: skip
FISHEYE = "fisheye4"


def find_alicevision(folder: Path) -> Path | None:
    """cameras.sfm, also in a folder of its own or in the cache of a Meshroom project."""
    return found_file(folder, PLACES, lambda path: begins_with(path, b'"version"'))


def read_alicevision(path: Path, folder: Path) -> PosedImages:
    """Cameras and points of an .sfm file in JSON.

    Raises:
        InputError: a missing key, a lens that is not read, or a camera of a rig.

    Warns:
        InputWarning: views without a pose.
    """
    data = json_of(path, ("version", "views", "intrinsics", "poses"))
    version = tuple(numbers_of(data["version"], 3, f"{path}: version").astype(int).tolist())
    intrinsics = _by(data, "intrinsics", "intrinsicId", path)
    poses = _by(data, "poses", "poseId", path)
    images, lost, view_of = [], [], {}
    for identity, view in _by(data, "views", "viewId", path).items():
        name = str(value_of(view, "path", f"{path}: view {identity}"))
        where = f"{path}: view {Path(name).name}"
        if "rigId" in view and str(view.get("isPoseIndependant", "")).lower() in ("0", "false"):
            raise InputError(f"{where}: it is of a camera rig, whose poses are not read; {SUGGESTION} without rig.")
        if str(view.get("poseId")) not in poses or str(view.get("intrinsicId")) not in intrinsics:
            lost.append(Path(name).name)
            continue
        view_of[identity] = len(images)
        pose = value_of(value_of(poses[str(view["poseId"])], "pose", where), "transform", where)
        rotation = numbers_of(value_of(pose, "rotation", where), 9, f"{where}: rotation").reshape(3, 3).T
        center = numbers_of(value_of(pose, "center", where), 3, f"{where}: center")
        camera = _camera(intrinsics[str(view["intrinsicId"])], version, where)
        images.append(PosedImage(name, pose_from_rotation(rotation, center), *camera))
    if lost:
        warn_of(f"{path}: {len(lost)} of {len(lost) + len(images)} views have no pose and are left out", lost)
    return PosedImages(path, folder, images, _points(data.get("structure") or [], view_of, path), without_pose=lost)


def _by(data: dict[str, Any], key: str, identity: str, path: Path) -> dict[str, dict[str, Any]]:
    if not isinstance(data[key], list):
        raise InputError(f"{path}: {key} is no list; {SUGGESTION}.")
    return {str(value_of(entry, identity, f"{path}: {key}")): entry for entry in data[key]}


def _camera(camera: dict[str, Any], version: Sequence[int], where: str) -> tuple:
    """`intrinsics`, `model` and `coefficients` of a `PosedImage`."""
    size = size_of(camera, where)
    cx, cy = numbers_of(value_of(camera, "principalPoint", where), 2, f"{where}: principalPoint")
    if version >= (1, 2, 1):
        cx, cy = cx + size[0] / 2, cy + size[1] / 2
    intrinsics = described(pinhole(*_focal(camera, size[0], version, where), cx, cy), size, where)
    kind = str(camera.get("type", "pinhole")).lower()
    if kind == "pinhole":
        kind = str(camera.get("distortionType", "")).lower()
    values = camera.get("distortionParams") or []
    if kind not in LENSES or str(camera.get("undistortionType", "none")).lower() not in ("", "none"):
        raise InputError(
            f"{where}: its lens is {kind}, expected one of {', '.join(filter(None, LENSES))}; undistort the images by Meshroom first."
        )
    if not LENSES[kind] or not values:
        return intrinsics, *brown_lens(())
    numbers = numbers_of(values, LENSES[kind], f"{where}: distortionParams").tolist()
    if kind == FISHEYE:
        return intrinsics, "OPENCV_FISHEYE", tuple(numbers)
    return intrinsics, *brown_lens(numbers[:3], numbers[3:] or (0.0, 0.0))


def _focal(camera: dict[str, Any], width: int, version: Sequence[int], where: str) -> tuple[float, float]:
    if version < (1, 2, 0):
        focal = number_of(camera, "pxFocalLength", where)
        return focal, focal
    if version < (1, 2, 2):
        focal_x, focal_y = numbers_of(value_of(camera, "pxFocalLength", where), 2, f"{where}: pxFocalLength")
        return float(focal_x), float(focal_y)
    focal = number_of(camera, "focalLength", where) / number_of(camera, "sensorWidth", where, 36.0) * width
    ratio = number_of(camera, "pixelRatio", where, 1.0)
    return focal, focal / ratio if version < (1, 2, 5) else focal * ratio


def _points(structure: Sequence[Any], view_of: dict[str, int], path: Path) -> TrackedPoints | None:
    if not structure:
        return None
    positions, colors = np.zeros((len(structure), 3)), np.zeros((len(structure), 3), np.uint8)
    points, views = [], []
    for index, point in enumerate(structure):
        where = f"{path}: point {index}"
        positions[index] = numbers_of(value_of(point, "X", where), 3, f"{where}: X")
        colors[index] = numbers_of(point.get("color") or [128, 128, 128], 3, f"{where}: color").clip(0, 255)
        seen = [
            view_of[str(one.get("observationId"))]
            for one in point.get("observations") or []
            if str(one.get("observationId")) in view_of
        ]
        points += [index] * len(seen)
        views += seen
    return TrackedPoints(positions, colors, np.array(points, np.int64), np.array(views, np.int64))
