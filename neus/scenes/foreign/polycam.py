"""Cameras of Polycam's raw data: keyframes/corrected_images and corrected_cameras, or images and cameras.

Each camera is a JSON file with t_00 to t_23, the rows of camera to world for a camera that looks along -z with y up, and fx, fy, cx, cy.
The world is ARKit's: y upwards, metres. The corrected images have black borders of some 15 pixels.
"""

from pathlib import Path

import torch

from neus.errors import InputError
from neus.scenes.foreign.files import json_of, number_of, size_of
from neus.scenes.images import image_files, natural_order
from neus.scenes.posed_images import OPENGL_FROM_OPENCV, PosedImage, PosedImages, described, pinhole

# Images and cameras, the corrected ones first; newer apps leave either out.
FOLDERS = (("corrected_images", "corrected_cameras"), ("images", "cameras"))
_ROWS = [f"t_{row}{column}" for row in range(3) for column in range(4)]


def find_polycam(folder: Path) -> Path | None:
    """The folder of cameras below keyframes/, or below the folder itself where it is keyframes/."""
    for place in (folder / "keyframes", folder):
        for images, cameras in FOLDERS:
            if (place / images).is_dir() and any((place / cameras).glob("*.json")):
                return place / cameras
    return None


def read_polycam(path: Path, folder: Path) -> PosedImages:
    """Cameras of one folder, each with the image of its name.

    Raises:
        InputError: a missing key, or no image for any camera.
    """
    images_folder = path.with_name(dict(map(reversed, FOLDERS))[path.name])
    files = {file.stem: file for file in image_files(images_folder)}
    images = []
    for file in sorted((f for f in path.glob("*.json") if f.name[0] != "."), key=natural_order):
        if file.stem in files:
            images.append(_image(file, files[file.stem]))
    if not images:
        raise InputError(f"{images_folder}: no image has the name of a camera in {path}; copy both folders again.")
    return PosedImages(path, folder, images, up=(0.0, 1.0, 0.0), metres=1.0)


def _image(path: Path, image: Path) -> PosedImage:
    data, where = json_of(path, _ROWS), str(path)
    pose = torch.eye(4, dtype=torch.float64)
    pose[:3] = torch.tensor([number_of(data, key, where) for key in _ROWS], dtype=torch.float64).reshape(3, 4)
    matrix = pinhole(*(number_of(data, key, where) for key in ("fx", "fy", "cx", "cy")))
    # Newer apps leave width and height out of corrected cameras.
    size = size_of(data, where) if "width" in data else None
    return PosedImage(image.name, pose @ OPENGL_FROM_OPENCV, described(matrix, size, where), image=image)
