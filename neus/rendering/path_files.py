"""Camera paths in files: our own JSON and nerfstudio's `camera_path.json`, in the world frame.

Ours, to be written by hand or by `neus render --save-path`:

    {"width": 800, "height": 600, "fps": 30,
     "cameras": [{"camera_to_world": [[...], [...], [...], [0, 0, 0, 1]], "fov": 40.0}, ...]}

Cameras look along +z, x right, y down, in the data set's own unit; `fov` is the vertical angle in degrees, or `intrinsics`
(3 x 3, pixels, centres at +0.5) replaces it. One camera is one frame.

nerfstudio's cameras look along -z, x right, y up (OpenGL); poses are 16 numbers row by row, `fov` the vertical angle in degrees.
Its poses lie in its own normalised frame: the `dataparser_transforms.json` of that run leads back to the world if it lies beside
the path. Without that file they are taken to be in the world.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from neus.errors import InputError
from neus.files import read_text, write_json
from neus.geometry.cameras import Camera
from neus.geometry.poses import invert
from neus.geometry.rigid import rigid_poses
from neus.geometry.similarity import is_similarity, transform_poses

OPENGL_FROM_OPENCV = torch.diag(torch.tensor([1.0, -1.0, -1.0, 1.0], dtype=torch.float64))
NERFSTUDIO_FRAME = "dataparser_transforms.json"
DEFAULT_FPS = 30.0
# What nerfstudio renders that no pinhole camera can.
PERSPECTIVE = "perspective"


@dataclass(frozen=True)
class CameraPath:
    """Cameras in the scene frame, one for each frame, and frames per second."""

    cameras: list[Camera]
    fps: float = DEFAULT_FPS


def read_camera_path(path: Path, scene_to_world: Tensor) -> CameraPath:
    """The camera path in a file of either format, distinguished by its keys.

    Args:
        path: JSON.
        scene_to_world: (4, 4) similarity of the scene.

    Raises:
        InputError: missing, not JSON, neither format, or a camera that is none, with its number.

    Warns:
        InputWarning: poses that were rounded or scaled, and are repaired.
    """
    content = _json(path)
    if "camera_path" in content:
        return _nerfstudio(content, path, scene_to_world)
    if "cameras" not in content:
        raise InputError(f"{path}: no list 'cameras' (our format) or 'camera_path' (nerfstudio's); see --help.")
    size = _number(content, "width", str(path)), _number(content, "height", str(path))
    return CameraPath(_cameras(content["cameras"], path, size, invert(scene_to_world)), _fps(content, path))


def write_camera_path(path: Path, cameras: list[Camera], scene_to_world: Tensor, fps: float = DEFAULT_FPS) -> None:
    """Writes cameras of the scene frame in our own format, whole or not at all."""
    poses = transform_poses(scene_to_world, torch.stack([camera.camera_to_scene for camera in cameras]))
    entries = [
        {"camera_to_world": pose.tolist(), "intrinsics": camera.intrinsics.tolist()}
        for pose, camera in zip(poses, cameras)
    ]
    content = {"width": cameras[0].width, "height": cameras[0].height, "fps": fps, "cameras": entries}
    write_json(path, content)


def nerfstudio_path(cameras: list[Camera], scene_to_world: Tensor, fps: float = DEFAULT_FPS) -> dict[str, Any]:
    """The content of a `camera_path.json` for cameras of the scene frame, in world units.

    The format knows one focal length and no principal point: it is exact for square pixels seen straight ahead.
    """
    poses = transform_poses(scene_to_world, torch.stack([camera.camera_to_scene for camera in cameras]))
    entries = [
        {
            "camera_to_world": (pose @ OPENGL_FROM_OPENCV).flatten().tolist(),
            "fov": math.degrees(2 * math.atan(camera.height / (2 * float(camera.intrinsics[1, 1])))),
            "aspect": camera.width / camera.height,
        }
        for pose, camera in zip(poses, cameras)
    ]
    return {
        "camera_type": PERSPECTIVE,
        "render_height": cameras[0].height,
        "render_width": cameras[0].width,
        "camera_path": entries,
        "fps": fps,
        "seconds": len(cameras) / fps,
    }


def _nerfstudio(content: dict[str, Any], path: Path, scene_to_world: Tensor) -> CameraPath:
    kind = content.get("camera_type", PERSPECTIVE)
    if kind != PERSPECTIVE:
        raise InputError(f"{path}: camera_type is {kind!r}, expected {PERSPECTIVE!r}; export the path again as such.")
    to_scene = invert(scene_to_world) @ invert(_nerfstudio_from_world(path.parent / NERFSTUDIO_FRAME))
    size = _number(content, "render_width", str(path)), _number(content, "render_height", str(path))
    return CameraPath(_cameras(content["camera_path"], path, size, to_scene, OPENGL_FROM_OPENCV), _fps(content, path))


def _nerfstudio_from_world(path: Path) -> Tensor:
    """(4, 4) similarity: scale times the 3 x 4 `transform`; the identity without the file."""
    matrix = torch.eye(4, dtype=torch.float64)
    if not path.is_file():
        return matrix
    content = _json(path)
    rows, scale = _matrix(content.get("transform"), (3, 4), f"{path}: transform"), content.get("scale", 1.0)
    matrix[:3] = rows * float(scale)
    if not is_similarity(matrix):
        raise InputError(f"{path}: not a rotation, a translation and one scale; copy the file from the run again.")
    return matrix


def _cameras(
    entries: object, path: Path, size: tuple[int, int], to_scene: Tensor, axes: Tensor | None = None
) -> list[Camera]:
    """The cameras of a file; `axes` leads from OpenCV's camera axes to those of the file."""
    listed = _entries(entries, path)
    labels = [f"camera {number}" for number in range(len(listed))]
    intrinsics = [_intrinsics(entry, *size, f"{path}: {label}") for entry, label in zip(listed, labels, strict=True)]
    where = [f"{path}: {label}: camera_to_world" for label in labels]
    matrices = [
        _matrix(entry.get("camera_to_world"), (4, 4), place) for entry, place in zip(listed, where, strict=True)
    ]
    poses = rigid_poses(torch.stack(matrices), labels, str(path), suggestion="write the path again")
    poses = transform_poses(to_scene, poses if axes is None else poses @ axes)
    return [Camera(k, pose, *size) for k, pose in zip(intrinsics, poses, strict=True)]


