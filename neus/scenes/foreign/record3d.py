"""Cameras of Record3D: an .r3d file, which is a zip, or its folder: rgbd/N.jpg and metadata.

`poses` are qx qy qz qw x y z, camera to world, of a camera that looks along -z with y up, in metres with y upwards (ARKit); `K` is 3x3
column by column; `perFrameIntrinsicCoeffs` fx fy cx cy, preferred since stabilisation moves the lens. Depth is not read.
"""

import json
import zipfile
from pathlib import Path
from typing import Any

import torch

from neus.errors import InputError
from neus.scenes.foreign.files import SUGGESTION, found_file, numbers_of, size_of, value_of
from neus.scenes.images import natural_order
from neus.scenes.pixel_store import Size
from neus.scenes.posed_images import (
    OPENGL_FROM_OPENCV,
    PosedImage,
    PosedImages,
    described,
    pinhole,
    rotation_from_quaternion,
)

METADATA, IMAGES, IMAGE_ENDINGS = ("metadata", "metadata.json"), "rgbd", (".jpg", ".png")


def find_record3d(folder: Path) -> Path | None:
    """An .r3d file, or metadata beside rgbd/."""
    if folder.is_dir() and (folder / IMAGES).is_dir():
        return next((folder / name for name in METADATA if (folder / name).is_file()), None)
    return found_file(folder, ("*.r3d",))


def read_record3d(path: Path, folder: Path) -> PosedImages:
    """Cameras of a recording; images are read from within the file.

    Raises:
        InputError: no zip file, no metadata, another number of numbers, or no image for any pose.
    """
    root = _root(path)
    where = f"{path}: metadata" if path.suffix == ".r3d" else str(path)
    data = _metadata(root, where)
    size = size_of(data, where, ("w", "h"))
    poses, per_frame = value_of(data, "poses", where), data.get("perFrameIntrinsicCoeffs") or []
    files = {file.stem: file for file in (root / IMAGES).iterdir() if file.suffix.lower() in IMAGE_ENDINGS}
    images = []
    for stem in sorted((stem for stem in files if stem.isdecimal()), key=int):
        index = int(stem)
        if index < len(poses):
            matrix = _intrinsics(data, per_frame, index, where)
            images.append(_image(files[stem], poses[index], matrix, size, f"{where}: pose {index}"))
    if not images:
        found = ", ".join(sorted(files, key=lambda name: natural_order(Path(name)))[:3]) or "nothing"
        raise InputError(
            f"{path}: no image {IMAGES}/0.jpg, ... for its {len(poses)} poses (found: {found}); {SUGGESTION}."
        )
    return PosedImages(path, folder, images, up=(0.0, 1.0, 0.0), metres=1.0)


def _root(path: Path) -> Path | zipfile.Path:
    """What the recording's names begin in, of either kind with the same methods."""
    if path.suffix.lower() != ".r3d":
        return path.parent
    try:
        return zipfile.Path(path)
    except (OSError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: not a readable zip file ({error}); copy it from the phone again.") from error


def _metadata(root: Path | zipfile.Path, where: str) -> dict[str, Any]:
    place = next((root / name for name in METADATA if (root / name).is_file()), None)
    if place is None or not (root / IMAGES).is_dir():
        raise InputError(f"{where}: no metadata and {IMAGES}/ in it; export the recording as r3d.")
    try:
        return json.loads(place.read_bytes())
    except (ValueError, OSError, zipfile.BadZipFile) as error:
        raise InputError(f"{where}: not readable ({error}); copy it from the phone again.") from error


def _intrinsics(data: dict[str, Any], per_frame: list[Any], index: int, where: str) -> list[list[float]]:
    if index < len(per_frame):
        fx, fy, cx, cy = numbers_of(per_frame[index], 4, f"{where}: perFrameIntrinsicCoeffs {index}")
        return pinhole(fx, fy, cx, cy)
    return numbers_of(value_of(data, "K", where), 9, f"{where}: K").reshape(3, 3).T.tolist()


def _image(file: Path, numbers: Any, matrix: list[list[float]], size: Size, where: str) -> PosedImage:
    x, y, z, w, *center = numbers_of(numbers, 7, where)
    if not any((x, y, z, w)):
        raise InputError(f"{where}: the quaternion is 0, 0, 0, 0; {SUGGESTION}.")
    pose = torch.eye(4, dtype=torch.float64)
    pose[:3, :3] = torch.from_numpy(rotation_from_quaternion(w, x, y, z))
    pose[:3, 3] = torch.tensor(center, dtype=torch.float64)
    return PosedImage(file.name, pose @ OPENGL_FROM_OPENCV, described(matrix, size, where), image=file)
