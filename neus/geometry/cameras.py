"""Pinhole cameras: intrinsics, pose and image size. Pixel centres lie at +0.5."""

from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from torch import Tensor

from neus.geometry.poses import invert
from neus.geometry.similarity import transform_points


@dataclass(frozen=True)
class Camera:
    """A pinhole camera in the scene frame.

    Attributes:
        intrinsics: (3, 3) K, pixels, for pixel centres at +0.5.
        camera_to_scene: (4, 4), x right, y down, z forward.
        width, height: image size in pixels.
    """

    intrinsics: Tensor
    camera_to_scene: Tensor
    width: int
    height: int

    @property
    def center(self) -> Tensor:
        """(3,) the camera centre, scene units."""
        return self.camera_to_scene[:3, 3]

    @property
    def forward(self) -> Tensor:
        """(3,) the unit viewing axis in the scene frame."""
        return torch.nn.functional.normalize(self.camera_to_scene[:3, 2], dim=0)

    def scaled(self, factor: float) -> "Camera":
        """The same view with `factor` times as many pixels each way (at least one); the field of view stays."""
        return self.resized(max(1, round(self.width * factor)), max(1, round(self.height * factor)))

    def resized(self, width: int, height: int) -> "Camera":
        """The same view on a raster of another size; the field of view stays."""
        stretch = torch.diag(torch.tensor([width / self.width, height / self.height, 1.0])).to(self.intrinsics)
        return replace(self, intrinsics=stretch @ self.intrinsics, width=width, height=height)


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
