"""Cameras of RealityCapture and RealityScan: the CSV "Internal/External camera parameters".

#name,x,y,alt,heading,pitch,roll,f,px,py,k1,k2,k3,k4,t1,t2, degrees; f of 35 mm film, px and py from the middle in fractions of the longer
side. Camera to world is Rz(-heading) Rx(pitch) Ry(roll) of a camera that looks along -z with y up, the world's z upwards. RealityCapture's
own export for OpenCV writes t2, t1 in place of p1, p2.
"""

import csv
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from neus.errors import InputError
from neus.files import read_text
from neus.scenes.foreign.brown import brown_lens
from neus.scenes.foreign.files import SUGGESTION, begins_with, found_file, numbers_of
from neus.scenes.pixel_store import Size
from neus.scenes.posed_images import OPENGL_FROM_OPENCV, PosedImage, PosedImages, pinhole

NEEDED = ("name", "x", "y", "alt", "heading", "pitch", "roll", "f")
# Width of 35 mm film, in which f is given.
FILM_WIDTH = 36.0


def find_realitycapture(folder: Path) -> Path | None:
    """The .csv file whose first line names heading, pitch and roll."""
    return found_file(
        folder, ("*.csv",), lambda path: begins_with(path, b"name", b"heading", b"pitch", b"roll", b"alt")
    )


def read_realitycapture(path: Path, folder: Path) -> PosedImages:
    """Cameras of the CSV file; columns may be left out and in any order, except those that make a pose.

    Raises:
        InputError: a column is missing, or a line has other than numbers in it.
    """
    lines = [(n, line) for n, line in enumerate(read_text(path, SUGGESTION).split("\n"), 1) if line.strip()]
    lines = [(n, line) for n, line in lines if not line.startswith("#cameras")]
    columns = [word.strip().lstrip("#").lower() for word in next(csv.reader([lines[0][1]]))]
    if missing := [name for name in NEEDED if name not in columns]:
        raise InputError(
            f"{path}: line {lines[0][0]} has no column {missing[0]}, expected {','.join(NEEDED)}; export Internal/External camera "
            "parameters with all of them."
        )
    images = []
    for number, line in lines[1:]:
        words, where = next(csv.reader([line])), f"{path}: line {number}"
        if len(words) != len(columns):
            raise InputError(
                f"{where}: {len(words)} columns, expected {len(columns)} as in line {lines[0][0]}; {SUGGESTION}."
            )
        images.append(_image(dict(zip(columns, words, strict=True)), where))
    return PosedImages(path, folder, images, up=(0.0, 0.0, 1.0))


def _image(row: dict[str, str], where: str) -> PosedImage:
    def of(key: str) -> float:
        return float(numbers_of([row[key].strip()], 1, f"{where}: {key}")[0]) if row.get(key, "").strip() else 0.0

    pose = torch.eye(4, dtype=torch.float64)
    pose[:3, :3] = torch.from_numpy(_rotation(of("heading"), of("pitch"), of("roll")))
    pose[:3, 3] = torch.tensor([of("x"), of("y"), of("alt")], dtype=torch.float64)
    lens = brown_lens([of(f"k{i}") for i in range(1, 5)], (of("t2"), of("t1")))
    return PosedImage(
        row["name"].strip(), pose @ OPENGL_FROM_OPENCV, film_intrinsics(of("f"), of("px"), of("py")), *lens
    )


def film_intrinsics(focal: float, px: float, py: float) -> Callable[[Size], Tensor]:
    """For `PosedImage.intrinsics`: focal length of 35 mm film, principal point from the middle in fractions of the longer side."""

    def intrinsics(size: Size) -> Tensor:
        longer = max(size)
        pixels = focal * longer / FILM_WIDTH
        rows = pinhole(pixels, pixels, size[0] / 2 + px * longer, size[1] / 2 + py * longer)
        return torch.tensor(rows, dtype=torch.float64)

    return intrinsics


def _rotation(heading: float, pitch: float, roll: float) -> np.ndarray:
    """(3, 3) Rz(-heading) Rx(pitch) Ry(roll), degrees."""
    (sz, cz), (sx, cx), (sy, cy) = (
        (math.sin(math.radians(angle)), math.cos(math.radians(angle))) for angle in (-heading, pitch, roll)
    )
    about_z = np.array([[cz, -sz, 0.0], [sz, cz, 0.0], [0.0, 0.0, 1.0]])
    about_x = np.array([[1.0, 0.0, 0.0], [0.0, cx, -sx], [0.0, sx, cx]])
    about_y = np.array([[cy, 0.0, sy], [0.0, 1.0, 0.0], [-sy, 0.0, cy]])
    return about_z @ about_x @ about_y