def _intrinsics(entry: dict[str, Any], width: int, height: int, where: str) -> Tensor:
    if "intrinsics" in entry:
        intrinsics = _matrix(entry["intrinsics"], (3, 3), f"{where}: intrinsics")
        if not (intrinsics.diagonal()[:2] > 0).all():
            raise InputError(f"{where}: intrinsics need focal lengths above 0; write the path again.")
        return intrinsics
    fov = entry.get("fov")
    if isinstance(fov, bool) or not isinstance(fov, int | float) or not 0.0 < fov < 180.0:
        raise InputError(f"{where}: fov is {fov!r}, expected the vertical angle in degrees, between 0 and 180.")
    focal = height / 2 / math.tan(math.radians(fov) / 2)
    return torch.tensor([[focal, 0.0, width / 2], [0.0, focal, height / 2], [0.0, 0.0, 1.0]], dtype=torch.float64)


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(read_text(path, "give the JSON file of a camera path"))
    except json.JSONDecodeError as error:
        raise InputError(f"{path}: not JSON ({error}); export it again.") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected an object with named values at the top; export it again.")
    return content


def _entries(entries: object, path: Path) -> list[dict[str, Any]]:
    if not isinstance(entries, list) or not entries or not all(isinstance(entry, dict) for entry in entries):
        raise InputError(f"{path}: expected a list of at least one camera; export the path again.")
    return entries


def _number(content: dict[str, Any], key: str, where: str) -> int:
    value = content.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 1 or value != int(value):
        raise InputError(f"{where}: {key} is {value!r}, expected a whole number of pixels.")
    return int(value)


def _fps(content: dict[str, Any], path: Path) -> float:
    fps = content.get("fps", DEFAULT_FPS)
    if isinstance(fps, bool) or not isinstance(fps, int | float) or not 0.0 < fps <= 1000.0:
        raise InputError(f"{path}: fps is {fps!r}, expected frames per second above 0.")
    return float(fps)


def _matrix(value: object, shape: tuple[int, int], where: str) -> Tensor:
    """A matrix of nested lists or of numbers row by row."""
    try:
        matrix = torch.tensor(value, dtype=torch.float64).reshape(shape)
    except (TypeError, ValueError, RuntimeError):
        matrix = torch.full(shape, math.nan)
    if not torch.isfinite(matrix).all():
        raise InputError(f"{where}: expected {shape[0]} x {shape[1]} finite numbers; write the path again.")
    return matrix
