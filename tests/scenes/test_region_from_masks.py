from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from neus.errors import InputError
from neus.geometry.cameras import project
from neus.geometry.poses import look_at
from neus.scenes.region import in_frame
from neus.scenes.region_from_masks import region_from_masks
from tests.scenes.layouts import OBJECT_RADIUS, ring_scene

PLAIN_WORLD = torch.eye(4, dtype=torch.float64)


@pytest.fixture(scope="module")
def scene():
    return ring_scene([(60, 45)] * 12, PLAIN_WORLD)


def holds_the_object_closely(region):
    return float(region.center.norm()) + OBJECT_RADIUS < region.radius < 1.4 * OBJECT_RADIUS


def test_the_sphere_around_the_hull_holds_the_object_closely(scene):
    assert holds_the_object_closely(region_from_masks(scene))


def test_one_black_mask_says_nothing(scene):
    masks = [np.zeros_like(scene.masks[0]), *scene.masks[1:]]
    assert holds_the_object_closely(region_from_masks(replace(scene, masks=masks)))


def test_larger_images_give_the_same_sphere(scene):
    larger = ring_scene([(600, 450)] * 12, PLAIN_WORLD)
    found, expected = region_from_masks(larger), region_from_masks(scene)
    assert float((found.center - expected.center).norm()) < 0.08 and abs(found.radius - expected.radius) < 0.08


def test_a_thin_part_is_not_lost():
    # A needle from the sphere, one pixel wide in the images.
    scene = ring_scene([(120, 90)] * 8, PLAIN_WORLD)
    t = torch.linspace(0.0, 1.0, 400, dtype=torch.float64)[:, None]
    needle = t * torch.tensor([0.0, 0.0, 1.15], dtype=torch.float64)
    masks = []
    for view, mask in enumerate(scene.masks):
        pixels = project(needle, scene.camera(view))[0].long()
        mask = mask.copy()
        mask[pixels[:, 1].clamp(0, 89), pixels[:, 0].clamp(0, 119)] = True
        masks.append(mask)
    region = region_from_masks(replace(scene, masks=masks))
    assert float((needle[-1] - region.center).norm()) < region.radius


def test_masks_without_a_point_in_common_are_refused(scene):
    masks = []
    for view, mask in enumerate(scene.masks):
        corner = np.zeros_like(mask)
        corner[:4, :4] = view % 2 == 0
        corner[-4:, -4:] = view % 2 == 1
        masks.append(corner)
    with pytest.raises(InputError, match="the masks have no point in common"):
        region_from_masks(replace(scene, masks=masks))


def test_a_capture_from_close_by_has_a_region_though_no_place_is_seen_by_most_views(scene):
    """Every second camera looks at one end of a long object, the others at its other end."""
    poses, masks = [], []
    for view, pose in enumerate(scene.camera_to_scene):
        end = torch.tensor([0.0, 1.2 if view % 2 else -1.2, 0.0], dtype=torch.float64)
        poses.append(look_at(pose[:3, 3] + end, end, torch.tensor([0.0, -1.0, 0.0]).double()))
    close = replace(scene, camera_to_scene=torch.stack(poses))
    close.intrinsics[:, [0, 1], [0, 1]] *= 1.8
    ends = torch.linspace(-1.6, 1.6, 60, dtype=torch.float64)
    angles = torch.linspace(0.0, 6.28, 40, dtype=torch.float64)
    y, a = torch.meshgrid(ends, angles, indexing="ij")
    rod = torch.stack([0.3 * a.cos(), y, 0.3 * a.sin()], dim=-1).reshape(-1, 3)
    for view in range(len(close)):
        mask = np.zeros_like(scene.masks[0])
        camera = close.camera(view)
        pixels, depth = project(rod, camera)
        columns, rows = pixels[in_frame(pixels, depth, camera)].long().T.numpy()
        mask[rows, columns] = True
        masks.append(cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((9, 9), np.uint8)) > 0)
    region = region_from_masks(replace(close, masks=masks))
    assert float(region.center.norm()) < 1.5 and 0.5 < region.radius < 3.0
