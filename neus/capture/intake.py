"""Image files taken in: read once, copied under safe names, and copied again in grey with local contrast for features."""

import hashlib
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import cv2
import numpy as np
from skimage.measure import blur_effect

from neus.capture.exif import camera_note
from neus.capture.heic import write_as_jpeg
from neus.capture.sources import HEIC_SUFFIXES, DamagedImage
from neus.errors import InputError
from neus.files import write_json
from neus.kernels.threads import run_tasks
from neus.scenes.images import read_rgb

# Features are found at this many pixels along the longer side at most: more cost time and found no more images on six data sets.
FEATURE_SIDE = 1600
# An image smaller than this along its longer side is a thumbnail.
LEAST_SIDE = 240
# Contrast-limited adaptive histogram equalisation (Zuiderveld 1994): it brought back the images of a dark side before bright windows.
CLIP_LIMIT, TILES = 3.0, (8, 8)
JPEG_QUALITY = 95
# Blur is measured at this size, by how little blurring once more changes (Crete et al. 2007): 0 sharp, 1 nothing to see.
BLUR_SIDE = 800
# What databases and lists of pairs take in a name.
_UNSAFE = re.compile(r"[^A-Za-z0-9._/-]+")


@dataclass(frozen=True)
class CapturedImage:
    """An image that was taken in.

    Attributes:
        name: below the folder of images, ASCII without spaces.
        original: its path below the folder that was given.
        width, height: of its raster as stored, pixels.
        feature_size: width and height of the copy for features.
        device: of `exif.CameraNote`.
        focal: of `exif.CameraNote`, pixels of the raster.
        blur: 0 sharp to 1, of `skimage.measure.blur_effect`.
        digest: of its pixels; equal ones are copies.
    """

    name: str
    original: str
    width: int
    height: int
    feature_size: tuple[int, int]
    device: tuple
    focal: float | None
    blur: float
    digest: str

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.width, self.height


@dataclass(frozen=True)
class Intake:
    """What was taken in, and what was not, with the reason."""

    images: list[CapturedImage]
    left_out: dict[str, str]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def intake_from(content: dict[str, Any]) -> Intake:
    """The intake that `as_dict` gave, after a way through JSON."""
    images = [
        CapturedImage(**image | {"feature_size": tuple(image["feature_size"]), "device": tuple(image["device"])})
        for image in content["images"]
    ]
    return Intake(images, content["left_out"])


def take_in(
    root: Path, files: Sequence[Path], images: Path, features: Path, on_progress: Callable[[int, int], None] | None = None
) -> Intake:
    """Copies of all files that can be posed: their bytes in `images`, grey with local contrast in `features`.

    Rasters stay as they are stored: the EXIF orientation is kept in the copy and applied by no one, so that poses and pixels
    agree; readers show the images upright. HEIC becomes JPEG.

    Args:
        root: the folder that names are relative to.
        files: below it.
        images, features: folders; what they hold already is taken as it is.
        on_progress: receives the number of files that are done, and of how many.

    Returns:
        The images in the order of the files, and of the others the reason: damaged, a thumbnail, a copy of another.

    Raises:
        InputError: HEIC without the package that reads it.
    """
    names = safe_names([file.relative_to(root) for file in files])
    taken: list[CapturedImage | str | None] = [None] * len(files)
    done = 0

    def take(index: int) -> None:
        nonlocal done
        try:
            taken[index] = _take_one(files[index], files[index].relative_to(root).as_posix(), names[index], images, features)
        except DamagedImage as error:
            taken[index] = str(error)
        done += 1
        if on_progress:
            on_progress(done, len(files))

    run_tasks(take, [(index,) for index in range(len(files))])
    kept, left_out, seen = [], {}, {}
    for file, found in zip(files, taken, strict=True):
        original = file.relative_to(root).as_posix()
        if isinstance(found, str):
            left_out[original] = found
        elif found.digest in seen:
            left_out[original] = f"a copy of {seen[found.digest]}"
            for folder in (images, features):
                (folder / found.name).unlink(missing_ok=True)
        else:
            seen[found.digest] = original
            kept.append(found)
    return Intake(kept, left_out)


def safe_names(paths: Sequence[Path]) -> list[str]:
    """Names below a folder that every database, list and file system takes, one for each path; HEIC files get the ending of a JPEG.

    >>> safe_names([Path("My House/a b.JPG"), Path("my house/a_b.jpg"), Path("c.heic")])
    ['My_House/a_b.JPG', 'my_house/a_b_2.jpg', 'c.jpg']
    """
    names, taken = [], set()
    for path in paths:
        name = PurePosixPath(_UNSAFE.sub("_", path.as_posix()))
        if name.suffix.lower() in HEIC_SUFFIXES:
            name = name.with_suffix(".jpg")
        wanted, number = name, 1
        while str(wanted).casefold() in taken:
            number += 1
            wanted = name.with_name(f"{name.stem}_{number}{name.suffix}")
        taken.add(str(wanted).casefold())
        names.append(str(wanted))
    return names


def _take_one(file: Path, original: str, name: str, images: Path, features: Path) -> CapturedImage:
    copy = images / name
    copy.parent.mkdir(parents=True, exist_ok=True)
    note = None
    if file.suffix.lower() in HEIC_SUFFIXES:
        note = write_as_jpeg(file, copy)
    elif not copy.is_file():
        shutil.copyfile(file, copy)
    try:
        grey = cv2.cvtColor(read_rgb(copy), cv2.COLOR_RGB2GRAY)
    except InputError as error:
        copy.unlink(missing_ok=True)
        raise DamagedImage(_without_place(str(error), copy)) from error
    height, width = grey.shape
    if max(width, height) < LEAST_SIDE:
        copy.unlink(missing_ok=True)
        raise DamagedImage(f"a thumbnail of {width}x{height} pixels")
    small = reduced(grey, FEATURE_SIDE)
    write_grey(features / name, with_local_contrast(small))
    note = note or camera_note(copy, (width, height))
    digest = hashlib.sha256(np.ascontiguousarray(small)).hexdigest()[:32]
    blur = float(blur_effect(reduced(small, BLUR_SIDE)))
    return CapturedImage(name, original, width, height, small.shape[::-1], note.device, note.focal, blur, digest)


def with_local_contrast(grey: np.ndarray) -> np.ndarray:
    """(H, W) uint8 with the contrast of each part of the image stretched, so that dark sides have features too."""
    return cv2.createCLAHE(CLIP_LIMIT, TILES).apply(grey)


def reduced(grey: np.ndarray, side: int) -> np.ndarray:
    """(H, W) uint8 averaged over areas to at most `side` pixels along the longer side."""
    factor = side / max(grey.shape)
    if factor >= 1.0:
        return grey
    size = max(1, round(grey.shape[1] * factor)), max(1, round(grey.shape[0] * factor))
    return cv2.resize(grey, size, interpolation=cv2.INTER_AREA)


def write_grey(path: Path, grey: np.ndarray) -> None:
    """Writes a grey image as JPEG, whatever its name ends in: COLMAP looks at the content.

    Raises:
        OSError: the disk is full.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    encoded = cv2.imencode(".jpg", grey, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1]
    path.write_bytes(encoded.tobytes())


def save_intake(path: Path, intake: Intake, stamp: str) -> None:
    """Writes it as JSON, whole or not at all, with a stamp of the files it was made of."""
    write_json(path, intake.as_dict() | {"stamp": stamp})


def _without_place(message: str, path: Path) -> str:
    return message.removeprefix(f"{path}: ").split(";")[0].rstrip(".")


