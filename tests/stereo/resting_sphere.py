"""Views of a painted sphere that rests on a painted plane without end, rendered exactly."""

import numpy as np
import torch

from neus.geometry.poses import look_at
from neus.scenes.scene import Scene
from tests.stereo.painted_sphere import RADIUS, paint

DISTANCE, WIDTH, HEIGHT, FOCAL = 4.0, 128, 96, 160.0
# The plane z = -RADIUS, painted as far as this from the origin; beyond it all is black.
PLANE_REACH = 12.0


def resting_sphere_scene(azimuths, elevations, with_sphere=True):
    """Views that look at the origin, or at the plane below it without a sphere, from all azimuths at all elevations, in degrees."""
    images, poses = [], []
    target = torch.tensor([0.0, 0.0, 0.0 if with_sphere else -RADIUS]).double()
    for elevation in np.radians(elevations):
        for azimuth in np.radians(azimuths):
            toward = [np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)]
            pose = look_at(DISTANCE * torch.tensor(toward).double(), target, torch.tensor([0.1, 0.2, 1.0]).double())
            images.append(_rendered(pose.numpy(), with_sphere))
            poses.append(pose)
    intrinsics = torch.tensor([[FOCAL, 0.0, WIDTH / 2], [0.0, FOCAL, HEIGHT / 2], [0.0, 0.0, 1.0]]).double()
    names = [f"{i:02d}.png" for i in range(len(poses))]
    return Scene(images, None, intrinsics.repeat(len(poses), 1, 1), torch.stack(poses), torch.eye(4).double(), names)


def _rendered(pose, with_sphere):
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    rays = np.stack([(x - WIDTH / 2) / FOCAL, (y - HEIGHT / 2) / FOCAL, np.ones_like(x)], axis=-1) @ pose[:3, :3].T
    origin = pose[:3, 3]
    a, b, c = (rays**2).sum(-1), rays @ origin, origin @ origin - RADIUS**2
    square = b * b - a * c
    with np.errstate(invalid="ignore", divide="ignore"):
        sphere = np.where(square > 0, (-b - np.sqrt(square)) / a, np.inf) if with_sphere else np.full_like(b, np.inf)
        plane = (-RADIUS - origin[2]) / rays[..., 2]
    plane = np.where(plane > 0, plane, np.inf)
    depths = np.minimum(sphere, plane)
    points = origin + rays * np.where(np.isfinite(depths), depths, 1.0)[..., None]
    is_painted = np.isfinite(depths) & (np.linalg.norm(points, axis=-1) < PLANE_REACH)
    # The sphere is lighter and its waves run on from the plane's; they are 6 to 15 pixels long.
    grey = np.where(is_painted, 0.8 * paint(0.4 * points) + 50.0 * (sphere < plane), 0.0)
    return np.repeat(np.clip(np.rint(grey), 0, 255).astype(np.uint8)[..., None], 3, axis=-1)
