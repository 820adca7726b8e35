"""Views reduced for matching project scene points where their cameras do, and are matched at useful angles."""

import math

import numpy as np
import pytest
import torch

from neus.geometry.poses import look_at
from neus.scenes.scene import Scene
from neus.stereo.stereo_views import neighbors, stereo_views


@pytest.fixture(scope="module")
def views():
    """24 small images from a circle about the centre."""
    angles = torch.arange(24).double() * (2.0 * math.pi / 24)
    centers = 3.0 * torch.stack([angles.cos(), angles.sin(), torch.zeros(24).double()], dim=-1)
    up = torch.tensor([0.0, 0.0, 1.0]).double()
    poses = torch.stack([look_at(center, torch.zeros(3).double(), up) for center in centers])
    intrinsics = torch.tensor([[90.0, 0.0, 40.0], [0.0, 90.0, 30.0], [0.0, 0.0, 1.0]]).double().expand(24, 3, 3)
    image = np.zeros((60, 80, 3), dtype=np.uint8)
    names = [str(view) for view in range(24)]
    scene = Scene([image] * 24, None, intrinsics, poses, torch.eye(4).double(), names)
    return stereo_views(scene, longest_side=40)


def test_backprojected_pixels_project_to_themselves(views):
    view = views[3]
    pixel = np.array([7.0, 11.0, 1.0])
    point = 2.5 * (view.backprojection() @ pixel) + view.center
    projected = view.matrix @ np.append(point, 1.0)
    assert projected[2] == pytest.approx(2.5)
    assert projected[:2] / projected[2] == pytest.approx(pixel[:2])


def test_neighbors_on_a_circle_are_those_nearest_to_the_best_angle(views):
    # 24 views on a full circle stand 15 degrees apart.
    lists = neighbors(views, count=2)
    for i, found in enumerate(lists):
        assert sorted(found) == sorted([(i - 1) % 24, (i + 1) % 24])
