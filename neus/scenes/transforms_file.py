"""Contents of a `transforms.json`: NeRF's, instant-ngp's, nerfstudio's and Neuralangelo's keys, each used or named."""

import json
import math
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import torch
from torch import Tensor

from neus.errors import InputError, warn_of
from neus.files import read_text
from neus.scenes.lens_models import OPENCV
from neus.scenes.lenses import intrinsics_at_size

# Nerfstudio's names of lenses, and the coefficients that each of them has not.
POLYNOMIAL = ("OPENCV", "PINHOLE", "SIMPLE_PINHOLE", "SIMPLE_RADIAL", "RADIAL", "PERSPECTIVE")
RATIONAL, FISHEYES = "FULL_OPENCV", ("OPENCV_FISHEYE", "FISHEYE")
NOT_IN = {POLYNOMIAL[0]: ("k4", "k5", "k6"), RATIONAL: (), **dict.fromkeys(FISHEYES, ("p1", "p2", "k5", "k6"))}
COEFFICIENTS = ("k1", "k2", "p1", "p2", "k3", "k4", "k5", "k6")
SPLITS = ("train", "val", "test")

USED = {
    "frames", "file_path", "transform_matrix", "mask_path", "camera_angle_x", "camera_angle_y", "fl_x", "fl_y", "cx", "cy", "w", "h",
    "camera_model", "is_fisheye", "sk_x", "sk_y", "sphere_center", "sphere_radius", "ply_file_path",
    *COEFFICIENTS, *(f"{split}_filenames" for split in SPLITS),
}  # fmt: skip
# They put the scene into another program's frame, or describe how the file was made: neither rays nor pixels depend on them.
HARMLESS = {
    "aabb", "aabb_scale", "aabb_range", "scale", "offset", "applied_transform", "applied_scale", "orientation_override",
    "auto_scale_poses_override", "from_na", "up", "scene_scale", "scene_type", "enable_depth_loading", "n_extra_learnable_dims",
    "sharpness", "rotation", "colmap_im_id", "colmap_id", "image_id", "id", "name", "timestamp", "exif", "comment", "date", "version",
}  # fmt: skip


