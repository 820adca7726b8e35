"""Depths of a textured sphere before a textured wall, seen from an arc, against their closed form."""

import dataclasses

import numpy as np
import pytest
import torch

from neus.geometry.poses import look_at
from neus.scenes.scene import Scene
from neus.stereo.depth_maps import consistent, depth_maps, matched_depths, open_spans
from neus.stereo.stereo_views import DepthEstimate, StereoView, stereo_views

WIDTH, HEIGHT, FOCAL, RADIUS, WALL = 96, 72, 100.0, 0.7, -1.5


def paint(points):
    """Grey levels of points (..., 3): waves from two to about eight pixels long that do not repeat."""
    generator = np.random.default_rng(5)
    waves = generator.normal(size=(3, 24)) * generator.uniform(8.0, 22.0, 24)
    return 128.0 + 22.0 * np.sin(points @ waves + generator.uniform(0, 6, 24)).sum(axis=-1) / np.sqrt(6.0)


def depths_of(center, back, radius):
    """(H, W) depths of the nearest of sphere and wall z = -1.5, and (H, W) which pixels show the sphere."""
    v, u = np.indices((HEIGHT, WIDTH))
    rays = np.stack([u, v, np.ones_like(u)], axis=-1) @ back.T
    a, b, c = (rays**2).sum(-1), rays @ center, center @ center - radius**2
    root = b**2 - a * c
    is_sphere = root > 0
    return np.where(is_sphere, (-b - np.sqrt(np.maximum(root, 0))) / a, (WALL - center[2]) / rays[..., 2]), is_sphere


def seen_from_an_arc(n_views=7, with_masks=False, paint=paint):
    """Views 8 degrees apart, 3 units from the centre, and the true depths."""
    angles = np.radians(8.0) * (np.arange(n_views) - (n_views - 1) / 2)
    centers = 3.0 * np.stack([np.sin(angles), 0.1 * np.ones(n_views), np.cos(angles)], axis=-1)
    up = torch.tensor([0.0, 1.0, 0.0]).double()
    poses = torch.stack([look_at(torch.from_numpy(center), torch.zeros(3).double(), up) for center in centers])
    intrinsics = torch.tensor([[FOCAL, 0, WIDTH / 2], [0, FOCAL, HEIGHT / 2], [0, 0, 1]]).double().expand(n_views, 3, 3)
    blank = [np.zeros((HEIGHT, WIDTH, 3), np.uint8)] * n_views
    scene = Scene(blank, None, intrinsics, poses, torch.eye(4).double(), [str(view) for view in range(n_views)])
    views, depths, masks = stereo_views(scene, WIDTH), [], []
    for i, view in enumerate(views):
        true, is_sphere = depths_of(view.center, view.backprojection(), RADIUS)
        v, u = np.indices(true.shape)
        points = true[..., None] * (np.stack([u, v, np.ones_like(u)], axis=-1) @ view.backprojection().T) + view.center
        grey = np.clip(np.rint(paint(points)), 0, 255).astype(np.float32)
        views[i] = dataclasses.replace(view, grey=grey, mask=is_sphere if with_masks else None)
        depths.append(true)
        masks.append(is_sphere)
    return views, depths, masks


@pytest.fixture(scope="module")
def arc():
    return seen_from_an_arc()


@pytest.fixture(scope="module")
def found(arc):
    return depth_maps(arc[0], open_spans(arc[0]))


def errors(estimate, true):
    """In steps, at the known pixels."""
    return (abs(1.0 / estimate.depths - 1.0 / true) / estimate.step)[np.isfinite(estimate.depths)]


def test_depths_of_sphere_and_wall_are_right_within_a_fraction_of_a_step(arc, found):
    for estimate, true in zip(found, arc[1], strict=True):
        off = errors(estimate, true)
        assert np.isfinite(estimate.depths).mean() > 0.6
        assert np.median(off) < 0.15 and (off < 1.0).mean() > 0.92


def test_scores_are_those_of_known_depths(found):
    for estimate in found:
        is_known = np.isfinite(estimate.depths)
        assert (estimate.scores[~is_known] == 0.0).all() and estimate.scores[is_known].min() > 0.15
        assert np.median(estimate.scores[is_known]) > 0.9


