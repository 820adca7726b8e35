"""Cameras and points of Bundler: bundle.out, and the list of images beside it.

The camera looks along -z with y up; u = f (1 + k1 r^2 + k2 r^4) p with p = -(x, y) / z from the middle of the image, y up
(Snavely, Bundler v0.4 user's manual). With the axes of this project p = (x, y) / z, and k1, k2 are OpenCV's.
"""

from pathlib import Path, PurePosixPath

import numpy as np

from neus.errors import InputError, warn_of
from neus.files import read_text
from neus.scenes.foreign.files import SUGGESTION, Lines, found_file, numbers_of
from neus.scenes.images import image_files
from neus.scenes.lens_models import OPENCV
from neus.scenes.posed_images import PosedImage, PosedImages, centered, image_folder, pose_from_rotation
from neus.scenes.tracked_points import TrackedPoints

LISTS = ("list.txt", "bundle.out.list.txt", "bundle.list.txt", "pictures.txt")
# From Bundler's camera axes to those of this project.
_FLIP = np.diag([1.0, -1.0, -1.0])


def find_bundler(folder: Path) -> Path | None:
    """bundle.out, or bundle/bundle.out where Bundler writes it."""
    return found_file(folder, ("bundle.out", "bundle.rd.out", "bundle/bundle.out", "*.out"), _is_bundle)


def read_bundler(path: Path, folder: Path) -> PosedImages:
    """Cameras and points of a bundle.out; names from list.txt beside it, or the images in their natural order.

    Cameras of focal length 0 were not registered and are left out.

    Raises:
        InputError: a line that is not what should stand there, or another count of names than of cameras.
    """
    lines = Lines(path)
    what = "the numbers of cameras and points"
    n_cameras, n_points = lines.counted(lines.numbers(2, what), what)
    names = _names(path, folder, n_cameras)
    images, view_of, lost = [], {}, []
    for camera, name in enumerate(names):
        focal, k1, k2 = lines.numbers(3, "f, k1, k2 of a camera")
        rows = [lines.numbers(3, "a row of the rotation") for _ in range(3)]
        translation = lines.numbers(3, "the translation")
        if focal == 0.0:
            lost.append(name)
            continue
        rotation = _FLIP @ np.array(rows)
        center = -rotation.T @ (_FLIP @ translation)
        coefficients = (k1, k2, *[0.0] * 6) if k1 or k2 else ()
        view_of[camera] = len(images)
        images.append(PosedImage(name, pose_from_rotation(rotation, center), centered(focal), OPENCV, coefficients))
    if lost:
        warn_of(f"{path}: {len(lost)} of {n_cameras} cameras are not registered and are left out", lost)
    return PosedImages(path, folder, images, _points(lines, n_points, view_of), without_pose=lost)


def _is_bundle(path: Path) -> bool:
    with open(path, "rb") as file:
        return file.read(13).lower() == b"# bundle file"


def _names(path: Path, folder: Path, n_cameras: int) -> list[str]:
    listed = next((place / name for place in (path.parent, folder) for name in LISTS if (place / name).is_file()), None)
    if listed is not None:
        # The first word; focal lengths from EXIF may follow it.
        names = [line.split()[0] for line in read_text(listed, SUGGESTION).split("\n") if line.strip()]
    else:
        listed = image_folder(folder)
        names = [file.name for file in image_files(listed)]
    if len(names) != n_cameras:
        raise InputError(
            f"{path}: {n_cameras} cameras but {len(names)} images in {listed}; expected one for each, in the same order: "
            "put the list of images that Bundler was given beside it as list.txt."
        )
    return [str(PurePosixPath(name.replace("\\", "/"))) for name in names]


def _points(lines: Lines, n_points: int, view_of: dict[int, int]) -> TrackedPoints:
    positions, colors = np.zeros((n_points, 3)), np.zeros((n_points, 3), np.uint8)
    points, views = [], []
    for point in range(n_points):
        positions[point] = lines.numbers(3, "the place of a point")
        colors[point] = lines.numbers(3, "the colour of a point").clip(0, 255)
        words = lines.text("the views of a point").split()
        track = numbers_of(words[1:], 4 * int(numbers_of(words[:1], 1, lines.where)[0]), lines.where)
        seen = [view_of[camera] for camera in track[::4].astype(int).tolist() if camera in view_of]
        points += [point] * len(seen)
        views += seen
    return TrackedPoints(positions, colors, np.array(points, np.int64), np.array(views, np.int64))
