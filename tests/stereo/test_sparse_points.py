from dataclasses import replace

import numpy as np
import pytest
import torch

from neus.geometry.cup import object_sdf
from neus.stereo.sparse_points import on_object, outside_masks, triangulated
from tests.checks.alterations import reordered, rotated, smaller


@pytest.fixture(scope="module")
def sparse(right, right_pairs):
    return triangulated(right, right_pairs, set())


def test_points_seen_on_the_object_lie_on_its_surface(right, sparse):
    points = torch.from_numpy(sparse.points[on_object(right, sparse)]).float()
    distances = object_sdf(points).abs()
    # A pixel is a hundredth of the scene's unit at the object.
    assert len(points) > 300 and float(distances.median()) < 0.02 and float(distances.quantile(0.9)) < 0.1


def test_points_off_the_object_are_labelled_so(right, sparse):
    label = on_object(right, sparse)
    assert 0.1 < label.mean() < 0.95
    assert on_object(replace(right, masks=None), sparse).all()


def test_views_left_out_have_no_points(right, right_pairs):
    views = triangulated(right, right_pairs, {3, 4}).views
    assert len(views) and not np.isin(views, [3, 4]).any()


def test_right_masks_hold_all_points_of_the_object_also_in_small_images(right, sparse):
    assert np.nanmax(outside_masks(right, sparse)) < 0.005


def test_masks_of_other_views_do_not_hold_them(right, sparse):
    scene = reordered(right, rotated(len(right), 3), images=False)
    assert np.nanmax(outside_masks(scene, sparse)) > 0.05


def test_in_small_images_rays_must_meet_at_larger_angles(right, right_pairs):
    # One pixel of 20 is two and a half degrees of this field of view, ten times of it more than neighbours are apart.
    tiny, scaled = smaller(right, 20), [replace(pair, pixels=pair.pixels / 12) for pair in right_pairs]
    sparse = triangulated(tiny, scaled, set())
    assert least_angle(right, triangulated(right, right_pairs, set())) < 20.0
    assert len(sparse.points) == 0 or least_angle(tiny, sparse) > 20.0


def least_angle(scene, sparse):
    """Between the two rays of each point, degrees."""
    centers = scene.camera_to_scene[:, :3, 3].numpy()
    rays = sparse.points[:, None] - centers[sparse.views]
    rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
    return np.degrees(np.arccos((rays[:, 0] * rays[:, 1]).sum(-1).max()))
