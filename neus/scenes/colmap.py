"""Reader of COLMAP's sparse models with their images.

SCENE/images/**          (or image/) the images, at the size of the model or smaller by one factor; an alpha channel is the mask
SCENE/masks/**           (or mask/) optional: name.png or COLMAP's name.jpg.png for the image name.jpg
SCENE/sparse/0/          (or sparse/, or SCENE itself) cameras, images and, optionally, points3D as .bin or .txt
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pycolmap
import torch
from torch import Tensor

from neus.errors import InputError, warn_of
from neus.geometry.poses import invert
from neus.scenes.colmap_model import ModelImage, read_model
from neus.scenes.downscale import downscale_factor
from neus.scenes.find_files import find_images
from neus.scenes.headers import read_header
from neus.scenes.images import IMAGE_SUFFIXES
from neus.scenes.lens_models import OPENCV, extra_parameters
from neus.scenes.lenses import intrinsics_at_size
from neus.scenes.masks import folder_of_masks, outlines_in
from neus.scenes.region import Region, placed, region_from_axes
from neus.scenes.region_from_points import region_from_points, region_of_all_points
from neus.scenes.scene import Scene, checked
from neus.scenes.selection import ALL_VIEWS, Selection
from neus.scenes.view_files import ALL_AT_ONCE, Loading, ViewFiles, scene_of

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
    images_folder = _existing(folder, (images,) if images else ("images", "image"))
    if images_folder is None:
        raise InputError(
            f"{folder}: no {images or 'images'}/ folder in it; expected the images there, or {_other_images(folder)}."
        )
    chosen = [model.images[index] for index in selection.of([image.name for image in model.images], folder)]
    found = find_images(images_folder, [image.name for image in chosen], model.place)
    _warn_of_unregistered(
        images_folder, {image.name for image in model.images}, [file for file in found if file is not None]
    )
    present = [(image, file) for image, file in zip(chosen, found, strict=True) if file is not None]
    names = [image.name for image, _ in present]
    masks_folder = folder_of_masks(folder)
    masks = None if masks_folder is None else outlines_in(masks_folder, names, mask_meaning)
    views = [_view(*view) for view in present]
    if not images:
        views, loading = _smaller_copies(views, present, images_folder, loading)
    scene = scene_of(views, masks, folder, "colmap", background, loading=loading)
    return checked(placed(scene, center, radius, lambda s: _found_region(s, model.points, region)), allow_inside)


def _existing(folder: Path, names: tuple[str, ...]) -> Path | None:
    return next((folder / name for name in names if (folder / name).is_dir()), None)


def _other_images(folder: Path) -> str:
    """What to set for images in another folder, with those that look like it."""
    others = sorted(place.name for place in folder.glob("*image*") if place.is_dir())
    return f"--set dataset.images={others[0]} (found: {', '.join(others)})" if others else "set dataset.images"


def _warn_of_unregistered(images_folder: Path, registered: set[str], used: list[Path]) -> None:
    files = {f for f in images_folder.rglob("*") if f.suffix.lower() in IMAGE_SUFFIXES and f.name[0] != "."}
    names = {f.relative_to(images_folder).as_posix() for f in files - set(used)}
    if left_out := sorted(names - registered):
        warn_of(f"{images_folder}: {len(left_out)} images have no pose in the model and are passed over", left_out)


def _view(image: ModelImage, file: Path) -> ViewFiles:
    camera = image.camera
    lens = _lens(camera, str(file))
    described = torch.from_numpy(np.array(camera.calibration_matrix()))
    intrinsics = intrinsics_at_size(described, (camera.width, camera.height), read_header(file).size, str(file))
    return ViewFiles(image.name, file, intrinsics, invert(image.world_to_camera), *lens)


def _smaller_copies(
    views: list[ViewFiles], present: list[tuple[ModelImage, Path]], images_folder: Path, loading: Loading
) -> tuple[list[ViewFiles], Loading]:
    """The views with the files of images_2/, images_4/ or images_8/ beside images/, where it holds all of the requested size."""
    sizes = [read_header(view.image).size for view in views]
    factor = downscale_factor(loading.downscale, sizes)
    folder = images_folder.with_name(f"{images_folder.name}_{factor}")
    files = [folder / view.image.relative_to(images_folder) for view in views]
    if factor == 1 or not all(file.is_file() for file in files):
        return views, loading
    for file, size in zip(files, sizes, strict=True):
        if any(abs(found - side / factor) > 1.0 for found, side in zip(read_header(file).size, size, strict=True)):
            return views, loading  # something else by that name
    copies = [
        replace(_view(image, file), original=original) for (image, original), file in zip(present, files, strict=True)
    ]
    return copies, replace(loading, downscale=1)


def _lens(camera: pycolmap.Camera, where: str) -> tuple[str, tuple[float, ...]]:
    """Its model and parameters: OpenCV's polynomial where that is what it is."""
    if camera.model_name not in DISTORTIONS:
        try:
            return camera.model_name, extra_parameters(camera)
        except InputError as error:
            raise InputError(f"{where}: {error}") from error
    coefficients = np.zeros(8)
    coefficients[: len(DISTORTIONS[camera.model_name])] = camera.params[DISTORTIONS[camera.model_name]]
    return OPENCV, tuple(coefficients.tolist()) if coefficients.any() else ()


def _found_region(scene: Scene, points: Tensor, kind: str) -> Region:
    if len(points):
        return (region_from_points if kind == "object" else region_of_all_points)(scene, points)
    return region_from_axes(scene)
