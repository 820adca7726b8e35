"""What every camera file comes to, and the one way from there to a scene.

A reader of another program's cameras (`foreign.formats`) only parses: it gives `PosedImages`, in the axes and pixel centres of this
project. Which views, which files, lens distortion, masks, size and region of interest are the business of `scene_of_posed` alone.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np
import torch
from torch import Tensor

from neus.errors import InputError, warn_of
from neus.geometry.rigid import rigid_poses
from neus.scenes.find_files import find_images, without_ending
from neus.scenes.headers import read_header
from neus.scenes.images import IMAGE_SUFFIXES
from neus.scenes.lens_models import OPENCV
from neus.scenes.lenses import intrinsics_at_size
from neus.scenes.masks import masks_of, outlines
from neus.scenes.pixel_store import Size
from neus.scenes.region import Region, placed, region_from_axes
from neus.scenes.region_from_masks import region_from_masks
from neus.scenes.region_from_points import region_from_points, region_of_all_points
from neus.scenes.scene import Scene, checked
from neus.scenes.selection import ALL_VIEWS, Selection
from neus.scenes.tracked_points import TrackedPoints, reliable_positions
from neus.scenes.view_files import ALL_AT_ONCE, Loading, ViewFiles, scene_of

IMAGE_FOLDERS, MASK_FOLDERS = ("images", "image"), ("masks", "mask")
SUGGESTION = "export the cameras again"
# OpenGL cameras look along -z with y up, those here along +z with y down: camera_to_world @ this changes from one to the other.
OPENGL_FROM_OPENCV = torch.diag(torch.tensor([1.0, -1.0, -1.0, 1.0], dtype=torch.float64))


@dataclass(frozen=True)
class PosedImage:
    """One image as a camera file describes it.

    Attributes:
        name: as the file calls it: a path, a name, or a name without its ending.
        camera_to_world: (4, 4) float64, x right, y down, z forward, in the file's own world and unit.
        intrinsics: from width and height of the image found to its K (3, 3) float64, pixel centres at +0.5; some files give focal lengths
            in fractions of the image, or no principal point.
        model, coefficients: of the lens, as for `view_files.ViewFiles`.
        image: its file, where the format itself says so, perhaps within a zip file (`zipfile.Path`); None: to be found by `name`.
        mask: its mask, likewise.
    """

    name: str
    camera_to_world: Tensor
    intrinsics: Callable[[Size], Tensor]
    model: str = OPENCV
    coefficients: tuple[float, ...] = ()
    image: Path | None = None
    mask: Path | None = None


@dataclass(frozen=True)
class PosedImages:
    """A camera file, parsed.

    Attributes:
        source: the file, for messages.
        folder: where names and the folders images/ and masks/ begin.
        images: V posed images.
        points: sparse points of the world, their tracks by the numbers of `images`; None without any.
        region: centre (3,) and radius of the object that the file gives, or None.
        up: (3,) the direction upwards in the world, where the format defines one.
        metres: how many metres one unit of the world is, where the format defines it.
        without_pose: names of images that the file has without a pose, which its reader has warned of.
    """

    source: Path
    folder: Path
    images: Sequence[PosedImage]
    points: TrackedPoints | None = None
    region: tuple[Sequence[float], float] | None = None
    up: tuple[float, float, float] | None = None
    metres: float | None = None
    without_pose: Sequence[str] = ()


def described(intrinsics: Sequence[Sequence[float]], size: Size | None, where: str) -> Callable[[Size], Tensor]:
    """For `PosedImage.intrinsics`: K (3, 3) for an image of that size, scaled where the image found is smaller; None: for any size."""
    matrix = torch.tensor([list(row) for row in intrinsics], dtype=torch.float64)
    return lambda found: matrix if size is None else intrinsics_at_size(matrix, size, found, where)


def pinhole(focal_x: float, focal_y: float, center_x: float, center_y: float, skew: float = 0.0) -> list[list[float]]:
    """The rows of K."""
    return [[focal_x, skew, center_x], [0.0, focal_y, center_y], [0.0, 0.0, 1.0]]


def centered(focal: float) -> Callable[[Size], Tensor]:
    """For `PosedImage.intrinsics`: one focal length in pixels, the principal point in the middle of the image found."""
    return lambda size: torch.tensor(pinhole(focal, focal, size[0] / 2, size[1] / 2), dtype=torch.float64)


def pose_from_rotation(
    rotation: Sequence[Sequence[float]] | np.ndarray, center: Sequence[float] | np.ndarray
) -> Tensor:
    """(4, 4) camera_to_world from the rotation (3, 3) from world to camera and the camera's centre (3,)."""
    pose = torch.eye(4, dtype=torch.float64)
    pose[:3, :3] = torch.from_numpy(np.asarray(rotation, np.float64).reshape(3, 3).T.copy())
    pose[:3, 3] = torch.from_numpy(np.asarray(center, np.float64).reshape(3).copy())
    return pose


def rotation_from_quaternion(w: float, x: float, y: float, z: float) -> np.ndarray:
    """(3, 3) of a quaternion of any length but zero.

    >>> rotation_from_quaternion(1.0, 0.0, 0.0, 1.0).round(3)[0]  # a quarter turn about z
    array([ 0., -1.,  0.])
    """
    length = w * w + x * x + y * y + z * z
    v, cross = np.array([x, y, z]), np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    return ((w * w - v @ v) * np.eye(3) + 2.0 * np.outer(v, v) + 2.0 * w * cross) / length


