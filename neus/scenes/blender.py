"""Reader of `transforms.json`: NeRF's synthetic scenes, and captures in the format of instant-ngp and nerfstudio.

SCENE/transforms_train.json   (or transforms.json) camera_angle_x, or fl_x fl_y cx cy w h; frames with file_path
                              (with or without its ending) and transform_matrix (camera to world, OpenGL axes)
SCENE/train/r_0.png           RGBA: the alpha channel is the mask
"""

import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from neus.errors import InputError
from neus.scenes.images import IMAGE_SUFFIXES, read_mask, read_rgba
from neus.scenes.lenses import intrinsics_at_size, undistorted
from neus.scenes.region import Region, framed, given_region, region_from_axes
from neus.scenes.region_from_masks import region_from_masks
from neus.scenes.scene import Scene, checked

# OpenGL cameras look along -z with y up; here they look along +z with y down.
OPENGL_FROM_OPENCV = torch.diag(torch.tensor([1.0, -1.0, -1.0, 1.0], dtype=torch.float64))
DISTORTION_KEYS = ("k1", "k2", "p1", "p2", "k3")
# Nerfstudio's names of lenses that these keys describe; its fisheyes use the same keys for another formula.
CAMERA_MODELS = ("OPENCV", "PINHOLE", "SIMPLE_PINHOLE", "SIMPLE_RADIAL", "RADIAL", "PERSPECTIVE")


def read_blender(
    folder: Path,
    split: str = "train",
    background: Sequence[float] = (1.0, 1.0, 1.0),
    scale: float | None = None,
    center: Sequence[float] | None = None,
    allow_inside: bool = False,
) -> Scene:
    """The scene that a `transforms.json` describes; its world is that of the file.

    The unit sphere is laid around the visual hull of the masks; without masks, around the point where the cameras look,
    as large as the images show.

    Args:
        folder: holds `transforms_<split>.json` or `transforms.json`; or one such file.
        split: train, val or test.
        background: (3,) RGB in [0, 1], on which images with alpha are laid.
        scale, center: world = scale * scene + center, both in world units; None finds them.
        allow_inside: accept cameras inside the unit sphere.

    Raises:
        InputError: anything missing, damaged or contradictory, with its name.
    """
    path = _transforms_file(Path(folder), split)
    transforms = _transforms(path)
    views = [_View(path, transforms, index, background) for index in range(len(transforms["frames"]))]
    n_masks = sum(view.mask is not None for view in views)
    if n_masks not in (0, len(views)):
        without = next(view.name for view in views if view.mask is None)
        raise InputError(
            f"{path}: {n_masks} of {len(views)} images have an alpha channel or a mask ({without} has not); "
            "expected all or none."
        )
    scene = Scene(
        images=[view.image for view in views],
        masks=[view.mask for view in views] if n_masks else None,
        intrinsics=torch.stack([view.intrinsics for view in views]),
        camera_to_scene=torch.stack([view.camera_to_world for view in views]),
        scene_to_world=torch.eye(4, dtype=torch.float64),
        names=[view.name for view in views],
        background=torch.tensor(background, dtype=torch.float32) if any(view.has_alpha for view in views) else None,
        source=path,
        format="blender",
        alphas=[view.alpha for view in views] if all(view.alpha is not None for view in views) else None,
    )
    return checked(framed(scene, given_region(scene, center, scale) or _found_region(scene)), allow_inside)


