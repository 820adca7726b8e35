"""Cameras of NSVF and TanksAndTemples as NSVF prepared it: intrinsics.txt, pose/*.txt, rgb/ and bbox.txt.

A pose is camera to world, x right, y down, z forward. Names that begin with 0_, 1_, 2_ are of training, validation and test views.
"""

from pathlib import Path

import numpy as np
import torch

from neus.errors import InputError, warn_of
from neus.files import read_text
from neus.scenes.foreign.files import SUGGESTION, numbers_of
from neus.scenes.images import image_files, natural_order
from neus.scenes.posed_images import PosedImage, PosedImages, described, pinhole

TRAINING, SPLITS = "0_", ("0_", "1_", "2_")


def find_nsvf(folder: Path) -> Path | None:
    """intrinsics.txt of a folder that has pose/ and rgb/ as well."""
    is_nsvf = folder.is_dir() and all((folder / name).is_dir() for name in ("pose", "rgb"))
    return folder / "intrinsics.txt" if is_nsvf and (folder / "intrinsics.txt").is_file() else None


def read_nsvf(path: Path, folder: Path) -> PosedImages:
    """The training views, or all where the names begin otherwise; the region of interest is the ball around bbox.txt.

    Raises:
        InputError: other numbers than those of a camera or of a box, or no image for a pose.

    Warns:
        InputWarning: views for validation and test, which are left out.
    """
    intrinsics = described(_matrix(path), None, str(path))
    files = {file.stem: file for file in image_files(folder / "rgb")}
    poses = sorted((f for f in (folder / "pose").glob("*.txt") if f.name[0] != "."), key=natural_order)
    if any(pose.name.startswith(TRAINING) for pose in poses) and all(pose.name.startswith(SPLITS) for pose in poses):
        others = [pose.name for pose in poses if not pose.name.startswith(TRAINING)]
        poses = [pose for pose in poses if pose.name.startswith(TRAINING)]
        if others:
            warn_of(f"{folder / 'pose'}: {len(others)} views are for validation and test and are left out", others)
    images = []
    for pose in poses:
        matrix = torch.from_numpy(numbers_of(read_text(pose, SUGGESTION).split(), 16, str(pose)).reshape(4, 4))
        file = files.get(pose.stem)
        images.append(PosedImage(file.name if file else pose.stem, matrix, intrinsics, image=file))
    return PosedImages(path, folder, _present(images, folder), region=_region(folder / "bbox.txt"))


def _present(images: list[PosedImage], folder: Path) -> list[PosedImage]:
    lost = [image.name for image in images if image.image is None]
    if lost and len(lost) == len(images):
        raise InputError(f"{folder / 'rgb'}: no image for any pose, for instance {lost[0]}; restore the images.")
    if lost:
        warn_of(
            f"{folder / 'rgb'}: {len(lost)} of {len(images)} images do not exist, so their views are left out", lost
        )
    return [image for image in images if image.image is not None]


def _matrix(path: Path) -> list[list[float]]:
    """K from its 16 numbers, or from f, cx, cy and what follows."""
    words = read_text(path, SUGGESTION).split()
    if len(words) == 16:
        return numbers_of(words, 16, str(path)).reshape(4, 4)[:3, :3].tolist()
    focal, center_x, center_y = numbers_of(words[:3], 3, str(path))
    return pinhole(focal, focal, center_x, center_y)


def _region(path: Path) -> tuple[list[float], float] | None:
    if not path.is_file():
        return None
    corners = numbers_of(read_text(path, SUGGESTION).split()[:6], 6, str(path)).reshape(2, 3)
    if not (corners[0] < corners[1]).all():
        raise InputError(
            f"{path}: corners {corners.tolist()}, expected the least x, y, z and then the greatest; correct or remove it."
        )
    return corners.mean(axis=0).tolist(), float(np.linalg.norm(corners[1] - corners[0])) / 2
