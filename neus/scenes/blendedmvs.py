"""Reader of the raw folders of BlendedMVS (and of MVSNet's camera files, which it took over).

SCENE/blended_images/00000000.jpg          the photographs
SCENE/blended_images/00000000_masked.jpg   optional: black outside the object; taken for masks only
SCENE/cams/00000000_cam.txt                extrinsic (world to camera), intrinsic, and the range of depths
SCENE/cams/pair.txt                        optional: names the views in use
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from neus.errors import InputError
from neus.geometry.poses import invert
from neus.scenes.images import image_files, read_rgb
from neus.scenes.lenses import HALF_PIXEL
from neus.scenes.region import framed, given_region, region_from_depths
from neus.scenes.scene import Scene, checked

# JPEG leaves a few grey levels in what was black.
BLACK = 12
MASKED = "_masked"


def read_blendedmvs(
    folder: Path, center: Sequence[float] | None = None, radius: float | None = None, allow_inside: bool = False
) -> Scene:
    """The scene in a raw BlendedMVS folder; its world is that of the camera files.

    The unit sphere is laid around the point where the cameras look, and reaches to the nearest surfaces of half of
    them.

    Args:
        folder: the scene's folder.
        center, radius: the region of interest in world units; None finds it.
        allow_inside: accept cameras inside the unit sphere.

    Raises:
        InputError: anything missing, damaged or contradictory, with its name.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; expected a scene with blended_images/ and cams/.")
    images, masked = _files_by_view(folder / "blended_images")
    views = _views_in_use(folder / "cams", images)
    for view in views:
        if view not in images:
            raise InputError(
                f"{folder / 'blended_images'}: no image of view {view:08d}, which cams/ names; "
                "restore it or remove the view from cams/pair.txt."
            )
    cameras = [_read_camera(folder / "cams" / f"{view:08d}_cam.txt") for view in views]
    scene = Scene(
        images=[read_rgb(images[view]) for view in views],
        masks=_masks(folder / "blended_images", masked, views),
        intrinsics=torch.stack([intrinsics for intrinsics, _, _ in cameras]),
        camera_to_scene=torch.stack([invert(world_to_camera) for _, world_to_camera, _ in cameras]),
        scene_to_world=torch.eye(4, dtype=torch.float64),
        names=[images[view].name for view in views],
        source=folder,
        format="blendedmvs",
    )
    region = given_region(scene, center, radius)
    if region is None:
        region = region_from_depths(scene, _depth_ranges(folder, views, cameras))
    return checked(framed(scene, region), allow_inside)


def _files_by_view(folder: Path) -> tuple[dict[int, Path], dict[int, Path]]:
    """The photographs and the masked photographs, by number."""
    images, masked = {}, {}
    for file in image_files(folder):
        number = file.stem.removesuffix(MASKED)
        if not number.isdecimal():
            raise InputError(f"{file}: the name is no number; expected 00000000.jpg, ... Rename or remove it.")
        (masked if file.stem.endswith(MASKED) else images)[int(number)] = file
    if not images:
        raise InputError(f"{folder}: no images but masked ones; expected 00000000.jpg, 00000001.jpg, ... beside them.")
    return images, masked


def _views_in_use(folder: Path, images: dict[int, Path]) -> list[int]:
    """The views that pair.txt names, or all that have a camera file."""
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; expected the camera files 00000000_cam.txt, ...")
    if (folder / "pair.txt").is_file():
        return _views_of_pair_file(folder / "pair.txt")
    views = sorted(int(f.name[:-8]) for f in folder.glob("*_cam.txt") if f.name[:-8].isdecimal())
    if len(views) != len(images):
        raise InputError(
            f"{folder}: {len(views)} cameras but {len(images)} images in blended_images/; expected one for each. "
            "Restore the missing files, or pair.txt, which names the views in use."
        )
    return views


def _views_of_pair_file(path: Path) -> list[int]:
    # The number of views; then for each its number, and a line with the count of its neighbours and their scores.
    lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    filled = [line.split() for line in lines if line.strip()]
    names = [line[0] for line in filled[1::2]]
    if not filled or not all(name.isdecimal() for name in [filled[0][0], *names]) or int(filled[0][0]) != len(names):
        raise InputError(
            f"{path}: expected the number of views, then two lines for each (its number; its neighbours), but found "
            f"{len(names)} views for a count of {filled[0][0] if filled else 'nothing'}; copy it again or remove it."
        )
    return sorted({int(name) for name in names})


def _read_camera(path: Path) -> tuple[Tensor, Tensor, list[float]]:
    """Intrinsics (3, 3) for centres at +0.5, world_to_camera (4, 4), and the numbers of the line of depths."""
    if not path.is_file():
        raise InputError(f"{path}: no such camera file; restore it or remove its view from pair.txt.")
    words = path.read_text(encoding="utf-8", errors="replace").split()
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


def _depth_ranges(folder: Path, views: list[int], cameras: list[tuple[Tensor, Tensor, list[float]]]) -> Tensor:
    """(V, 2) nearest and farthest depth: the first and the last of `depth_min interval count depth_max`."""
    ranges = []
    for view, (_, _, depths) in zip(views, cameras, strict=True):
        if len(depths) != 4 or not 0.0 < depths[0] < depths[3]:
            raise InputError(
                f"{folder / 'cams' / f'{view:08d}_cam.txt'}: its last line is {depths}, expected depth_min, interval, "
                "count and depth_max with 0 < depth_min < depth_max; correct it, or give centre and radius of the "
                "region of interest."
            )
        ranges.append([depths[0], depths[3]])
    return torch.tensor(ranges, dtype=torch.float64)


def _masks(folder: Path, masked: dict[int, Path], views: list[int]) -> list[np.ndarray] | None:
    if not masked:
        return None
    missing = [view for view in views if view not in masked]
    if missing:
        raise InputError(
            f"{folder}: {len(views) - len(missing)} masked images but {len(views)} images in use "
            f"({missing[0]:08d}{MASKED}.jpg is missing); give one for each image, or remove them all."
        )
    return [read_rgb(masked[view]).max(axis=2) > BLACK for view in views]
