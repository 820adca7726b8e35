"""The vertical of a captured scene: cameras are held level, and objects stand on something."""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from neus.geometry.cameras import Camera
from neus.rendering.paths import common_up
from neus.stereo.support_plane import LEAST_FRACTION, MOST_BELOW, dominant_plane

# Cameras that are rolled count less, as one over their roll but never more than at this one (radians): half of hand-held images
# are rolled by less than two degrees, a tenth by more than fifteen.
LEVEL = math.radians(1.0)
N_ROUNDS = 20
# The horizontal axes of the cameras must spread this much (variance) in a plane, or they say nothing of its normal.
LEAST_SPREAD = 0.03
# Upward axes of views from all around and above have a mean longer than this.
LEAST_MEAN = 0.1
# A plane is what the object stands on if its normal is this near to the cameras' vertical, degrees; else it is a wall, or the object.
NEAR_VERTICAL = 15.0
# Points lie on a plane within this, as a fraction of the cameras' distance from the object; those within so many radii are looked at.
TOLERANCE, REACH = 0.004, 1.5
FEWEST_POINTS = 200


@dataclass(frozen=True)
class Vertical:
    """A unit vector upwards (3,) float64, and what it was found from, in words."""

    up: Tensor
    found_from: str


def vertical_of(cameras: list[Camera], points: Tensor, are_noted: bool = False) -> Vertical:
    """The vertical of cameras and sparse points (P, 3), in their common frame, whose unit sphere holds the object.

    It is the normal of the plane that the object stands on, if one is found near the vertical of the cameras (`level_up`); else that.
    """
    up = level_up(cameras, are_noted)
    normal = _support_normal(cameras, points, up)
    return Vertical(up, "cameras") if normal is None else Vertical(normal, "support plane")


def level_up(cameras: list[Camera], are_noted: bool = False) -> Tensor:
    """(3,) the direction most nearly orthogonal to the horizontal axes x of all cameras, with rolled ones counting less.

    u = argmin sum |x . u|, by least squares with weights 1 / |x . u| (Weiszfeld 1937). It begins at `common_up`, which also says
    which way is up; that itself is the answer where the axes are all alike or point everywhere.

    Args:
        cameras: at least one.
        are_noted: whether `Camera.turn` is known of all: then it begins at the mean of the images' upward axes, and images on their
            side are not looked for.
    """
    start = up = _mean_up(cameras) if are_noted else common_up(cameras)
    sides = torch.stack([_right(camera) for camera in cameras])
    spread = torch.linalg.eigvalsh(sides.T @ sides / len(sides))
    if spread[1] < LEAST_SPREAD:
        return start
    for _ in range(N_ROUNDS):
        weights = 1.0 / (sides @ up).abs().clamp_min(LEVEL)
        axes = torch.linalg.eigh((weights[:, None] * sides).T @ sides).eigenvectors
        up = axes[:, 0] * torch.sign(axes[:, 0] @ start)
    return up if float(up @ start) > math.cos(math.radians(2.0 * NEAR_VERTICAL)) else start


def _mean_up(cameras: list[Camera]) -> Tensor:
    """(3,) the mean of the axes that point up in the images as they are shown; where these cancel out, `common_up`."""
    mean = torch.stack([_right(replace(camera, turn=camera.turn + 1)) for camera in cameras]).mean(dim=0)
    return torch.nn.functional.normalize(mean, dim=0) if float(mean.norm()) > LEAST_MEAN else common_up(cameras)


def _right(camera: Camera) -> Tensor:
    """(3,) the axis that points right in the image as it is shown upright."""
    x, y = camera.camera_to_scene[:3, 0], camera.camera_to_scene[:3, 1]
    return (x, -y, -x, y)[camera.turn % 4]


def _support_normal(cameras: list[Camera], points: Tensor, up: Tensor) -> Tensor | None:
    """(3,) the normal of the plane below the object, or None: too few points, no plane, a wall, or one with much below it."""
    near = points[points.norm(dim=-1) < REACH]
    if len(near) < FEWEST_POINTS:
        return None
    centers = torch.stack([camera.center for camera in cameras])
    tolerance = TOLERANCE * float(centers.norm(dim=-1).median())
    # Others than horizontal planes may have more points: only those that lie below what is seen are asked for.
    plane = dominant_plane(near.numpy(), centers.numpy(), tolerance)
    if plane is None:
        return None
    heights = plane.heights(near.numpy())
    is_support = (abs(heights) < tolerance).mean() >= LEAST_FRACTION and (heights < -2.0 * tolerance).mean() <= MOST_BELOW
    normal = torch.from_numpy(plane.normal)
    is_level = float(normal @ up) > math.cos(math.radians(NEAR_VERTICAL))
    return normal if is_support and is_level else None
