"""Reader of COLMAP's sparse models with their images.

SCENE/images/**          (or image/) the images, at the size of the model or smaller by one factor; an alpha channel is the mask
SCENE/masks/**           (or mask/) optional: name.png or COLMAP's name.jpg.png for the image name.jpg
SCENE/sparse/0/          (or sparse/, or SCENE itself) cameras, images and, optionally, points3D as .bin or .txt
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pycolmap
import torch

from neus.errors import InputError
from neus.geometry.poses import invert
from neus.scenes.colmap_model import ModelImage, read_model
from neus.scenes.lens_models import OPENCV, extra_parameters
from neus.scenes.posed_images import IMAGE_FOLDERS, PosedImage, PosedImages, described
from neus.scenes.posed_scene import scene_of_posed
from neus.scenes.scene import Scene
from neus.scenes.selection import ALL_VIEWS, Selection
from neus.scenes.view_files import ALL_AT_ONCE, Loading

# Where a model's parameters hold OpenCV's k1, k2, p1, p2, k3, k4, k5, k6.
DISTORTIONS = {
    "SIMPLE_PINHOLE": [],
    "PINHOLE": [],
    "SIMPLE_RADIAL": [3],
    "RADIAL": [3, 4],
    "OPENCV": [4, 5, 6, 7],
    "FULL_OPENCV": [4, 5, 6, 7, 8, 9, 10, 11],
}


def read_colmap(
    folder: Path,
    center: Sequence[float] | None = None,
    radius: float | None = None,
    allow_inside: bool = False,
    background: Sequence[float] = (1.0, 1.0, 1.0),
    selection: Selection = ALL_VIEWS,
    mask_meaning: str = "auto",
    images: str = "",
    region: str = "object",
    loading: Loading = ALL_AT_ONCE,
) -> Scene:
    """The scene of a COLMAP reconstruction, lens distortion taken out; its world is that of the model.

    The unit sphere is laid around the sparse points that the cameras look at.

    Args:
        folder: the scene's folder.
        center, radius: the region of interest in world units; None finds it.
        allow_inside: accept cameras inside the unit sphere.
        background: (3,) RGB in [0, 1], on which images with alpha are laid.
        selection: of the views.
        mask_meaning: one of `masks.MEANINGS`.
        images: the folder of the images, relative to `folder`; empty for images/ or image/.
        region: `object` for the sparse points that the cameras look at, `scene` for all.
        loading: how the pixels are read.

    Raises:
        InputError: anything missing, damaged or contradictory, with its name.

    Warns:
        InputWarning: several models, images that the model does not hold or that do not exist, or masks that are not used.
    """
    folder = Path(folder)
    model = read_model(folder)
    if not any((folder / name).is_dir() for name in ((images,) if images else IMAGE_FOLDERS)):
        raise InputError(
            f"{folder}: no {images or 'images'}/ folder in it; expected the images there, or {_other_images(folder)}."
        )
    posed = PosedImages(
        model.place, folder, [_posed(image) for image in model.images], model.tracked, region_from_masks=False
    )
    return scene_of_posed(
        posed,
        "colmap",
        folder,
        center,
        radius,
        allow_inside,
        background,
        selection,
        mask_meaning,
        images,
        region,
        loading,
    )


def _other_images(folder: Path) -> str:
    """What to set for images in another folder, with those that look like it."""
    others = sorted(place.name for place in folder.glob("*image*") if place.is_dir())
    return f"--set dataset.images={others[0]} (found: {', '.join(others)})" if others else "set dataset.images"


def _posed(image: ModelImage) -> PosedImage:
    camera, pose = image.camera, invert(image.world_to_camera)
    try:
        lens = _lens(camera)
    except InputError as error:
        return PosedImage(image.name, pose, lambda size: torch.eye(3, dtype=torch.float64), problem=str(error))
    matrix = np.array(camera.calibration_matrix())
    return PosedImage(image.name, pose, described(matrix, (camera.width, camera.height), image.name), *lens)


def _lens(camera: pycolmap.Camera) -> tuple[str, tuple[float, ...]]:
    """Its model and parameters: OpenCV's polynomial where that is what it is."""
    if camera.model_name not in DISTORTIONS:
        return camera.model_name, extra_parameters(camera)
    coefficients = np.zeros(8)
    coefficients[: len(DISTORTIONS[camera.model_name])] = camera.params[DISTORTIONS[camera.model_name]]
    return OPENCV, tuple(coefficients.tolist()) if coefficients.any() else ()
