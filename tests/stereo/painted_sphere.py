"""Views of a painted sphere, rendered exactly: the colour at each pixel's centre is that of the point its ray meets."""

import numpy as np
import torch

from neus.geometry.poses import look_at
from neus.scenes.scene import Scene

RADIUS, DISTANCE = 0.5, 3.0
WIDTH, HEIGHT, FOCAL = 112, 96, 300.0


def paint(points):
    """(..., ) grey levels at points (..., 3): waves of about 5 to 12 pixels."""
    generator = np.random.default_rng(5)
    waves = generator.standard_normal((10, 3))
    waves *= generator.uniform(50.0, 120.0, (10, 1)) / np.linalg.norm(waves, axis=1, keepdims=True)
    return 128.0 + 30.0 * np.sin(points @ waves.T + generator.uniform(0, 6, 10)).sum(axis=-1) / np.sqrt(2.5)


def sphere_scene(azimuths, elevations=(0.0,), color=paint, masks=False):
    """Views from all azimuths at all elevations, in degrees; what is beside the sphere is black."""
    images, outlines, poses = [], [], []
    for elevation in np.radians(elevations):
        for azimuth in np.radians(azimuths):
            toward = [np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)]
            center = DISTANCE * torch.tensor(toward, dtype=torch.float64)
            pose = look_at(center, torch.zeros(3).double(), torch.tensor([0.0, 0.0, 1.0]).double())
            grey, hits = _rendered(pose.numpy(), color)
            images.append(np.repeat(grey[..., None], 3, axis=-1))
            outlines.append(hits)
            poses.append(pose)
    n = len(poses)
    intrinsics = (
        torch.tensor([[FOCAL, 0.0, WIDTH / 2], [0.0, FOCAL, HEIGHT / 2], [0.0, 0.0, 1.0]]).double().expand(n, 3, 3)
    )
    names = [str(i) for i in range(n)]
    return Scene(images, outlines if masks else None, intrinsics, torch.stack(poses), torch.eye(4).double(), names)


def sphere_distances(resolution, radius=RADIUS):
    axis = np.linspace(-1.0, 1.0, resolution)
    points = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1)
    return (np.linalg.norm(points, axis=-1) - radius).astype(np.float32)


def sphere_depths(view, radius=RADIUS):
    """(H, W) exact depths of a sphere in a `StereoView`, NaN beside it."""
    height, width = view.grey.shape
    y, x = np.mgrid[:height, :width]
    rays = np.stack([x, y, np.ones_like(x)], axis=-1) @ view.backprojection().T
    return _first_hits(view.center, rays, radius).astype(np.float32)


def _rendered(pose, color):
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    rays = np.stack([(x - WIDTH / 2) / FOCAL, (y - HEIGHT / 2) / FOCAL, np.ones_like(x)], axis=-1) @ pose[:3, :3].T
    depths = _first_hits(pose[:3, 3], rays, RADIUS)
    hits = np.isfinite(depths)
    grey = np.where(hits, color(pose[:3, 3] + rays * np.where(hits, depths, 1.0)[..., None]), 0.0)
    return np.clip(np.rint(grey), 0, 255).astype(np.uint8), hits


def _first_hits(center, rays, radius):
    """Along rays of depth 1 from a centre: the depth at which each enters the sphere, NaN for none."""
    a, b, c = (rays**2).sum(axis=-1), rays @ center, center @ center - radius**2
    square = b * b - a * c
    return np.where(square > 0, (-b - np.sqrt(np.maximum(square, 0.0))) / a, np.nan)
