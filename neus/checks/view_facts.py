"""Plain facts of a scene's views: how much of each the object's sphere and mask take, and where the cameras stand."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from neus.geometry.rays import intersect_sphere, pixel_centers, rays_from_pixels
from neus.scenes.region_from_masks import reduced
from neus.scenes.scene import Scene

# Rays along the longer side of each view: fractions of pixels to about a hundredth.
SIDE = 64


@dataclass(frozen=True)
class ViewFacts:
    """Measures of each view, all (V,), NaN where there is no mask.

    Attributes:
        mask_fraction: fraction of the pixels on the object.
        sphere_fraction: fraction of the pixels whose ray meets the unit sphere.
        mask_outside: fraction of the mask's pixels whose ray misses the unit sphere.
        distance: of the camera from the centre of the unit sphere, scene units.
        off_center: angle between viewing axis and the direction to that centre, degrees.
        largest_angle: between the directions from that centre to any two cameras, degrees; one number.
    """

    mask_fraction: NDArray
    sphere_fraction: NDArray
    mask_outside: NDArray
    distance: NDArray
    off_center: NDArray
    largest_angle: float


def view_facts(scene: Scene) -> ViewFacts:
    """The facts of all views."""
    n = len(scene)
    mask_fraction, sphere_fraction, mask_outside = (np.full(n, np.nan) for _ in range(3))
    for view in range(n):
        has_mask = scene.masks is not None
        camera = scene.camera(view)
        mask = scene.masks[view] if has_mask else np.zeros((camera.height, camera.width), bool)
        small, shrunk = reduced(camera, mask, SIDE)
        pixels = pixel_centers(small.width, small.height).reshape(-1, 2).to(small.intrinsics)
        rays = rays_from_pixels(pixels, small.intrinsics, small.camera_to_scene)
        meets = intersect_sphere(*rays)[2].reshape(small.height, small.width).numpy()
        sphere_fraction[view] = meets.mean()
        if has_mask:
            mask_fraction[view] = mask.mean()
            if mask.any():
                mask_outside[view] = shrunk[~meets].sum(dtype=np.float64) / max(shrunk.sum(dtype=np.float64), 1.0)
    centers = scene.camera_to_scene[:, :3, 3].numpy()
    distance = np.linalg.norm(centers, axis=-1)
    toward = centers / np.maximum(distance, 1e-12)[:, None]
    axes = torch.nn.functional.normalize(scene.camera_to_scene[:, :3, 2], dim=-1).numpy()
    off_center = np.degrees(np.arccos(np.clip(-(toward * axes).sum(-1), -1.0, 1.0)))
    largest = float(np.degrees(np.arccos(np.clip((toward @ toward.T).min(), -1.0, 1.0))))
    return ViewFacts(mask_fraction, sphere_fraction, mask_outside, distance, off_center, largest)
