"""COLMAP's text model: cameras.txt, images.txt and, where there is one, points3D.txt.

The name of an image is the rest of its line, spaces and all. A line that reads as a pose and a name begins an image whatever
precedes it, so that models without lines of observations are read whole.
"""

import re
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from neus.errors import InputError
from neus.files import read_text

# Sides of images beyond this are no pixels.
MAX_SIDE = 1_000_000
SUGGESTION = "correct the line, or export the model again"
# Id, quaternion, translation, camera, and a name that is no number: a line of observations is numbers from end to end.
IMAGE_LINE = re.compile(r"(\d+)((?:\s+[-+.\deE]+){7})\s+(\d+)\s+(\S.*)")


class PointRecords(NamedTuple):
    """Points of a file.

    Attributes:
        positions: (P, 3) float64, in the world.
        lengths: (P,) of their tracks.
        colors: (P, 3) uint8 RGB.
        image_ids: (O,) of the images of all tracks, one after another.
    """

    positions: np.ndarray
    lengths: np.ndarray
    colors: np.ndarray
    image_ids: np.ndarray


def read_cameras_text(path: Path) -> dict[int, tuple[str, int, int, list[float]]]:
    """Model name, width, height and parameters of each camera, by its id.

    Raises:
        InputError: a line that is no camera, with its number.
    """
    cameras = {}
    for number, line in _lines(path):
        words = line.split()
        try:
            camera_id, model, width, height = int(words[0]), words[1], int(float(words[2])), int(float(words[3]))
            if not (0 < width < MAX_SIDE and 0 < height < MAX_SIDE):
                raise ValueError(f"{width}x{height} pixels")
            cameras[camera_id] = (model, width, height, [float(word) for word in words[4:]])
        except (ValueError, IndexError, OverflowError) as error:
            raise _no(path, number, line, "a camera: id, model, width, height and parameters") from error
    return cameras


def read_images_text(path: Path) -> list[tuple[str, int, list[float], int]]:
    """Name, camera id, world-to-camera pose (qw, qx, qy, qz, tx, ty, tz) and id of each image, in the order of the file.

    Raises:
        InputError: a line that is neither a pose with a name nor observations, with its number.
    """
    images = []
    for number, line in _lines(path):
        begins = IMAGE_LINE.fullmatch(line)
        if begins is None or _are_observations(line.split()):
            if not _are_observations(line.split(maxsplit=3)[:3]):
                raise _no(
                    path, number, line, "an image (id, seven numbers of its pose, camera, name) or its observations"
                )
            continue
        try:
            images.append((begins[4], int(begins[3]), [float(word) for word in begins[2].split()], int(begins[1])))
        except ValueError as error:
            raise _no(path, number, line, "seven numbers of a pose") from error
    return images


def read_points_text(path: Path) -> PointRecords:
    """The points of a points3D.txt.

    Raises:
        InputError: a line that is no point, with its number.
    """
    # Arrays of numbers, because there may be millions of points.
    points, colors, lengths, images = array("d"), array("d"), array("q"), array("d")
    for number, line in _lines(path):
        words = line.split()
        try:
            points.extend((float(words[1]), float(words[2]), float(words[3])))
            colors.extend(float(word) for word in words[4:7])
            seen = [float(word) for word in words[8::2][: max(0, len(words) - 8) // 2]]
        except (ValueError, IndexError) as error:
            raise _no(path, number, line, "a point: id, x, y, z, colour, error and track") from error
        images.extend(seen)
        lengths.append(len(seen))
    colors = np.array(colors) if len(colors) == len(points) else np.full(len(points), 128.0)
    return PointRecords(
        np.array(points).reshape(-1, 3),
        np.array(lengths, np.int64),
        colors.reshape(-1, 3).clip(0, 255).astype(np.uint8),
        np.array(images).astype(np.int64),
    )


def _are_observations(words: list[str]) -> bool:
    """Whether words are numbers by threes: x, y and the id of a point."""
    try:
        return len(words) % 3 == 0 and all(np.isfinite(float(word)) for word in words)
    except ValueError:
        return False


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Number and text of the lines that are neither empty nor comments."""
    text, start, number = read_text(path, "export the model again"), 0, 0
    while start < len(text):
        end = text.find("\n", start)
        end, number = (len(text) if end < 0 else end), number + 1
        stripped = text[start:end].strip()
        if stripped and stripped[0] != "#":
            yield number, stripped
        start = end + 1


def _no(path: Path, number: int, line: str, expected: str) -> InputError:
    shown = line if len(line) <= 60 else line[:57] + "..."
    return InputError(f"{path}: line {number} is {shown!r}, expected {expected}; {SUGGESTION}.")
