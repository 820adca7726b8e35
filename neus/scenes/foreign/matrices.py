"""Plain matrices in text files: one 3x4 projection matrix for each image, Middlebury's *_par.txt, and Strecha's *.camera.

All three count pixel centres at integers; here they are at +0.5.
"""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from neus.errors import InputError, warn_of
from neus.files import read_text
from neus.geometry.cameras import camera_from_projection
from neus.scenes.foreign.files import SUGGESTION, Lines, found_file, numbers_of
from neus.scenes.headers import read_header
from neus.scenes.images import IMAGE_SUFFIXES, natural_order
from neus.scenes.lenses import HALF_PIXEL
from neus.scenes.pixel_store import Size
from neus.scenes.posed_images import PosedImage, PosedImages, described, image_folder, pose_from_rotation

# What follows the number or the name of the image in a file's name: 00001_P.txt, 0001.P, IMG_1.proj.txt, IMG_1.txt.
_ENDING = re.compile(r"([._-](P|proj|projection|matrix|cam|camera))?(\.(txt|P|dat|proj))?$", re.IGNORECASE)
_PATTERNS = ("*_P.txt", "P*/*_P.txt", "*.P", "P/*.txt", "*/*.P", "*proj*/*.txt", "txt/*.txt")
# A first line of PMVS before the matrix.
_CONTOUR = "CONTOUR"
# Principal points of matrices for larger images lie at a whole multiple of the middle of the image, so nearly.
_NEAR_WHOLE = 0.05


def find_projections(folder: Path) -> Path | None:
    """The folder of at least two files with 12 numbers each, or None."""
    if not folder.is_dir():
        return None
    for pattern in _PATTERNS:
        files = sorted(folder.glob(pattern))
        if len(files) >= 2 and all(_is_projection(file) for file in (files[0], files[-1])):
            return files[0].parent
    return None


def read_projections(path: Path, folder: Path) -> PosedImages:
    """Cameras of a folder of projection matrices P = K [R | t], any scale of P.

    The files tell no size. Where all principal points say that the images were larger by one whole factor (matrices of the full size
    beside reduced images), K is made smaller by it.

    Raises:
        InputError: a file that is no matrix or a singular one; no images; not one image for each file by its name.

    Warns:
        InputWarning: matrices of larger images.
    """
    files = sorted(
        (f for f in path.iterdir() if f.is_file() and f.name[0] != "." and _is_projection(f)), key=natural_order
    )
    names = [_ENDING.sub("", file.name) for file in files]
    images = {}
    for image in sorted(image_folder(folder).iterdir(), key=natural_order):
        if image.suffix.lower() in IMAGE_SUFFIXES:
            images.setdefault(image.stem, image)
    cameras = [camera_from_projection(_projection(file)) for file in files]
    found = [images.get(name) for name in names]
    factor = _factor([k for k, _ in cameras], found, path)
    posed = []
    for name, image, (intrinsics, pose) in zip(names, found, cameras, strict=True):
        size = None if factor == 1 or image is None else tuple(factor * side for side in read_header(image).size)
        posed.append(PosedImage(image.name if image else name, pose, described(_at_half(intrinsics), size, str(path))))
    return PosedImages(path, folder, posed)


def _is_projection(file: Path) -> bool:
    try:
        return _numbers(file).size == 12
    except (OSError, ValueError):
        return False


def _numbers(file: Path) -> np.ndarray:
    if file.suffix.lower() in IMAGE_SUFFIXES or file.stat().st_size > 4096:
        raise ValueError(f"{file.name} is no text of 12 numbers")
    return np.array(read_text(file).replace(_CONTOUR, "").replace(",", " ").split(), np.float64)


def _projection(file: Path) -> np.ndarray:
    matrix = _numbers(file).reshape(3, 4)
    if not np.isfinite(matrix).all() or abs(np.linalg.det(matrix[:, :3])) < 1e-12 * np.abs(matrix[:, :3]).max() ** 3:
        raise InputError(f"{file}: its left 3x3 part is singular, expected K R of a camera; {SUGGESTION}.")
    return matrix


def _factor(intrinsics: Sequence[torch.Tensor], images: Sequence[Path | None], path: Path) -> int:
    """By which whole number the matrices are for larger images; 1 where nothing says so."""
    ratios = [
        2.0 * k[:2, 2].numpy() / np.array(read_header(image).size)
        for k, image in zip(intrinsics, images, strict=True)
        if image is not None
    ]
    if not ratios:
        return 1
    across, down = np.median(ratios, axis=0)
    factor = round((across + down) / 2)
    if factor < 2 or max(abs(across / factor - 1.0), abs(down / factor - 1.0)) > _NEAR_WHOLE:
        return 1
    warn_of(
        f"{path}: by their principal points the matrices are of images {factor} times as large", ["K is divided by it"]
    )
    return factor


def _at_half(intrinsics: torch.Tensor | np.ndarray) -> list[list[float]]:
    """The rows of K for pixel centres at +0.5."""
    matrix = np.array(intrinsics.tolist(), np.float64)
    matrix[:2, 2] += HALF_PIXEL
    return matrix.tolist()


def find_middlebury(folder: Path) -> Path | None:
    """NAME_par.txt, as of dinoSparseRing and templeRing."""
    return found_file(folder, ("*_par.txt",))


def read_middlebury(path: Path, folder: Path) -> PosedImages:
    """Cameras of Middlebury's multi-view stereo: the count, then for each its image, K (9), R (9) and t (3), P = K [R | t].

    Raises:
        InputError: a line that is no camera, or another count.
    """
    lines = Lines(path)
    count = int(lines.numbers(1, "the number of images")[0])
    images = []
    while len(lines):
        name, *words = lines.text("a camera").split()
        numbers = numbers_of(words, 21, lines.where)
        rotation = numbers[9:18].reshape(3, 3)
        pose = pose_from_rotation(rotation, -rotation.T @ numbers[18:])
        images.append(PosedImage(name, pose, described(_at_half(numbers[:9].reshape(3, 3)), None, lines.where)))
    if len(images) != count:
        raise InputError(f"{path}: its first line says {count} images, but {len(images)} lines follow; copy it again.")
    return PosedImages(path, folder, images)


def find_strecha(folder: Path) -> Path | None:
    """The folder of IMAGE.camera files, or None."""
    if not folder.is_dir():
        return None
    return next((file.parent for pattern in ("*.camera", "*/*.camera") for file in sorted(folder.glob(pattern))), None)


def read_strecha(path: Path, folder: Path) -> PosedImages:
    """Cameras of Strecha's benchmark: K (3 rows), three zeros, R from camera to world (3 rows), the centre, width and height.

    Raises:
        InputError: a file that does not have these 26 numbers.
    """
    images = []
    for file in sorted(path.glob("*.camera"), key=natural_order):
        numbers = numbers_of(read_text(file, SUGGESTION).split(), 26, str(file))
        size: Size = (round(numbers[24]), round(numbers[25]))
        pose = pose_from_rotation(numbers[12:21].reshape(3, 3).T, numbers[21:24])
        intrinsics = described(_at_half(numbers[:9].reshape(3, 3)), size, str(file))
        images.append(PosedImage(file.name.removesuffix(".camera"), pose, intrinsics))
    return PosedImages(path, folder, images, metres=1.0)
