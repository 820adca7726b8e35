"""Image files to arrays and back, and the order of image files in a folder."""

import re
from pathlib import Path

import cv2
import numpy as np

from neus.errors import InputError
from neus.files import written_whole

IMAGE_SUFFIXES = {
    ".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".exr", ".ppm", ".pgm", ".jp2", ".gif", ".avif",
}  # fmt: skip

# What cameras and phones write and OpenCV does not read, or only its thumbnail.
UNREAD_SUFFIXES = {
    ".heic", ".heif", ".hif", ".dng", ".cr2", ".cr3", ".nef", ".nrw", ".arw", ".raf", ".orf", ".rw2", ".pef", ".srw", ".jxl",
}  # fmt: skip

_PNG_END, _JPEG_START, _JPEG_END = b"IEND", b"\xff\xd8", b"\xff\xd9"
_JPEG_SCAN = 0xDA
_REDUCED = {
    1: cv2.IMREAD_UNCHANGED,
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}
# Full intensity by type of number; floating-point images lie in [0, 1].
STORED_WHITE = {"uint8": 255.0, "uint16": 65535.0}


def natural_order(path: Path) -> tuple:
    """Sort key by which view_2 comes before view_10, whatever the zero-padding; folders count before files' names.

    >>> sorted([Path("10.png"), Path("9.png"), Path("011.png")], key=natural_order)[0].name
    '9.png'
    >>> sorted([Path("cam1/0.png"), Path("cam0/1.png")], key=natural_order)[0].as_posix()
    'cam0/1.png'
    """
    return tuple(_natural_words(part) for part in path.parts) + (path.parts,)


def _natural_words(text: str) -> tuple:
    return tuple((int(p), "") if p.isdecimal() else (-1, p) for p in re.split(r"(\d+)", text))


