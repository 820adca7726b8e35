"""Cameras of LLFF: poses_bounds.npy beside images/.

One row of 17 numbers for each image in the order of the files' names: a 3x5 matrix whose columns are the camera's down, right and back, its
centre, and height, width, focal length; then the nearest and the farthest depth. One focal length, principal point in the middle.
"""

from dataclasses import replace
from pathlib import Path
from tokenize import TokenError

import numpy as np

from neus.errors import InputError
from neus.scenes.foreign.files import SUGGESTION, found_file
from neus.scenes.images import image_files
from neus.scenes.posed_images import PosedImage, PosedImages, described, image_folder, pinhole, pose_from_rotation


def find_llff(folder: Path) -> Path | None:
    """poses_bounds.npy."""
    return found_file(folder, ("poses_bounds.npy",))


def read_llff(path: Path, folder: Path) -> PosedImages:
    """Cameras of a poses_bounds.npy; images that were made smaller, such as images_4/ by dataset.images, are seen by their size.

    Raises:
        InputError: no array of 17 numbers for each image.
    """
    try:
        rows = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError, SyntaxError, TokenError) as error:  # the last two of a damaged header
        raise InputError(
            f"{path}: not a readable npy file ({' '.join(str(error).split())[:80]}); {SUGGESTION}."
        ) from error
    if not isinstance(rows, np.ndarray) or rows.ndim != 2 or rows.shape[1] != 17 or rows.dtype.kind not in "fiu":
        shape = getattr(rows, "shape", "no array")
        raise InputError(f"{path}: shape {shape}, expected one row of 17 numbers for each image; {SUGGESTION}.")
    place = image_folder(folder)
    has_copies_only = place == folder  # images_4/ say
    if has_copies_only:
        place = next((copies for copies in sorted(folder.glob("images*")) if copies.is_dir()), folder)
    files = image_files(place)
    if len(files) != len(rows):
        raise InputError(
            f"{path}: {len(rows)} cameras but {len(files)} images in {files[0].parent}; expected one for each, in the order of their names."
        )
    images = [_image(row, file, path) for row, file in zip(rows.astype(np.float64), files, strict=True)]
    if has_copies_only:
        images = [replace(image, image=file) for image, file in zip(images, files, strict=True)]
    return PosedImages(path, folder, images)


def _image(row: np.ndarray, file: Path, path: Path) -> PosedImage:
    matrix = row[:15].reshape(3, 5)
    down, right, back, center, (height, width, focal) = matrix.T
    where = f"{path}: {file.name}"
    if not np.isfinite(row).all() or min(height, width, focal) <= 0.0:
        raise InputError(
            f"{where}: height {height:g}, width {width:g}, focal length {focal:g}, expected positive; {SUGGESTION}."
        )
    intrinsics = described(pinhole(focal, focal, width / 2, height / 2), (round(width), round(height)), where)
    return PosedImage(file.name, pose_from_rotation(np.stack([right, down, -back]), center), intrinsics)