class _View:
    """One frame of the file: its image, mask, intrinsics and pose in the world."""

    def __init__(self, path: Path, transforms: dict, index: int, background: Sequence[float]):
        frame = transforms["frames"][index]
        self.where = f"{path}: frame {index}"
        if not isinstance(frame, dict) or not isinstance(frame.get("file_path"), str):
            raise InputError(f"{self.where} has no file_path; expected the path of its image, relative to {path.name}.")
        file = _image_file(path.parent, frame["file_path"], self.where)
        self.name = file.name
        self.camera_to_world = _pose(frame.get("transform_matrix"), f"{self.where} ({self.name})")
        image, alpha = read_rgba(file, np.asarray(background))
        self.has_alpha, mask = alpha is not None, None
        if isinstance(frame.get("mask_path"), str):
            # Where someone cut the object out by hand, that is what counts.
            alpha = None
            mask = read_mask(_image_file(path.parent, frame["mask_path"], self.where))
        values = {key: value for key, value in {**transforms, **frame}.items() if key != "frames"}
        self._check_lens(values)
        intrinsics = self._intrinsics(values, image.shape[1], image.shape[0])
        coefficients = np.array([self._number(values, key, 0.0) for key in DISTORTION_KEYS])
        if alpha is not None:
            image = np.dstack([image, alpha])
        image, self.mask, self.intrinsics = undistorted(image, mask, intrinsics, coefficients)
        self.image, self.alpha = np.ascontiguousarray(image[:, :, :3]), None
        if alpha is not None:
            self.alpha = np.ascontiguousarray(image[:, :, 3])
            self.mask = self.alpha > 127

    def _check_lens(self, values: dict) -> None:
        model = "fisheye" if values.get("is_fisheye") else values.get("camera_model", "OPENCV")
        if model not in CAMERA_MODELS:
            raise InputError(
                f"{self.where}: its camera model is {model}, expected one of {', '.join(CAMERA_MODELS)}; undistort the "
                "images and export them again."
            )

    def _intrinsics(self, values: dict, width: int, height: int) -> Tensor:
        described_width = self._number(values, "w", float(width))
        described_height = self._number(values, "h", float(height))
        if "fl_x" in values:
            focal_x = self._number(values, "fl_x", math.nan)
        elif "camera_angle_x" in values:
            focal_x = described_width / 2 / math.tan(self._angle(values, "camera_angle_x") / 2)
        else:
            raise InputError(f"{self.where}: neither camera_angle_x nor fl_x is given; add one of them to the file.")
        if "fl_y" in values:
            focal_y = self._number(values, "fl_y", focal_x)
        elif "camera_angle_y" in values and "fl_x" not in values:
            focal_y = described_height / 2 / math.tan(self._angle(values, "camera_angle_y") / 2)
        else:
            focal_y = focal_x
        center_x = self._number(values, "cx", described_width / 2)
        center_y = self._number(values, "cy", described_height / 2)
        intrinsics = torch.tensor([[focal_x, 0, center_x], [0, focal_y, center_y], [0, 0, 1]], dtype=torch.float64)
        described = (round(described_width), round(described_height))
        return intrinsics_at_size(intrinsics, described, (width, height), f"{self.where} ({self.name})")

    def _angle(self, values: dict, key: str) -> float:
        angle = self._number(values, key, math.nan)
        if not 0.0 < angle < math.pi:
            raise InputError(f"{self.where}: {key} is {angle}, expected radians between 0 and pi.")
        return angle

    def _number(self, values: dict, key: str, default: float) -> float:
        value = values.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise InputError(f"{self.where}: {key} is {value!r}, expected a finite number; re-export the cameras.")
        return float(value)


def _found_region(scene: Scene) -> Region:
    # Images with an alpha channel that is opaque everywhere have masks that tell nothing.
    has_outline = scene.masks is not None and not all(mask.all() for mask in scene.masks)
    return region_from_masks(scene) if has_outline else region_from_axes(scene)


def _transforms_file(folder: Path, split: str) -> Path:
    if folder.is_file():
        return folder
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; expected a scene with transforms_{split}.json.")
    for name in (f"transforms_{split}.json", "transforms.json"):
        if (folder / name).is_file():
            return folder / name
    found = ", ".join(sorted(f.name for f in folder.glob("*.json"))) or "no json file"
    raise InputError(f"{folder}: {found} in it; expected transforms_{split}.json or transforms.json.")


def _transforms(path: Path) -> dict:
    try:
        transforms = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a readable json file ({error}); export or copy it again.") from error
    if not isinstance(transforms, dict) or not isinstance(transforms.get("frames"), list):
        raise InputError(f"{path}: no list of frames in it; expected the format of NeRF's transforms.json.")
    if not transforms["frames"]:
        raise InputError(f"{path}: no images: its list of frames is empty; expected one frame for each image.")
    return transforms


def _image_file(folder: Path, file_path: str, where: str) -> Path:
    file = folder / file_path.replace("\\", "/")
    if file.is_file():
        return file
    # NeRF's files leave the ending out; "r_0" must not find "r_0_depth.png".
    for suffix in sorted(IMAGE_SUFFIXES, key=lambda suffix: (suffix != ".png", suffix)):
        if (with_suffix := file.with_name(file.name + suffix)).is_file():
            return with_suffix
    raise InputError(f"{where}: no such image {file} (nor with .png, .jpg, ...); restore it or remove its frame.")


def _pose(matrix: object, where: str) -> Tensor:
    """(4, 4) float64 camera to world with OpenCV's axes."""
    try:
        rows = np.asarray(matrix, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{where}: its transform_matrix is not 4x4 plain numbers; re-export it.") from error
    if rows.shape not in ((4, 4), (3, 4)):
        raise InputError(f"{where}: its transform_matrix has shape {rows.shape}, expected 4x4 numbers; re-export it.")
    if not np.isfinite(rows).all():
        raise InputError(f"{where}: its transform_matrix holds NaN or infinity; re-export the cameras.")
    # Before the region is looked for, which inverts the poses; whether they are rigid is checked with the whole scene.
    if np.linalg.cond(rows[:3, :3]) > 1e12:
        raise InputError(f"{where}: its transform_matrix is singular, expected a rigid pose; re-export the cameras.")
    pose = torch.eye(4, dtype=torch.float64)
    pose[:3] = torch.from_numpy(rows[:3])
    return pose @ OPENGL_FROM_OPENCV