def test_with_masks_only_the_object_is_known_and_as_well(arc):
    views, depths, masks = seen_from_an_arc(with_masks=True)
    for estimate, true, mask in zip(depth_maps(views, open_spans(views)), depths, masks, strict=True):
        is_known = np.isfinite(estimate.depths)
        assert not is_known[~mask].any() and is_known[mask].mean() > 0.8
        # Parallax to the next view, 8 degrees and 3 units away: its error is a small fraction of a pixel.
        off = FOCAL * 3.0 * np.radians(8.0) * estimate.step * errors(estimate, true)
        assert np.median(off) < 0.12


def test_uniform_images_show_nothing_and_noise_hardly_anything():
    generator = np.random.default_rng(0)
    for limit, levels in ((0.0, lambda p: np.full(p.shape[:-1], 77.0)), (0.15, lambda p: generator.uniform(0, 255, p.shape[:-1]))):
        views, _, _ = seen_from_an_arc(n_views=4, paint=levels)
        assert np.mean([np.isfinite(estimate.depths).mean() for estimate in depth_maps(views, open_spans(views))]) <= limit


def test_a_view_with_the_image_of_another_place_is_not_confirmed(arc):
    views = list(arc[0])
    views[3] = dataclasses.replace(views[3], grey=views[3].grey[::-1, ::-1].copy())
    estimates = depth_maps(views, open_spans(views))
    known = [np.isfinite(estimate.depths).mean() for estimate in estimates]
    assert known[3] < 0.3 < 0.8 < known[2]
    assert np.median(errors(estimates[5], arc[1][5])) < 0.25


def test_consistent_keeps_what_enough_others_confirm():
    # Three cameras in one place: the middle columns of the third have another depth.
    matrix = np.eye(3, 4)
    depths = [np.full((3, 4), 2.0, np.float32) for _ in range(3)]
    depths[2][:, 1:3] = 3.0
    estimates = [DepthEstimate(matrix, d, np.full((3, 4), 0.5, np.float32), 0.02) for d in depths]
    kept = consistent(estimates, [[1, 2], [0, 2], [0, 1]])
    expected = [[True, False, False, True]] * 3
    for estimate in kept:
        np.testing.assert_array_equal(np.isfinite(estimate.depths), expected)
    alone = consistent(estimates, [[1, 2], [0, 2], [0, 1]], least_agreeing=1)
    assert np.isfinite(alone[0].depths).all() and not np.isfinite(alone[2].depths[:, 1:3]).any()
    assert not np.isfinite(consistent(estimates, [[1], [0], []], least_score=0.6)[0].depths).any()


def test_the_number_of_threads_changes_nothing(arc, found):
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1 if before > 1 else 2)
        for one, other in zip(depth_maps(arc[0], open_spans(arc[0])), found, strict=True):
            np.testing.assert_array_equal(one.depths, other.depths)
            np.testing.assert_array_equal(one.scores, other.scores)
    finally:
        torch.set_num_threads(before)


def test_a_view_without_neighbours_or_with_an_empty_mask_knows_nothing(arc):
    view = arc[0][0]
    empty = dataclasses.replace(view, mask=np.zeros(view.grey.shape, bool))
    for given in (matched_depths(view, [], 1.0, 4.0), matched_depths(empty, arc[0][1:3], 1.0, 4.0)):
        assert not np.isfinite(given.depths).any() and given.step > 0.0


def test_progress_reaches_one(arc):
    told = []
    depth_maps(arc[0][:3], open_spans(arc[0][:3]), told.append)
    assert max(told) == 1.0 and len(told) == 3


def test_spans_begin_before_the_region_and_end_behind_it():
    center = np.array([0.0, 0.0, -3.0])
    view = StereoView(0, None, np.zeros((2, 2)), None, None, center, np.array([0.0, 0.0, 1.0]), 1.0)
    masked = dataclasses.replace(view, mask=np.ones((2, 2), bool))
    np.testing.assert_allclose(open_spans([view, masked]), [[1.95, 12.0], [1.95, 4.05]])
