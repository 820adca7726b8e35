import numpy as np
import pytest
import torch

from neus.geometry.cameras import project
from neus.stereo.epipolar import (
    LEAST_TOLERANCE,
    TOLERANCE,
    better_cameras,
    better_shift,
    fundamental,
    misfits,
    pair_fit,
    sampson_distances,
    tolerance,
)
from neus.stereo.matches import match_neighbours
from tests.checks.alterations import reordered, rotated, smaller, swapped, with_intrinsics_scaled

CHAIN = [(view, view + step) for view in range(10) for step in (1, 2, 3) if view + step < 10]


def test_images_of_a_point_lie_on_each_others_epipolar_lines(right):
    points = torch.rand(50, 3, dtype=torch.float64) - 0.5
    pixels = np.stack([project(points, right.camera(view))[0].numpy() for view in (2, 9)])
    assert sampson_distances(fundamental(right, 2, 9), pixels).max() < 1e-8


def test_sampson_distance_shares_a_shift_across_the_line_between_both_images():
    rectified = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])  # lines are rows
    pixels = np.array([[[10.0, 5.0], [10.0, 5.0]], [[3.0, 5.0], [3.0, 8.0]]])
    np.testing.assert_allclose(sampson_distances(rectified, pixels), [0.0, 3.0 / np.sqrt(2.0)])


@pytest.mark.parametrize(("width", "expected"), [(120, LEAST_TOLERANCE), (1600, TOLERANCE * 1600)])
def test_the_tolerance_is_never_below_what_features_are_located_to(right, width, expected):
    assert tolerance(smaller(right.subset([0, 1]), width), 0, 1) == pytest.approx(expected)


def test_right_cameras_fit_and_those_of_another_size_do_not(right, right_pairs):
    twice = with_intrinsics_scaled(right, 2.0)
    assert min(pair_fit(right, pair) for pair in right_pairs) > 0.8
    assert np.median([pair_fit(twice, pair) for pair in right_pairs]) < 0.5


@pytest.mark.parametrize("wrong", [{4}, {2, 7}])
def test_views_are_blamed_for_their_own_pairs_alone(wrong):
    fits = [0.1 if set(pair) & wrong else 0.95 for pair in CHAIN]
    named, fractions = misfits(10, CHAIN, fits)
    assert set(named) == wrong
    assert all(fractions[view] == 1.0 for view in wrong) and fractions[9] < 0.5


@pytest.mark.parametrize(
    ("pairs", "fits"),
    [([(0, 1)], [0.0]), ([(0, 1), (1, 2)], [0.0, 0.9]), ([(0, 1), (0, 2), (1, 2)], [0.0, 0.9, 0.9]), ([], [])],
    ids=["one pair", "two pairs", "one bad pair of three", "no pairs"],
)
def test_little_evidence_blames_nobody(pairs, fits):
    assert misfits(4, pairs, fits)[0] == []


def test_the_camera_of_an_exchanged_image_is_found(right):
    scene = reordered(right, swapped(len(right), 7))
    assert better_cameras(scene, match_neighbours(scene), [7, 8]) == {7: 8, 8: 7}


def test_the_shift_of_an_order_is_found_and_a_right_order_has_none(right, right_pairs):
    scene = reordered(right, rotated(len(right), 2))
    assert better_shift(scene, match_neighbours(scene)) == 2
    assert better_shift(right, right_pairs) == 0
