"""Reader of COLMAP's sparse models with their images.

SCENE/images/**          (or image/) the photographs, at the size of the model or smaller by one factor
SCENE/masks/**           (or mask/) optional: name.png or COLMAP's name.jpg.png for the image name.jpg
SCENE/sparse/0/          (or sparse/, or SCENE itself) cameras, images and points3D as .bin or .txt
"""

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pycolmap
import torch
from torch import Tensor

from neus.errors import InputError, InputWarning
from neus.geometry.poses import invert
from neus.scenes.images import IMAGE_SUFFIXES, natural_order, read_mask, read_rgb
from neus.scenes.lenses import intrinsics_at_size, undistorted
from neus.scenes.region import Region, framed, given_region, region_from_axes, region_from_points
from neus.scenes.scene import Scene, checked

# Where a model's parameters hold OpenCV's k1, k2, p1, p2.
DISTORTIONS = {
    "SIMPLE_PINHOLE": [],
    "PINHOLE": [],
    "SIMPLE_RADIAL": [3],
    "RADIAL": [3, 4],
    "OPENCV": [4, 5, 6, 7],
}
# Points that three views agree on are seldom wrong; with fewer of them than this, all points are taken.
MIN_TRACK, MIN_POINTS = 3, 100


def read_colmap(
    folder: Path, center: Sequence[float] | None = None, radius: float | None = None, allow_inside: bool = False
) -> Scene:
    """The scene of a COLMAP reconstruction, lens distortion taken out; its world is that of the model.

    The unit sphere is laid around the sparse points that the cameras look at.

    Args:
        folder: the scene's folder.
        center, radius: the region of interest in world units; None finds it.
        allow_inside: accept cameras inside the unit sphere.

    Raises:
        InputError: anything missing, damaged or contradictory, with its name.

    Warns:
        InputWarning: images that the model does not hold, or a model without points.
    """
    folder = Path(folder)
    model = _read_model(folder)
    images_folder = _existing(folder, ("images", "image"))
    if images_folder is None:
        raise InputError(f"{folder}: no images/ folder in it; expected images/ (or image/) with the photographs.")
    registered = sorted((i for i in model.images.values() if i.has_pose), key=lambda i: natural_order(Path(i.name)))
    if not registered:
        raise InputError(f"{folder}: no images in the model have a pose; reconstruct the scene with COLMAP first.")
    _warn_of_unregistered(images_folder, {image.name for image in registered})
    masks_folder = _existing(folder, ("masks", "mask"))
    views = [_view(image, images_folder, masks_folder) for image in registered]
    world_to_camera = torch.eye(4, dtype=torch.float64).repeat(len(registered), 1, 1)
    world_to_camera[:, :3] = torch.from_numpy(np.stack([image.cam_from_world().matrix() for image in registered]))
    scene = Scene(
        images=[image for image, _, _ in views],
        masks=None if masks_folder is None else [mask for _, mask, _ in views],
        intrinsics=torch.stack([intrinsics for _, _, intrinsics in views]),
        camera_to_scene=invert(world_to_camera),
        scene_to_world=torch.eye(4, dtype=torch.float64),
        names=[image.name for image in registered],
        source=folder,
        format="colmap",
    )
    return checked(framed(scene, given_region(scene, center, radius) or _found_region(scene, model)), allow_inside)


def _existing(folder: Path, names: tuple[str, ...]) -> Path | None:
    return next((folder / name for name in names if (folder / name).is_dir()), None)


def _read_model(folder: Path) -> pycolmap.Reconstruction:
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; expected a scene with images/ and sparse/0/.")
    places = [folder / "sparse" / "0", folder / "sparse", folder]
    place = next((p for p in places if any((p / f"cameras{ending}").is_file() for ending in (".bin", ".txt"))), None)
    if place is None:
        raise InputError(
            f"{folder}: no COLMAP model; expected cameras, images and points3D (.bin or .txt) in sparse/0/."
        )
    try:
        return pycolmap.Reconstruction(str(place))
    except (ValueError, RuntimeError, LookupError, MemoryError) as error:  # by what a damaged file makes it do next
        cause = " ".join(str(error).split())[:160] or type(error).__name__
        raise InputError(f"{place}: not a readable COLMAP model ({cause}); export it again.") from error