def image_files(folder: Path) -> list[Path]:
    """The image files of a folder that OpenCV can read, in natural order; hidden files are passed over.

    Raises:
        InputError: no such folder, no image in it, or images in a format that is not read, unless one of the same name lies beside.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; expected the images of the scene in it.")
    visible = sorted((f for f in folder.iterdir() if f.is_file() and f.name[0] != "."), key=natural_order)
    files = []
    read = {file.stem for file in visible if file.suffix.lower() in IMAGE_SUFFIXES}
    for file in visible:
        if file.suffix.lower() in UNREAD_SUFFIXES:
            if file.stem not in read:
                raise InputError(f"{file}: {file.suffix} files are not read; convert all of the images to PNG or JPEG.")
        elif cv2.haveImageReader(str(file)):
            files.append(file)
        elif file.suffix.lower() in IMAGE_SUFFIXES:
            raise InputError(f"{file}: not a readable image (damaged, empty, or a format that OpenCV was built without); replace the file.")
    if not files:
        raise InputError(f"{folder}: no images found; expected PNG, JPEG or any other format that OpenCV reads.")
    return files


def read_pixels(path: Path, white: float | None = None, reduction: int = 1) -> np.ndarray:
    """The pixels of an image file: (H, W, C) uint8, C = 1, 3 (RGB) or 4 (RGBA).

    The EXIF orientation is not applied, since poses belong to the stored raster.

    Args:
        path: an image file.
        white: the value of full intensity (`white_level`), or None for that of the stored type: 255, 65535, or
            1 for floating-point numbers.
        reduction: 1, or 2, 4 or 8 to decode a JPEG at one over this of its size, which divides both sides; others ignore it.

    Raises:
        InputError: missing, truncated, or not an image.
    """
    return _eight_bit(stored_pixels(path, reduction), white)


def stored_pixels(path: Path, reduction: int = 1) -> np.ndarray:
    """(H, W, C) the numbers of an image file in the type they are stored in, C = 1, 3 (RGB) or 4. `reduction`, errors: `read_pixels`."""
    if not path.is_file():
        raise InputError(f"{path}: no such image; check the path in the scene's files.")
    data = path.read_bytes()
    if not data or not _is_complete(data):
        raise InputError(f"{path}: the image is truncated ({len(data)} bytes); copy or download it again.")
    form = _REDUCED[reduction] if data[:2] == _JPEG_START else cv2.IMREAD_UNCHANGED
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), form | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error:  # raised, rather than None returned, for formats left out of this build and for absurd sizes
        pixels = None
    if pixels is None or (pixels.ndim == 3 and pixels.shape[2] not in (1, 3, 4)):
        raise InputError(f"{path}: not a readable image (damaged, or a format unknown to OpenCV); replace the file.")
    return _rgb_from_opencv(pixels)


def read_rgb(path: Path, white: float | None = None, reduction: int = 1) -> np.ndarray:
    """(H, W, 3) uint8 RGB of an image file; an alpha channel is left out, grey becomes RGB. Arguments, errors: `read_pixels`."""
    return _three_channels(read_pixels(path, white, reduction))


def read_rgba(
    path: Path, background: np.ndarray, white: float | None = None, reduction: int = 1
) -> tuple[np.ndarray, np.ndarray | None]:
    """An image laid over a background by its alpha, and the alpha.

    Args:
        path: an image file.
        background: (3,) RGB in [0, 1].
        white, reduction: as for `read_pixels`.

    Returns:
        (H, W, 3) uint8 RGB, and (H, W) uint8 or None if the file has no alpha channel.
    """
    pixels = read_pixels(path, white, reduction)
    if pixels.shape[2] != 4:
        return _three_channels(pixels), None
    alpha = pixels[:, :, 3:].astype(np.float32) / 255.0
    laid_over = pixels[:, :, :3] * alpha + 255.0 * np.asarray(background, np.float32) * (1.0 - alpha)
    return np.round(laid_over).astype(np.uint8), np.ascontiguousarray(pixels[:, :, 3])


def _three_channels(pixels: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels[:, :, :3])


def write_image(path: Path, rgb: np.ndarray) -> None:
    """Writes (H, W, 3) RGB or (H, W, 4) RGBA, uint8, as an image file, whole or not at all; InputError if that fails."""
    to_bgr = cv2.COLOR_RGB2BGR if rgb.shape[-1] == 3 else cv2.COLOR_RGBA2BGRA
    with written_whole(path) as beside:
        if not cv2.imwrite(str(beside), cv2.cvtColor(rgb, to_bgr)):
            raise OSError(f"no encoder for {path.suffix}, or the disk is full")


def _is_complete(data: bytes) -> bool:
    # Decoders fill the missing part of a truncated file with grey; only the end marker tells. Other things may follow
    # it (a phone appends a video clip to its JPEG).
    if data[:4] == b"\x89PNG":
        return _PNG_END in data
    if data[:2] == _JPEG_START:
        return data.find(_JPEG_END, _jpeg_scan_start(data)) >= 0
    return True


def _jpeg_scan_start(data: bytes) -> int:
    # The headers are read one by one, because the thumbnail among them is a whole JPEG with an end marker of its own.
    position = 2
    while position + 4 <= len(data) and data[position] == 0xFF and data[position + 1] != _JPEG_SCAN:
        is_fill_byte = data[position + 1] == 0xFF
        position += 1 if is_fill_byte else 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    return position


def _eight_bit(pixels: np.ndarray, white: float | None = None) -> np.ndarray:
    stored_white = STORED_WHITE.get(pixels.dtype.name, 1.0)
    if pixels.dtype == np.uint8 and white in (None, stored_white):
        return pixels
    scaled = np.nan_to_num(pixels.astype(np.float32))
    scaled[..., :3] *= 255.0 / (white or stored_white)
    scaled[..., 3:] *= 255.0 / stored_white
    return scaled.round().clip(0.0, 255.0).astype(np.uint8)


def _rgb_from_opencv(pixels: np.ndarray) -> np.ndarray:
    if pixels.ndim == 2:
        return pixels[:, :, None]
    if pixels.shape[2] == 4:
        return cv2.cvtColor(pixels, cv2.COLOR_BGRA2RGBA)
    return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)
