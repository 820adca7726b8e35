"""Minimal surfaces against closed forms: half spaces, capped holes, weights, thresholds of area against votes."""

import numpy as np
import pytest

from neus.stereo.minimal_surface import minimal_surface
from tests.stereo.sphere_views import lattice


@pytest.mark.parametrize("size", [17, 48, 50, 64, 97])
def test_costs_of_either_sign_part_at_their_plane(size):
    x = lattice(size)[0]
    costs = np.where(x < 0.13, -1.0, 1.0)
    inside = minimal_surface(costs, np.ones_like(costs)) > 0.5
    assert np.array_equal(inside, x < 0.13)


@pytest.mark.parametrize("size", [32, 61])
def test_what_is_unknown_between_two_planes_is_parted_by_one_where_surface_is_cheap(size):
    x = lattice(size)[0]
    costs = np.where(x < -0.7, -1.0, np.where(x > 0.7, 1.0, 0.0))
    weights = np.ones_like(costs)
    cheap = size // 3
    weights[cheap] = 0.2
    inside = minimal_surface(costs, weights, tolerance=1e-3) > 0.5
    assert np.array_equal(inside, np.arange(size)[:, None, None] * np.ones_like(costs) <= cheap)


def test_a_hole_in_the_votes_of_a_sphere_closes_with_a_flat_cap():
    points = lattice(64)
    radius, step = np.linalg.norm(points, axis=0), 2.0 / 63
    # Votes 2 steps to both sides of a sphere of radius 0.7, none beyond z = 0.45.
    costs = np.where(abs(radius - 0.7) < 2 * step, np.sign(radius - 0.7), 0.0)
    costs[points[2] > 0.45] = 0.0
    costs[radius > 0.95] = 1.0
    inside = minimal_surface(costs, np.ones_like(costs), tolerance=2e-3) > 0.5
    expected = (radius < 0.7) & (points[2] < 0.45)
    # Differences along axes know edges only to a vertex; the cap may lie a step or two to either side.
    assert (inside != expected).sum() < 0.06 * expected.sum()
    middle = inside[32, 32]
    assert middle[32] and abs(points[2, 32, 32][middle].max() - 0.45) < 4 * step
    assert not inside[points[2] > 0.45 + 4 * step].any()


@pytest.mark.parametrize(("radius", "stays"), [(0.45, True), (0.2, False)])
def test_a_ball_stays_if_its_votes_outweigh_its_area(radius, stays):
    # Cost of a ball of radius r in steps: 4 pi r^2 g - 4/3 pi r^3 |c|: it stays if r > 3 g / |c|.
    distances, step = np.linalg.norm(lattice(40), axis=0), 2.0 / 39
    costs = np.where(distances < radius, -3.0 / (0.32 / step), 1.0)
    inside = minimal_surface(costs, np.ones_like(costs), tolerance=2e-3) > 0.5
    assert inside.any() == stays
    if stays:
        assert (inside != (distances < radius)).sum() < 0.15 * inside.sum()


def test_no_costs_give_no_surface():
    inside = minimal_surface(np.zeros((20, 21, 22)), np.ones((20, 21, 22))) > 0.5
    assert inside.all() or not inside.any()
    assert (minimal_surface(np.full((9, 9, 9), 0.1), np.ones((9, 9, 9))) < 1e-3).all()
    assert (minimal_surface(np.full((9, 9, 9), -0.1), np.ones((9, 9, 9))) > 0.999).all()
