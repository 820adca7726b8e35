"""What every camera file comes to: names, poses, lenses and points, in the axes and pixel centres of this project.

A reader of another program's cameras (`foreign.formats`) only parses, to `PosedImages`; which views, which files, lens distortion, masks,
size and region of interest are the business of `posed_scene.scene_of_posed` alone.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from neus.errors import InputError
from neus.scenes.lens_models import OPENCV
from neus.scenes.lenses import intrinsics_at_size
from neus.scenes.pixel_store import Size
from neus.scenes.tracked_points import TrackedPoints

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
        problem: why the image cannot be read, which is raised only where it is chosen; empty for none.
    """

    name: str
    camera_to_world: Tensor
    intrinsics: Callable[[Size], Tensor]
    model: str = OPENCV
    coefficients: tuple[float, ...] = ()
    image: Path | None = None
    mask: Path | None = None
    problem: str = ""


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
        region_from_masks: whether the region of interest may be found from masks, which then come before the points.
        without_pose: names of images that the file has without a pose, which its reader has warned of.
    """

    source: Path
    folder: Path
    images: Sequence[PosedImage]
    points: TrackedPoints | None = None
    region: tuple[Sequence[float], float] | None = None
    up: tuple[float, float, float] | None = None
    metres: float | None = None
    region_from_masks: bool = True
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


def image_folder(folder: Path, images: str = "") -> Path:
    """The folder of a scene that holds its images: the one that is asked for, images/ or image/, or the scene's own."""
    if images:
        if not (folder / images).is_dir():
            raise InputError(f"{folder / images}: no such folder; set dataset.images to the folder of the images.")
        return folder / images
    return next((folder / name for name in IMAGE_FOLDERS if (folder / name).is_dir()), folder)
