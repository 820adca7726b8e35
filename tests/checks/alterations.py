"""Ways in which a right scene is spoilt."""

import math
from dataclasses import replace

import cv2
import numpy as np
import torch

from neus.checks.check import check_scene
from neus.geometry.poses import rotation_from_vector
from neus.geometry.similarity import transform_poses
from neus.scenes.region import framed, given_region


def found_in(scene, **options):
    """The findings of a check by their kinds."""
    return {finding.kind: finding for finding in check_scene(scene, **options).findings}


def smaller(scene, width):
    """The same views on images of another width."""
    cameras = [scene.camera(view) for view in range(len(scene))]
    cameras = [camera.scaled(width / camera.width) for camera in cameras]
    sizes = [(camera.width, camera.height) for camera in cameras]
    return replace(
        scene,
        images=[cv2.resize(i, size, interpolation=cv2.INTER_AREA) for i, size in zip(scene.images, sizes, strict=True)],
        masks=[
            cv2.resize(255 * m.astype(np.uint8), size, interpolation=cv2.INTER_AREA) > 127
            for m, size in zip(scene.masks, sizes, strict=True)
        ],
        intrinsics=torch.stack([camera.intrinsics for camera in cameras]),
    )


def reordered(scene, order, images=True, masks=True):
    """Images and masks in another order, cameras as they are."""
    return replace(
        scene,
        images=[scene.images[i] for i in order] if images else scene.images,
        masks=[scene.masks[i] for i in order] if masks else scene.masks,
    )


def swapped(n, view):
    """An order in which a view and the next are exchanged."""
    order = list(range(n))
    order[view], order[view + 1] = view + 1, view
    return order


def rotated(n, by=1):
    """An order moved on by some places."""
    return [(view + by) % n for view in range(n)]


def with_sphere(scene, factor):
    """The same world with a unit sphere `factor` times as large."""
    poses, scale = scene.camera_to_scene.clone(), scene.scene_to_world.clone()
    poses[:, :3, 3] /= factor
    scale[:3, :3] *= factor
    return replace(scene, camera_to_scene=poses, scene_to_world=scale)


def turned(scene, view, degrees, axis):
    """One camera turned about one of its axes."""
    poses = scene.camera_to_scene.clone()
    vector = torch.zeros(3, dtype=poses.dtype)
    vector[axis] = math.radians(degrees)
    poses[view, :3, :3] = poses[view, :3, :3] @ rotation_from_vector(vector)
    return replace(scene, camera_to_scene=poses)


def brightened(scene, views, factor=1.5):
    """Some images with another exposure."""
    return replace(
        scene,
        images=[
            (image * np.float32(factor)).clip(0, 255).round().astype(np.uint8) if view in views else image
            for view, image in enumerate(scene.images)
        ],
    )


def with_intrinsics_scaled(scene, factor):
    """Intrinsics for images `factor` times as large."""
    stretch = torch.diag(torch.tensor([factor, factor, 1.0], dtype=torch.float64))
    return replace(scene, intrinsics=stretch @ scene.intrinsics)


def with_region(scene, settings):
    """The same world, its frame laid by `dataset.center` and `dataset.radius`."""
    poses = transform_poses(scene.scene_to_world, scene.camera_to_scene)
    world = replace(scene, camera_to_scene=poses, scene_to_world=torch.eye(4, dtype=torch.float64))
    return framed(world, given_region(world, settings["dataset.center"], settings["dataset.radius"]))