def scene_of_posed(
    posed: PosedImages,
    layout: str,
    place: Path,
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
    """The scene of posed images, lens distortion taken out; its world is that of the camera file.

    The unit sphere is the file's own or is laid around the visual hull, around the sparse points that the cameras look at, or
    around the point where they look.

    Args:
        posed: as a reader parsed it.
        layout: for `Scene.format`.
        place: what the user named, the folder or the camera file, for `Scene.source`: the scene is read again from there.
        center, radius: the region of interest in world units; None finds it.
        allow_inside, background, selection, mask_meaning, images, region, loading: as for `colmap.read_colmap`.

    Raises:
        InputError: anything missing, damaged or contradictory, with its name.

    Warns:
        InputWarning: images that do not exist or are found by another name, repaired poses, masks that are not used.
    """
    if not posed.images:
        raise InputError(f"{posed.source}: no camera with a pose in it; reconstruct the scene and {SUGGESTION}.")
    chosen = selection.of([image.name for image in posed.images], posed.source)
    files = _files(posed, chosen, images)
    kept = [(view, file) for view, file in zip(chosen, files, strict=True) if file is not None]
    chosen_images = [replace(posed.images[view], image=file) for view, file in kept]
    names = [_name(image, posed.folder, images) for image in chosen_images]
    masks = outlines(_masks(posed, chosen_images, names), names, mask_meaning, posed.source)
    poses = rigid_poses(
        torch.stack([_finite(image, posed.source) for image in chosen_images]), names, str(posed.source)
    )
    views = [
        ViewFiles(
            name, image.image, image.intrinsics(read_header(image.image).size), pose, image.model, image.coefficients
        )
        for name, image, pose in zip(names, chosen_images, poses, strict=True)
    ]
    points = None if posed.points is None else posed.points.subset([view for view, _ in kept])
    scene = replace(
        scene_of(views, masks, place, layout, background, loading=loading),
        points=points,
        up=posed.up,
        metres=posed.metres,
    )
    of_file = posed.region if region == "object" else None
    sphere = (center, radius) if (center, radius) != (None, None) else of_file or (None, None)
    return checked(placed(scene, *sphere, lambda s: _found_region(s, region)), allow_inside)


def image_folder(folder: Path, images: str = "") -> Path:
    """The folder of a scene that holds its images: the one that is asked for, images/ or image/, or the scene's own."""
    if images:
        if not (folder / images).is_dir():
            raise InputError(f"{folder / images}: no such folder; set dataset.images to the folder of the images.")
        return folder / images
    return next((folder / name for name in IMAGE_FOLDERS if (folder / name).is_dir()), folder)


def _files(posed: PosedImages, chosen: Sequence[int], images: str) -> list[Path | None]:
    """The file of each chosen image, None where there is none."""
    if all(posed.images[view].image is not None for view in chosen):
        return [posed.images[view].image for view in chosen]
    names = [posed.images[view].name for view in chosen]
    as_written = not images and _is_image(posed.folder / names[0].replace("\\", "/"))
    folder = posed.folder if as_written else image_folder(posed.folder, images)
    found = find_images(folder, names, posed.source)
    known = {_stem(name) for name in [*(image.name for image in posed.images), *posed.without_pose]}
    place = image_folder(posed.folder, images)
    if place != posed.folder:
        _warn_of_unknown(place, known, {file for file in found if file is not None}, posed.source)
    return found


def _warn_of_unknown(folder: Path, known: set[str], used: set[Path], source: Path) -> None:
    files = {f for f in folder.rglob("*") if f.suffix.lower() in IMAGE_SUFFIXES and f.name[0] != "."}
    if left_out := sorted(f.relative_to(folder).as_posix() for f in files - used if _stem(f.name) not in known):
        warn_of(f"{folder}: {len(left_out)} images have no camera in {source.name} and are passed over", left_out)


def _stem(name: str) -> str:
    return without_ending(PurePosixPath(name.replace("\\", "/"))).name.casefold()


def _is_image(path: Path) -> bool:
    return path.is_file() or any(path.with_name(path.name + ending).is_file() for ending in IMAGE_SUFFIXES)


def _name(image: PosedImage, folder: Path, images: str) -> str:
    """Of the view: its path within the folder of images."""
    if not isinstance(image.image, Path) or not image.image.is_relative_to(folder):  # in an archive, or somewhere else
        return image.name.replace("\\", "/")
    parts = image.image.relative_to(folder).parts
    return "/".join(parts[1:] if len(parts) > 1 and parts[0] in (*IMAGE_FOLDERS, images) else parts)


def _masks(posed: PosedImages, images: Sequence[PosedImage], names: Sequence[str]) -> list[Path | None]:
    """The masks that the file names, or else those of masks/."""
    if any(image.mask is not None for image in images):
        return [image.mask for image in images]
    folder = next((posed.folder / name for name in MASK_FOLDERS if (posed.folder / name).is_dir()), None)
    return [None] * len(images) if folder is None else masks_of(folder, names)


def _finite(image: PosedImage, source: Path) -> Tensor:
    if not torch.isfinite(image.camera_to_world).all():
        raise InputError(f"{source}: the pose of {image.name} holds NaN or infinity; {SUGGESTION}.")
    return image.camera_to_world


def _found_region(scene: Scene, kind: str) -> Region:
    is_object = kind == "object"
    if is_object and scene.masks is not None and not all(mask.all() for mask in scene.masks):
        return region_from_masks(scene)
    if scene.points is not None and len(scene.points):
        positions = reliable_positions(scene.points.positions, scene.points.lengths)
        return (region_from_points if is_object else region_of_all_points)(scene, torch.from_numpy(positions))
    return region_from_axes(scene)
