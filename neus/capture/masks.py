"""Outlines of the object that are given with images: found by name, checked, and brought to the rasters of the images."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from neus.capture.intake import CapturedImage
from neus.errors import InputError
from neus.scenes.headers import read_header
from neus.scenes.image_writer import write_image
from neus.scenes.masks import MaskCode, mask_code, masks_of, read_mask


def find_masks(folder: Path, images: Sequence[CapturedImage]) -> dict[str, Path]:
    """The mask file of each image, by the image's name below images/.

    Args:
        folder: masks named as the images, with any ending, or NAME.png for the image NAME.

    Raises:
        InputError: an image without a mask.
    """
    files = masks_of(folder, [image.original for image in images])
    missing = [image.original for image, file in zip(images, files, strict=True) if file is None]
    if missing:
        raise InputError(
            f"--masks {folder}: {len(missing)} of {len(images)} images have no mask ({missing[0]}, ...); "
            "expected one for each, of the same name. Add them, or leave --masks out."
        )
    return {image.name: file for image, file in zip(images, files, strict=True)}


def write_masks(masks: dict[str, Path], images: Sequence[CapturedImage], copies: Path, out: Path) -> None:
    """Writes NAME.png, white on the object, for each image NAME, in the raster that the image is stored in.

    A mask drawn on an image that was shown upright is turned back.

    Args:
        masks: of `find_masks`.
        images: these images.
        copies: folder of the images' copies, which note their orientation.
        out: folder for the masks.

    Raises:
        InputError: a mask that cannot be read, or of another size.
    """
    code = mask_code(list(masks.values()))
    for image in images:
        turn = read_header(copies / image.name).turn
        write_image(out / f"{image.name}.png", _in_raster(masks[image.name], code, image, turn))


def _in_raster(file: Path, code: MaskCode, image: CapturedImage, turn: int) -> np.ndarray:
    """(H, W) bool at the size of the image's raster."""
    mask = read_mask(file, code)
    if mask.shape[::-1] != image.size and mask.shape == image.size and turn % 2:
        mask = np.rot90(mask, turn)  # anticlockwise, as upright images are turned clockwise from their raster
    if mask.shape[::-1] != image.size:
        raise InputError(
            f"{file}: the mask is {mask.shape[1]}x{mask.shape[0]} pixels but its image {image.width}x{image.height}; "
            "export the mask at the size of the image."
        )
    return np.ascontiguousarray(mask)
