import numpy as np
import pytest
from scipy.spatial import cKDTree

from neus.kernels.thin_points import cpu, reference


@pytest.mark.parametrize("n", [0, 1, 2, 1500])
@pytest.mark.parametrize("offset", [0.0, -1e4])
def test_the_grid_keeps_the_points_that_comparing_all_pairs_keeps(n, offset):
    points = offset + np.random.default_rng(n).uniform(-1, 1, (n, 3))
    np.testing.assert_array_equal(cpu.keeps_of_thinning(points, 0.13), reference.keeps_of_thinning(points, 0.13))


def test_what_stays_is_apart_and_what_goes_is_near_something_that_stays():
    points = np.random.default_rng(0).uniform(0, 1, (4000, 3))
    keeps = cpu.keeps_of_thinning(points, 0.1)
    tree = cKDTree(points[keeps])
    assert not tree.query_pairs(0.1)
    assert tree.query(points[~keeps])[0].max() <= 0.1


@pytest.mark.parametrize("kernels", [cpu, reference])
def test_points_exactly_as_far_apart_as_the_distance_are_too_near(kernels):
    points = np.array([[0.0, 0.0, 0.0], [0.25, 0.0, 0.0], [0.5, 0.0, 0.0], [0.75 + 1e-9, 0.0, 0.0]])
    np.testing.assert_array_equal(kernels.keeps_of_thinning(points, 0.25), [True, False, True, True])