def _warn_of_unregistered(images_folder: Path, registered: set[str]) -> None:
    files = (f for f in images_folder.rglob("*") if f.suffix.lower() in IMAGE_SUFFIXES and f.name[0] != ".")
    left_out = sorted({f.relative_to(images_folder).as_posix() for f in files} - registered)
    if left_out:
        named = ", ".join(left_out[:4]) + (", ..." if len(left_out) > 4 else "")
        warnings.warn(
            f"{images_folder}: {len(left_out)} images have no pose in the model and are passed over ({named}).",
            InputWarning,
            stacklevel=3,
        )


def _view(image: pycolmap.Image, images_folder: Path, masks_folder: Path | None) -> tuple:
    """Pixels, mask and intrinsics (3, 3) of one view, without distortion."""
    camera = image.camera
    if camera.model_name not in DISTORTIONS:
        raise InputError(
            f"{images_folder / image.name}: its camera model is {camera.model_name}, expected one of "
            f"{', '.join(DISTORTIONS)}; run `colmap image_undistorter` and read its output."
        )
    file = images_folder / image.name
    if not file.is_file():
        raise InputError(f"{file}: no such image, but the model has a pose for it; restore it or the folder it lay in.")
    pixels = read_rgb(file)
    size = (pixels.shape[1], pixels.shape[0])
    described = torch.from_numpy(np.array(camera.calibration_matrix()))
    intrinsics = intrinsics_at_size(described, (camera.width, camera.height), size, str(file))
    mask = None if masks_folder is None else _read_mask(masks_folder, image.name, size)
    coefficients = np.zeros(4)
    which = DISTORTIONS[camera.model_name]
    coefficients[: len(which)] = camera.params[which]
    return undistorted(pixels, mask, intrinsics, coefficients)


def _read_mask(folder: Path, name: str, size: tuple[int, int]) -> np.ndarray:
    """(H, W) bool, the mask of the image called `name`."""
    candidates = [folder / f"{name}.png", *((folder / name).with_suffix(suffix) for suffix in sorted(IMAGE_SUFFIXES))]
    file = next((candidate for candidate in candidates if candidate.is_file()), None)
    if file is None:
        raise InputError(
            f"{folder}: no mask for the image {name}; expected {name}.png or {Path(name).stem}.png. "
            "Give one for each image, or remove the folder."
        )
    mask = read_mask(file)
    if mask.shape != size[::-1]:
        raise InputError(
            f"{file}: the mask is {mask.shape[1]}x{mask.shape[0]} pixels but its image {size[0]}x{size[1]}; "
            "export the mask at the size of the image."
        )
    return mask


def _found_region(scene: Scene, model: pycolmap.Reconstruction) -> Region:
    points = _reliable_points(model)
    if len(points):
        return region_from_points(scene, points)
    region = region_from_axes(scene)
    warnings.warn(
        f"{scene.source}: the model has no points, so the region of interest is where the cameras look: centre "
        f"{[round(x, 4) for x in region.center.tolist()]}, radius {region.radius:.4g}. Give both to change it.",
        InputWarning,
        stacklevel=3,
    )
    return region


def _reliable_points(model: pycolmap.Reconstruction) -> Tensor:
    """(P, 3) the sparse points, world units; those with short tracks only if there are few others."""
    points = [(point.xyz, point.track.length()) for point in model.points3D.values()]
    xyz = torch.from_numpy(np.array([p for p, _ in points], dtype=np.float64).reshape(-1, 3))
    is_long = torch.tensor([length >= MIN_TRACK for _, length in points], dtype=torch.bool)
    return xyz[is_long] if int(is_long.sum()) >= MIN_POINTS else xyz