class Frame:
    """One image of the file, its own keys before those of the whole file.

    Attributes:
        file_path: of the image, as written.
        mask_path: of its mask, as written, or None.
        where: the file and the frame, for messages.
    """

    def __init__(self, path: Path, transforms: dict[str, Any], index: int) -> None:
        frame = transforms["frames"][index]
        self.where = f"{path}: frame {index}"
        if not isinstance(frame, dict) or not isinstance(frame.get("file_path"), str) or not frame["file_path"].strip():
            raise InputError(f"{self.where} has no file_path; expected the path of its image, relative to {path.name}.")
        self._values = {**transforms, **frame}
        self.file_path: str = frame["file_path"]
        self.mask_path = frame["mask_path"] if isinstance(frame.get("mask_path"), str) and frame["mask_path"] else None
        self.label = f"frame {index} ({PurePosixPath(self.file_path.replace(chr(92), '/')).name})"

    @property
    def matrix(self) -> Tensor | None:
        """(4, 4) float64 finite `transform_matrix` as given there, or None without one.

        Raises:
            InputError: it is no 3x4 or 4x4 matrix of finite numbers.
        """
        if self._values.get("transform_matrix") is None:
            return None
        where = f"{self.where} ({self.file_path})"
        try:
            rows = np.asarray(self._values["transform_matrix"], dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise InputError(f"{where}: its transform_matrix is not 4x4 plain numbers; re-export it.") from error
        if rows.shape not in ((4, 4), (3, 4)):
            raise InputError(
                f"{where}: its transform_matrix has shape {rows.shape}, expected 4x4 numbers; re-export it."
            )
        if not np.isfinite(rows).all():
            raise InputError(f"{where}: its transform_matrix holds NaN or infinity; re-export the cameras.")
        matrix = torch.eye(4, dtype=torch.float64)
        matrix[: len(rows)] = torch.from_numpy(rows)
        return matrix

    def intrinsics(self, size: tuple[int, int]) -> Tensor:
        """(3, 3) float64 K for an image of so many pixels, with the skew sk_x.

        Raises:
            InputError: no focal length, numbers that make no sense, a size of another shape, or a skew of the second row.
        """
        width, height = self._number("w", float(size[0])), self._number("h", float(size[1]))
        if "fl_x" in self._values:
            focal_x = self._number("fl_x", math.nan)
        elif "camera_angle_x" in self._values:
            focal_x = width / 2 / math.tan(self._angle("camera_angle_x") / 2)
        else:
            raise InputError(f"{self.where}: neither camera_angle_x nor fl_x is given; add one of them to the file.")
        if "fl_y" in self._values:
            focal_y = self._number("fl_y", focal_x)
        elif "camera_angle_y" in self._values and "fl_x" not in self._values:
            focal_y = height / 2 / math.tan(self._angle("camera_angle_y") / 2)
        else:
            focal_y = focal_x
        if self._number("sk_y", 0.0) != 0.0:
            raise InputError(
                f"{self.where}: sk_y is {self._values['sk_y']}, expected 0; re-export the cameras without skew."
            )
        center_x, center_y = self._number("cx", width / 2), self._number("cy", height / 2)
        rows = [[focal_x, self._number("sk_x", 0.0), center_x], [0.0, focal_y, center_y], [0.0, 0.0, 1.0]]
        described = (round(width), round(height))
        return intrinsics_at_size(
            torch.tensor(rows, dtype=torch.float64), described, size, f"{self.where} ({self.file_path})"
        )

    def lens(self) -> tuple[str, tuple[float, ...]]:
        """Its model (of `lens_models`) and parameters: OpenCV's k1, k2, p1, p2, k3, k4, k5, k6, or a fisheye's k1, k2, k3, k4.

        Raises:
            InputError: a lens that cannot be computed, or a distorting lens with skew.
        """
        model = FISHEYES[0] if self._values.get("is_fisheye") else self._values.get("camera_model", POLYNOMIAL[0])
        if model not in (*POLYNOMIAL, RATIONAL, *FISHEYES):
            raise InputError(
                f"{self.where}: its camera model is {model}, expected one of {', '.join((*POLYNOMIAL, RATIONAL, *FISHEYES))}; "
                "undistort the images and export them again."
            )
        values = {key: self._number(key, 0.0) for key in COEFFICIENTS}
        unclear = {key: value for key, value in values.items() if value and key in NOT_IN.get(model, NOT_IN[POLYNOMIAL[0]])}
        if unclear:
            raise InputError(
                f"{self.where}: {', '.join(f'{key} = {value:g}' for key, value in unclear.items())} with the camera model {model} has "
                f"no one meaning (nerfstudio: r^8; OpenCV: a denominator); if these are OpenCV's, set camera_model to {RATIONAL}, "
                "else undistort the images and export them again."
            )
        if (model in FISHEYES or any(values.values())) and self._number("sk_x", 0.0) != 0.0:
            raise InputError(f"{self.where}: sk_x is {self._values['sk_x']} beside lens distortion; undistort the images first.")
        if model in FISHEYES:
            return FISHEYES[0], tuple(values[key] for key in ("k1", "k2", "k3", "k4"))
        return OPENCV, tuple(values.values()) if any(values.values()) else ()

    def _angle(self, key: str) -> float:
        angle = self._number(key, math.nan)
        if not 0.0 < angle < math.pi:
            raise InputError(f"{self.where}: {key} is {angle}, expected radians between 0 and pi.")
        return angle

    def _number(self, key: str, default: float) -> float:
        value = self._values.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise InputError(f"{self.where}: {key} is {value!r}, expected a finite number; re-export the cameras.")
        return float(value)


def transforms_path(folder: Path, split: str) -> Path:
    """The file of a split in a scene's folder, or the file itself where one is given.

    Raises:
        InputError: no such folder, or neither transforms_<split>.json nor transforms.json in it.
    """
    if folder.is_file():
        return folder
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; expected a scene with transforms_{split}.json.")
    for name in (f"transforms_{split}.json", "transforms.json"):
        if (folder / name).is_file():
            return folder / name
    found = ", ".join(sorted(f.name for f in folder.glob("*.json"))) or "no json file"
    raise InputError(f"{folder}: {found} in it; expected transforms_{split}.json or transforms.json.")


def read_transforms(path: Path, split: str) -> tuple[dict[str, Any], list[Frame]]:
    """The contents of the file, and its frames of the split.

    Raises:
        InputError: no JSON, no list of frames, or none of the split.

    Warns:
        InputWarning: keys that are not used, and frames that belong to another split.
    """
    try:
        transforms = json.loads(read_text(path, "export the cameras again"))
    except json.JSONDecodeError as error:
        raise InputError(f"{path}: not a readable json file ({error}); export or copy it again.") from error
    if not isinstance(transforms, dict) or not isinstance(transforms.get("frames"), list):
        raise InputError(f"{path}: no list of frames in it; expected the format of NeRF's transforms.json.")
    if not transforms["frames"]:
        raise InputError(f"{path}: no images: its list of frames is empty; expected one frame for each image.")
    frames = [Frame(path, transforms, index) for index in range(len(transforms["frames"]))]
    known = USED | HARMLESS
    unknown = {
        key for keys in (transforms, *transforms["frames"]) for key, value in keys.items() if key not in known and value
    }
    if unknown:
        warn_of(f"{path}: {len(unknown)} of its keys are not used", sorted(unknown))
    return transforms, _of_split(path, transforms, frames, split)


def _of_split(path: Path, transforms: dict[str, Any], frames: list[Frame], split: str) -> list[Frame]:
    """The frames that `<split>_filenames` lists, or all where the file has no such lists."""
    lists = {
        name: transforms[f"{name}_filenames"]
        for name in SPLITS
        if isinstance(transforms.get(f"{name}_filenames"), list)
    }
    if not lists:
        return frames
    if split not in lists:
        raise InputError(
            f"{path}: it has {', '.join(f'{name}_filenames' for name in lists)}, but no {split}_filenames; set dataset.split."
        )
    listed = {PurePosixPath(str(name).replace("\\", "/")) for name in lists[split]}
    kept = [frame for frame in frames if PurePosixPath(frame.file_path.replace("\\", "/")) in listed]
    if not kept:
        raise InputError(f"{path}: no frame has a file_path that is in {split}_filenames; export the file again.")
    if left_out := [frame.file_path for frame in frames if frame not in kept]:
        warn_of(
            f"{path}: {len(left_out)} of {len(frames)} frames are not in {split}_filenames and are left out", left_out
        )
    return kept


def sphere_of(transforms: dict[str, Any], path: Path) -> tuple[Sequence[float], float] | None:
    """Centre (3,) and radius of the object that Neuralangelo's `sphere_center` and `sphere_radius` give, or None.

    Raises:
        InputError: only one of them, or no such numbers.
    """
    center, radius = transforms.get("sphere_center"), transforms.get("sphere_radius")
    if center is None and radius is None:
        return None
    try:
        numbers = np.asarray([*center, radius], dtype=np.float64)
    except (TypeError, ValueError):
        numbers = np.zeros(0)
    if numbers.shape != (4,) or not np.isfinite(numbers).all() or numbers[3] <= 0.0:
        raise InputError(
            f"{path}: sphere_center is {center!r} and sphere_radius {radius!r}, expected three numbers and a positive one; "
            "correct or remove them."
        )
    return numbers[:3].tolist(), float(numbers[3])
