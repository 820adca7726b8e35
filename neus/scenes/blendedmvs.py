"""Reader of the raw folders of BlendedMVS, and of MVSNet's, whose camera files it took over.

SCENE/blended_images/00000000.jpg          (or images/) the images
SCENE/blended_images/00000000_masked.jpg   optional: black outside the object; taken for masks only
SCENE/masks/00000000.png                   (or mask/) optional, where there are no masked images: white on the object
SCENE/cams/00000000_cam.txt                (or cams_1/) extrinsic (world to camera), intrinsic, and the range of depths
SCENE/cams/pair.txt                        (or SCENE/pair.txt) optional: names the views in use
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from neus.errors import InputError, warn_of
from neus.files import read_text
from neus.geometry.poses import invert
from neus.geometry.rigid import rigid_poses
from neus.scenes.find_files import MAX_MISSING_FRACTION
from neus.scenes.images import image_files
from neus.scenes.lenses import HALF_PIXEL
from neus.scenes.masks import MaskCode, folder_of_masks, outlines, outlines_in
from neus.scenes.region import placed, region_from_depths
from neus.scenes.scene import Scene
from neus.scenes.scene_checks import checked
from neus.scenes.selection import ALL_VIEWS, Selection
from neus.scenes.view_files import ALL_AT_ONCE, Loading, ViewFiles, scene_of

# JPEG leaves a few grey levels in what was black.
BLACK = 12
MASKED = "_masked"
IMAGES, CAMERAS = ("blended_images", "images"), ("cams", "cams_1")
SUGGESTION = "copy the file again"


def read_blendedmvs(
    folder: Path,
    center: Sequence[float] | None = None,
    radius: float | None = None,
    allow_inside: bool = False,
    selection: Selection = ALL_VIEWS,
    mask_meaning: str = "auto",
    loading: Loading = ALL_AT_ONCE,
) -> Scene:
    """The scene in a raw BlendedMVS or MVSNet folder; its world is that of the camera files.

    The unit sphere is laid around the point where the cameras look, and reaches to the nearest surfaces of half of
    them.

    Args:
        folder: the scene's folder.
        center, radius: the region of interest in world units; None finds it.
        allow_inside: accept cameras inside the unit sphere.
        selection: of the views.
        mask_meaning: one of `masks.MEANINGS`.
        loading: how the pixels are read.

    Raises:
        InputError: anything missing, damaged or contradictory, with its name.

    Warns:
        InputWarning: views without an image or not in use, repaired poses.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; expected a scene with blended_images/ and cams/.")
    images_folder, cameras_folder = mvs_folders(folder)
    images, masked = _files_by_view(images_folder)
    views = _views_in_use(folder, cameras_folder, images)
    views = [views[index] for index in selection.of([_name(view, images) for view in views], folder)]
    views = _with_image(images_folder, views, images)
    names = [images[view].name for view in views]
    cameras = [_read_camera(cameras_folder / f"{view:08d}_cam.txt") for view in views]
    world_to_camera = torch.stack([extrinsic for _, extrinsic, _ in cameras])
    poses = invert(
        rigid_poses(world_to_camera, [f"{view:08d}_cam.txt" for view in views], str(cameras_folder), True, SUGGESTION)
    )
    masks = None
    if masked:
        masks = outlines([masked.get(view) for view in views], names, mask_meaning, images_folder)
    elif (masks_folder := folder_of_masks(folder)) is not None:
        masks = outlines_in(masks_folder, names, mask_meaning)
    scene = scene_of(
        [
            ViewFiles(name, images[view], k, pose)
            for name, view, (k, _, _), pose in zip(names, views, cameras, poses, strict=True)
        ],
        masks,
        folder,
        "blendedmvs",
        code=MaskCode(threshold=BLACK / 255) if masked else None,
        loading=loading,
    )
    nearest = [depths for _, _, depths in cameras]
    scene = placed(
        scene, center, radius, lambda s: region_from_depths(s, _nearest_depths(cameras_folder, views, nearest))
    )
    return checked(scene, allow_inside)


def mvs_folders(folder: Path) -> tuple[Path, Path]:
    """The folders of the images and of the camera files, by either of their names; the first name where there is none."""
    images, cameras = ([folder / name for name in names] for names in (IMAGES, CAMERAS))
    return tuple(next((place for place in places if place.is_dir()), places[0]) for places in (images, cameras))


def _name(view: int, images: dict[int, Path]) -> str:
    return images[view].name if view in images else f"{view:08d}"


def _files_by_view(folder: Path) -> tuple[dict[int, Path], dict[int, Path]]:
    """The images and the masked images, by number."""
    images, masked = {}, {}
    for file in image_files(folder):
        number = file.stem.removesuffix(MASKED)
        if not number.isdecimal():
            raise InputError(f"{file}: the name is no number; expected 00000000.jpg, ... Rename or remove it.")
        kind = masked if file.stem.endswith(MASKED) else images
        if int(number) in kind:
            raise InputError(f"{file}: view {int(number)} is {kind[int(number)].name} already; remove one of the two.")
        kind[int(number)] = file
    if not images:
        raise InputError(f"{folder}: no images but masked ones; expected 00000000.jpg, 00000001.jpg, ... beside them.")
    return images, masked


