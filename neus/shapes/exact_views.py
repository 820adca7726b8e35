"""Depth maps of shapes that are known exactly, for experiments."""

import math

import numpy as np
import torch

from neus.geometry.cameras import Camera
from neus.geometry.poses import look_at
from neus.geometry.rays import intersect_sphere
from neus.rendering.sphere_tracing import trace
from neus.shapes.depth_views import DepthView
from neus.shapes.truth import Truth

# A camera beside and above the object, two and a half radii away; 64 x 64 pixels.
DISTANCE, ELEVATION, FOV, SIZE = 2.5, math.radians(25.0), math.radians(48.0), 64
TOLERANCE, DIFFERENCE = 1e-5, 1e-5


def camera_around(azimuth: float, elevation: float = ELEVATION, distance: float = DISTANCE, size: int = SIZE) -> Camera:
    """A camera that looks at the origin, z up; angles in radians."""
    flat = math.cos(elevation)
    center = distance * torch.tensor([flat * math.cos(azimuth), flat * math.sin(azimuth), math.sin(elevation)], dtype=torch.float64)
    pose = look_at(center, torch.zeros(3, dtype=torch.float64), torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64))
    focal = size / 2.0 / math.tan(FOV / 2.0)
    intrinsics = torch.tensor([[focal, 0.0, size / 2.0], [0.0, focal, size / 2.0], [0.0, 0.0, 1.0]], dtype=torch.float64)
    return Camera(intrinsics, pose, size, size)


def exact_view(truth: Truth, camera: Camera, with_normals: bool = False) -> DepthView:
    """The depth map of an exact shape, and its normals if they are asked for."""

    def sdf(points: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(truth.sdf(points.numpy()))

    blank = DepthView(np.zeros((camera.height, camera.width)), camera)
    origins, directions = blank.rays()
    enters, leaves, hits = intersect_sphere(origins, directions)
    found = trace(sdf, origins[hits], directions[hits], enters[hits], leaves[hits], tolerance=TOLERANCE)
    t = torch.full((len(origins),), math.nan, dtype=torch.float64)
    t[hits] = torch.where(found.hit, found.t, math.nan)
    depth = (t * (directions @ camera.forward.double())).numpy().reshape(camera.height, camera.width)
    view = DepthView(np.nan_to_num(depth, nan=0.0), camera)
    if not with_normals:
        return view
    points = np.nan_to_num(view.points()).reshape(-1, 3)
    steps = DIFFERENCE * np.eye(3)
    slopes = np.stack([truth.sdf(points + step) - truth.sdf(points - step) for step in steps], axis=-1)
    normals = slopes / np.maximum(np.linalg.norm(slopes, axis=1, keepdims=True), 1e-12)
    return view._replace(normals=normals.reshape(*depth.shape, 3))


def is_visible(truth: Truth, points: np.ndarray, camera: Camera, slack: float = 0.01) -> np.ndarray:
    """(n,) bool: whether surface points (n, 3) are seen by a camera: the way from it to each is free."""
    center = camera.center.double().numpy()
    offsets = points - center
    lengths = np.linalg.norm(offsets, axis=1)
    directions = torch.from_numpy(offsets / lengths[:, None])
    origins = torch.from_numpy(center).expand_as(directions)
    far = torch.from_numpy(lengths)
    near = (far - 2.1).clamp_min(0.0)  # the ball's diameter before the point nothing can be in the way
    found = trace(lambda p: torch.from_numpy(truth.sdf(p.numpy())), origins, directions, near, far, tolerance=TOLERANCE)
    return ((found.t >= far - slack) | ~found.hit).numpy()
