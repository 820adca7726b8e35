"""Cameras and points of VisualSFM: model.nvm.

NVM_V3 on the first line, perhaps with FixedK fx cx fy cy r; then cameras: name, f, quaternion wxyz from world to camera, *centre*, r, 0.
NVM_V3_R9 has nine numbers of the rotation and the translation instead. r is of the point as it is measured:
(x, y) / z = (1 + r |m|^2) m, m the measured point over f (C. Wu, VisualSFM; its multicore bundle adjustment writes it so).
"""

from pathlib import Path

import numpy as np

from neus.errors import InputError, warn_of
from neus.scenes.foreign.files import SUGGESTION, Lines, found_file, numbers_of
from neus.scenes.lens_models import OPENCV, RADIAL_OF_SHOWN
from neus.scenes.posed_images import (
    PosedImage,
    PosedImages,
    centered,
    described,
    pinhole,
    pose_from_rotation,
    rotation_from_quaternion,
)
from neus.scenes.tracked_points import TrackedPoints

FIRST_WORDS = ("NVM_V3", "NVM_V3_R9")


def find_nvm(folder: Path) -> Path | None:
    """The only .nvm file."""
    return found_file(folder, ("*.nvm",))


def read_nvm(path: Path, folder: Path) -> PosedImages:
    """Cameras and points of the first model in an NVM file.

    Raises:
        InputError: a line that is not what should stand there.

    Warns:
        InputWarning: further models in the file.
    """
    lines = Lines(path)
    words = lines.text("NVM_V3").split()
    if words[0] not in FIRST_WORDS:
        raise InputError(f"{path}: it begins with {words[0][:20]!r}, expected NVM_V3; {SUGGESTION}.")
    fixed = numbers_of(words[2:7], 5, lines.where) if words[1:2] == ["FixedK"] else None
    (n_cameras,) = lines.counted(lines.numbers(1, "the number of cameras"), "the number of cameras")
    images = [_camera(lines, words[0], fixed) for _ in range(n_cameras)]
    points = _points(lines, n_cameras) if len(lines) else None
    if len(lines) and (further := int(numbers_of(lines.text("").split()[:1], 1, lines.where)[0])):
        warn_of(f"{path}: only the first of its models is read", [f"the next has {further} cameras"])
    return PosedImages(path, folder, images, points)


def _camera(lines: Lines, kind: str, fixed: np.ndarray | None) -> PosedImage:
    n_numbers = 10 if kind == "NVM_V3" else 15
    line = lines.text("a camera")
    words = line.rsplit(maxsplit=n_numbers)
    if len(words) != n_numbers + 1:
        raise InputError(f"{lines.where}: {line[:60]!r}, expected a name and {n_numbers} numbers; {SUGGESTION}.")
    focal, *numbers = numbers_of(words[1:], n_numbers, lines.where)
    if kind == "NVM_V3":
        if not any(numbers[:4]):
            raise InputError(f"{lines.where}: the quaternion is 0, 0, 0, 0; {SUGGESTION}.")
        rotation, center = rotation_from_quaternion(*numbers[:4]), np.array(numbers[4:7])
    else:
        rotation = np.reshape(numbers[:9], (3, 3))
        center = -rotation.T @ numbers[9:12]
    radial = float(fixed[4]) if fixed is not None else float(numbers[-2])
    fx, cx, fy, cy = (focal, 0.0, focal, 0.0) if fixed is None else fixed[:4]
    intrinsics = centered(focal) if fixed is None else described(pinhole(fx, fy, cx, cy), None, lines.where)
    lens = (RADIAL_OF_SHOWN, (radial,)) if radial else (OPENCV, ())
    # VisualSFM writes spaces of names as quotes.
    return PosedImage(words[0].replace('"', " "), pose_from_rotation(rotation, center), intrinsics, *lens)


def _points(lines: Lines, n_cameras: int) -> TrackedPoints:
    (n_points,) = lines.counted(lines.numbers(1, "the number of points"), "the number of points")
    positions, colors = np.zeros((n_points, 3)), np.zeros((n_points, 3), np.uint8)
    points, views = [], []
    for point in range(n_points):
        words = lines.text("a point").split()
        head = numbers_of(words[:7], 7, lines.where)
        positions[point], colors[point] = head[:3], head[3:6].clip(0, 255)
        track = numbers_of(words[7:], 4 * round(head[6]), lines.where)
        seen = track[::4].astype(int)
        if len(seen) and not (0 <= seen.min() and seen.max() < n_cameras):
            raise InputError(f"{lines.where}: camera {seen.max()}, expected 0 to {n_cameras - 1}; {SUGGESTION}.")
        points += [point] * len(seen)
        views += seen.tolist()
    return TrackedPoints(positions, colors, np.array(points, np.int64), np.array(views, np.int64))
