"""Votes of all views on a lattice: exact depth maps of a sphere, masks, plain backgrounds, threads."""

import numpy as np
import torch

from neus.stereo.votes import beyond_mask, votes_of_depths
from tests.stereo.sphere_views import SIZE, estimate_of, lattice, sphere_depths, views_around

REACH, THICKNESS, RESOLUTION = 0.08, 0.3, 40


def sphere_votes(views, radius=0.6, seen_through=None):
    estimates = [estimate_of(view, sphere_depths(view, radius)) for view in views]
    return votes_of_depths(views, estimates, RESOLUTION, REACH, THICKNESS, seen_through)


def test_near_votes_lie_about_the_sphere_and_their_mean_tells_its_sides():
    votes, distances = sphere_votes(views_around()), np.linalg.norm(lattice(RESOLUTION), axis=0)
    # Along slanted rays the surface is farther than at right angles: distances along them exceed those to the sphere.
    assert votes.near[abs(distances - 0.6) < 0.02].min() >= 3
    assert not votes.near[abs(distances - 0.6) > REACH + 0.05].any()
    is_known = (votes.near >= 3) & (abs(distances - 0.6) > 0.02)
    assert (np.sign(votes.mean[is_known]) == np.sign(distances[is_known] - 0.6)).mean() > 0.99
    assert votes.behind[(distances > 0.4) & (distances < 0.5)].min() >= 3 and not votes.behind[distances > 0.7].any()
    assert not votes.mean[votes.near == 0].any() and not votes.free[distances < 0.6].any()


def test_space_outside_of_masks_and_before_plain_backgrounds_is_free():
    radius = np.linalg.norm(lattice(RESOLUTION), axis=0)
    plain = views_around()
    assert not sphere_votes(plain).free[(radius > 0.95)].all()
    depths = [sphere_depths(view, 0.6) for view in plain]
    for votes in (
        sphere_votes(views_around(masks=[np.isfinite(depth) for depth in depths])),
        sphere_votes(plain, seen_through=[np.isnan(depth) for depth in depths]),
    ):
        assert votes.free[(radius > 0.8) & (radius < 0.95)].min() >= 3
        # Outlines end at the middle of a pixel, which is 0.04 wide.
        assert not votes.free[radius < 0.57].any()


def test_depths_outside_of_masks_are_not_the_objects():
    views = views_around(masks=[np.isfinite(sphere_depths(view, 0.3)) for view in views_around()])
    votes, radius = sphere_votes(views), np.linalg.norm(lattice(RESOLUTION), axis=0)
    assert (
        votes.near[(radius > 0.5) & (radius < 0.7)].mean()
        < 0.35 * sphere_votes(views_around()).near[(radius > 0.5) & (radius < 0.7)].mean()
    )


def test_a_mask_reaches_its_slack_further_and_an_empty_one_says_nothing():
    mask = np.zeros((SIZE, SIZE), bool)
    assert not beyond_mask(mask, 1.5).any()
    mask[20, 20] = True
    allowed = ~beyond_mask(mask, 1.5)
    assert allowed.sum() == 9 and allowed[19:22, 19:22].all()


def test_any_number_of_threads_casts_the_same_votes():
    found, before = [], torch.get_num_threads()
    try:
        for n in (1, 3):
            torch.set_num_threads(n)
            found.append(sphere_votes(views_around(6)))
    finally:
        torch.set_num_threads(before)
    for a, b in zip(*found, strict=True):
        np.testing.assert_array_equal(a, b)