def _with_image(folder: Path, views: list[int], images: dict[int, Path]) -> list[int]:
    """The views that have an image."""
    missing = [f"{view:08d}" for view in views if view not in images]
    if len(missing) > MAX_MISSING_FRACTION * len(views):
        raise InputError(
            f"{folder}: {len(missing)} of {len(views)} images are missing (no image of view {missing[0]}, which the camera files "
            "name); restore them or remove the views from pair.txt."
        )
    if missing:
        warn_of(f"{folder}: {len(missing)} of {len(views)} images do not exist, so their views are left out", missing)
    return [view for view in views if view in images]


def _views_in_use(folder: Path, cameras_folder: Path, images: dict[int, Path]) -> list[int]:
    """The views that pair.txt names, or all that have a camera file."""
    if not cameras_folder.is_dir():
        raise InputError(f"{cameras_folder}: no such folder; expected the camera files 00000000_cam.txt, ...")
    pair_file = next((place / "pair.txt" for place in (cameras_folder, folder) if (place / "pair.txt").is_file()), None)
    if pair_file is not None:
        views = _views_of_pair_file(pair_file)
        if unused := [file.name for view, file in images.items() if view not in views]:
            warn_of(f"{pair_file}: {len(unused)} of {len(images)} images are not in it and are left out", unused)
        return views
    views = sorted(int(f.name[:-8]) for f in cameras_folder.glob("*_cam.txt") if f.name[:-8].isdecimal())
    if len(views) != len(images):
        raise InputError(
            f"{cameras_folder}: {len(views)} cameras but {len(images)} images; expected one for each. "
            "Restore the missing files, or pair.txt, which names the views in use."
        )
    return views


def _views_of_pair_file(path: Path) -> list[int]:
    # The number of views; then for each its number, and a line with the count of its neighbours and their scores, which is
    # empty where there are none. Only the position of a line tells which of the two it is.
    lines = [line.split() for line in read_text(path, SUGGESTION).strip().split("\n")]
    names = [line[0] if len(line) == 1 else "" for line in lines[1::2]]
    if not lines[0] or not all(name.isdecimal() for name in [lines[0][0], *names]) or int(lines[0][0]) != len(names):
        raise InputError(
            f"{path}: expected the number of views, then two lines for each (its number; its neighbours), but found "
            f"{len(names)} views for a count of {lines[0][0] if lines[0] else 'nothing'}; copy it again or remove it."
        )
    views = [int(name) for name in names]
    if repeated := sorted({view for view in views if views.count(view) > 1}):
        raise InputError(
            f"{path}: view {repeated[0]} is named {views.count(repeated[0])} times, expected once; copy it again."
        )
    return sorted(views)


def _read_camera(path: Path) -> tuple[Tensor, Tensor, list[float]]:
    """Intrinsics (3, 3) for centres at +0.5, world_to_camera (4, 4), and the numbers of the line of depths."""
    if not path.is_file():
        raise InputError(f"{path}: no such camera file; restore it or remove its view from pair.txt.")
    words = read_text(path, SUGGESTION).split()
    if len(words) < 27 or words[0] != "extrinsic" or words[17] != "intrinsic":
        raise InputError(
            f"{path}: not a camera file; expected the word extrinsic, 16 numbers, the word intrinsic, 9 numbers and "
            "the range of depths. Copy the file again."
        )
    try:
        numbers = [float(word) for word in words[1:17] + words[18:]]
    except ValueError as error:
        raise InputError(f"{path}: {error}; expected plain numbers. Copy the file again.") from error
    if not np.isfinite(numbers).all():
        raise InputError(f"{path}: it holds NaN or infinity, expected finite numbers; copy the file again.")
    world_to_camera = torch.tensor(numbers[:16], dtype=torch.float64).reshape(4, 4)
    intrinsics = torch.tensor(numbers[16:25], dtype=torch.float64).reshape(3, 3)
    for what, matrix in (("extrinsic", world_to_camera), ("intrinsic", intrinsics)):
        if torch.linalg.cond(matrix[:3, :3]) > 1e12 or matrix[-1, -1] == 0:
            raise InputError(f"{path}: its {what} matrix is singular, expected an invertible one; copy the file again.")
    intrinsics = intrinsics / intrinsics[2, 2]
    intrinsics[:2, 2] += HALF_PIXEL
    return intrinsics, world_to_camera, numbers[25:]


def _nearest_depths(folder: Path, views: list[int], depths: list[list[float]]) -> Tensor:
    """(V,) the nearest depth: the first number of the last line, `depth_min interval`, perhaps `count`, perhaps `depth_max`."""
    for view, line in zip(views, depths, strict=True):
        if not line or not line[0] > 0.0 or (len(line) == 4 and not line[3] > line[0]):
            raise InputError(
                f"{folder / f'{view:08d}_cam.txt'}: its last line is {line}, expected depth_min and interval, and perhaps count and "
                "depth_max, with 0 < depth_min < depth_max; correct it, or give centre and radius of the region of interest."
            )
    return torch.tensor([line[0] for line in depths], dtype=torch.float64)
