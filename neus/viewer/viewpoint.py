"""Cameras of a browser (position, quaternion, field of view) and ours, in one frame: both look along +z, x right, y down."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from neus.errors import InputError
from neus.geometry.cameras import Camera


def camera_at(wxyz: Sequence[float], position: Sequence[float], fov: float, aspect: float, height: int) -> Camera:
    """The camera of a viewpoint, with images of a height in pixels.

    Args:
        wxyz: unit quaternion of the camera's axes in the scene.
        position: (3,) its centre.
        fov: vertical, radians.
        aspect: width over height.
        height: pixels.

    Raises:
        InputError: numbers that no camera has, as a broken browser may send.

    >>> camera = camera_at((1, 0, 0, 0), (0, 0, -3), math.pi / 2, 1.5, 100)
    >>> camera.width, camera.intrinsics[0].round(decimals=6).tolist(), camera.center.tolist(), camera.forward.tolist()
    (150, [50.0, 0.0, 75.0], [0.0, 0.0, -3.0], [0.0, 0.0, 1.0])
    """
    numbers = np.array([*wxyz, *position, fov, aspect], np.float64)
    turn = numbers[:4]
    is_possible = numbers.shape == (9,) and np.isfinite(numbers).all() and np.linalg.norm(turn) > 1e-6
    if not is_possible or not 1e-3 < fov < math.pi - 1e-3 or not 0.05 < aspect < 20.0:
        raise InputError(f"viewpoint: {numbers.tolist()} is no quaternion, position, field of view and aspect of a camera.")
    width, focal = max(1, round(height * aspect)), height / 2 / math.tan(fov / 2)
    intrinsics = torch.tensor([[focal, 0.0, width / 2], [0.0, focal, height / 2], [0.0, 0.0, 1.0]], dtype=torch.float64)
    pose = torch.eye(4, dtype=torch.float64)
    pose[:3, :3] = torch.from_numpy(Rotation.from_quat(np.roll(turn, -1)).as_matrix())
    pose[:3, 3] = torch.from_numpy(numbers[4:7])
    return Camera(intrinsics, pose, width, height)


def viewpoint_of(camera: Camera) -> tuple[np.ndarray, np.ndarray, float, float]:
    """Quaternion (4,) wxyz, position (3,), vertical field of view in radians and aspect; the inverse of `camera_at`."""
    pose = camera.camera_to_scene.double().numpy()
    wxyz = np.roll(Rotation.from_matrix(pose[:3, :3]).as_quat(), 1)
    return wxyz, pose[:3, 3], 2 * math.atan(camera.height / 2 / float(camera.intrinsics[1, 1])), camera.width / camera.height
