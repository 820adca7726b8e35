"""Pinhole cameras: intrinsics, pose and image size. Pixel centres lie at +0.5.

Two frames, two types: a `Camera` is in the scene frame, as everything that renders expects; a `WorldCamera` in the data set's own
unit, as users have it. `in_scene` and `in_world` lead from one to the other, so a pose cannot be taken for one of the other frame.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from torch import Tensor

from neus.errors import InputError
from neus.geometry.poses import invert, look_at
from neus.geometry.similarity import transform_points, transform_poses


@dataclass(frozen=True)
class Camera:
    """A pinhole camera in the scene frame.

    Attributes:
        intrinsics: (3, 3) K, pixels, for pixel centres at +0.5.
        camera_to_scene: (4, 4), x right, y down, z forward.
        width, height: image size in pixels.
        turn: clockwise quarter turns, 0 to 3, by which the image is shown upright; that of a phone held upright is often stored on
            its side (EXIF orientation).
    """

    intrinsics: Tensor
    camera_to_scene: Tensor
    width: int
    height: int
    turn: int = 0

    @property
    def center(self) -> Tensor:
        """(3,) the camera centre, scene units."""
        return self.camera_to_scene[:3, 3]

    @property
    def forward(self) -> Tensor:
        """(3,) the unit viewing axis in the scene frame."""
        return torch.nn.functional.normalize(self.camera_to_scene[:3, 2], dim=0)

    @staticmethod
    def look_at(
        eye: Sequence[float] | Tensor,
        target: Sequence[float] | Tensor,
        up: Sequence[float] | Tensor = (0.0, 0.0, 1.0),
        fov: float = 45.0,
        size: tuple[int, int] = (640, 480),
    ) -> WorldCamera:
        """A camera at `eye` that looks at `target`, in world units.

        Args:
            eye, target: (3,) world units.
            up: (3,) upwards in the image; need not be perpendicular to the view.
            fov: vertical field of view, degrees.
            size: width and height in pixels; pixels are square, the principal point is the centre.

        Raises:
            InputError: eye and target coincide, or a field of view or a size that no camera has.

        >>> camera = Camera.look_at(eye=(0, -2, 0), target=(0, 0, 0), size=(200, 100))
        >>> camera.intrinsics[:2, 2].tolist(), camera.camera_to_world[:3, 2].tolist()
        ([100.0, 50.0], [0.0, 1.0, 0.0])
        """
        eye, target, up = (torch.as_tensor(vector, dtype=torch.float64) for vector in (eye, target, up))
        if torch.equal(eye, target):
            raise InputError(f"look_at: eye and target are both {eye.tolist()}; expected two points.")
        if not 0.0 < fov < 180.0 or min(size) < 1:
            raise InputError(
                f"look_at: fov {fov:g} and size {size}; expected 0 < fov < 180 degrees and at least 1x1 pixels."
            )
        width, height = size
        focal = height / 2 / math.tan(math.radians(fov) / 2)
        intrinsics = torch.tensor(
            [[focal, 0.0, width / 2], [0.0, focal, height / 2], [0.0, 0.0, 1.0]], dtype=torch.float64
        )
        return WorldCamera(intrinsics, look_at(eye, target, up), width, height)

    def in_world(self, scene_to_world: Tensor) -> WorldCamera:
        """The same camera in world units; inverse of `WorldCamera.in_scene`."""
        return WorldCamera(
            self.intrinsics, transform_poses(scene_to_world, self.camera_to_scene), self.width, self.height
        )

    def scaled(self, factor: float) -> Camera:
        """The same view with `factor` times as many pixels each way (at least one); the field of view stays."""
        return self.resized(max(1, round(self.width * factor)), max(1, round(self.height * factor)))

    def resized(self, width: int, height: int) -> Camera:
        """The same view on a raster of another size; the field of view stays."""
        stretch = torch.diag(torch.tensor([width / self.width, height / self.height, 1.0])).to(self.intrinsics)
        return replace(self, intrinsics=stretch @ self.intrinsics, width=width, height=height)


@dataclass(frozen=True)
class WorldCamera:
    """A pinhole camera in the data set's own frame and unit; made by `Camera.look_at` and `Camera.in_world`.

    Attributes:
        intrinsics: (3, 3) K, pixels, for pixel centres at +0.5.
        camera_to_world: (4, 4), x right, y down, z forward.
        width, height: image size in pixels.
    """

    intrinsics: Tensor
    camera_to_world: Tensor
    width: int
    height: int

    def in_scene(self, scene_to_world: Tensor) -> Camera:
        """The same camera in the scene frame of a model or scene with that similarity (4, 4)."""
        pose = transform_poses(invert(scene_to_world.to(self.camera_to_world)), self.camera_to_world)
        return Camera(self.intrinsics, pose, self.width, self.height)


def camera_from_projection(projection: np.ndarray) -> tuple[Tensor, Tensor]:
    """Intrinsics and pose from a projection matrix, by RQ decomposition (OpenCV), as NeuS and IDR do.

    Args:
        projection: (3, 4) P = K [R | t], from the scene to pixels, up to scale.

    Returns:
        intrinsics (3, 3) with K[2, 2] = 1, and camera_to_scene (4, 4), both float64, in the pixel convention of P.
    """
    # P and -P project alike; only one sign puts the camera upright with det R = +1.
    projection = np.asarray(projection, dtype=np.float64)
    if np.linalg.det(projection[:, :3]) < 0:
        projection = -projection
    intrinsics, rotation, center = cv2.decomposeProjectionMatrix(projection)[:3]
    pose = np.eye(4)
    pose[:3, :3] = rotation.T
    pose[:3, 3] = center[:3, 0] / center[3, 0]
    return torch.from_numpy(intrinsics / intrinsics[2, 2]), torch.from_numpy(pose)


def project(points: Tensor, camera: Camera) -> tuple[Tensor, Tensor]:
    """Where points fall in a camera's image.

    Args:
        points: (..., 3), scene frame.

    Returns:
        pixels (..., 2) with centres at +0.5, and depth (...,) along the camera's z; pixels mean nothing where depth <= 0.
    """
    in_camera = transform_points(invert(camera.camera_to_scene), points)
    homogeneous = in_camera @ camera.intrinsics.to(points).T
    depth = in_camera[..., 2]
    return homogeneous[..., :2] / depth.clamp_min(1e-12).unsqueeze(-1), depth


def projection(camera: Camera) -> np.ndarray:
    """(3, 4) float32 from points in the scene to homogeneous pixels whose centres are at integers, as OpenCV has it."""
    shifted = camera.intrinsics.clone()
    shifted[:2, 2] -= 0.5
    return (shifted @ invert(camera.camera_to_scene)[:3]).numpy().astype(np.float32)
