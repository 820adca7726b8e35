import cv2
import numpy as np
import pytest

from neus.stereo import matches
from neus.stereo.epipolar import fundamental, sampson_distances
from neus.stereo.matches import FEWEST, agreeing, match_neighbours, neighbour_pairs
from tests.checks.alterations import reordered, swapped

RANDOM = np.random.default_rng(3)


def test_what_agrees_lies_on_the_epipolar_lines_of_right_cameras(right, right_pairs):
    for pair in right_pairs:
        distances = sampson_distances(fundamental(right, pair.first, pair.second), pair.pixels[:, : pair.agreed])
        assert np.median(distances) < 0.4


def test_each_view_is_matched_with_its_nearest_and_the_next(right):
    pairs = neighbour_pairs(right)
    assert {(view, view + 1) for view in range(len(right) - 1)} <= set(pairs)
    assert np.bincount(np.array(pairs).ravel()).min() >= 5


def test_an_image_far_from_its_place_is_looked_for_among_all(right):
    order = list(range(len(right)))
    order[0], order[20] = 20, 0
    found = [(pair.first, pair.second) for pair in match_neighbours(reordered(right, order))]
    assert any(0 in pair and not set(pair) & {1, 2, 3} for pair in found)


@pytest.mark.parametrize("places", ["one place", "a line", "chance", "seven", "none"])
def test_degenerate_matches_agree_on_nothing_that_matters_and_never_raise(places):
    x = 100.0 * RANDOM.random((2, 30, 2))
    pixels = {
        "one place": np.full((2, 30, 2), 7.0),
        "a line": np.stack([x[..., 0], 2.0 * x[..., 0]], axis=-1),
        "chance": x,
        "seven": x[:, :7],
        "none": x[:, :0],
    }[places]
    agree = agreeing(pixels, 0.5)
    assert agree.shape == (pixels.shape[1],) and agree.dtype == bool


def test_where_one_estimator_raises_another_is_taken(right, right_pairs, monkeypatch):
    def estimate(one, other, method, *arguments, find=cv2.findFundamentalMat):
        if method == cv2.USAC_MAGSAC:
            raise cv2.error("(-215:Assertion failed) !model.empty() in function 'setModelParameters'")
        return find(one, other, method, *arguments)

    monkeypatch.setattr(cv2, "findFundamentalMat", estimate)
    pairs = match_neighbours(right.subset([0, 1, 2]))
    of_magsac = [pair for pair in right_pairs if max(pair.first, pair.second) <= 2]
    assert [(p.first, p.second) for p in pairs] == [(p.first, p.second) for p in of_magsac]
    for pair, other in zip(pairs, of_magsac, strict=True):
        assert pair.agreed > 0.8 * other.agreed


def test_where_all_estimators_raise_nothing_matches(right, monkeypatch):
    def estimate(*arguments):
        raise cv2.error("degenerate")

    monkeypatch.setattr(cv2, "findFundamentalMat", estimate)
    assert match_neighbours(right.subset([0, 1])) == []


@pytest.mark.parametrize("size", [(1, 1), (3, 200), (40, 40)])
def test_images_without_features_match_nothing(size):
    features = matches._features(np.full((*size, 3), 90, np.uint8), 100)
    assert [len(part) for part in features] == [0, 0, 0]


def test_the_same_images_give_the_same_matches(right):
    one, other = (match_neighbours(right.subset([4, 5])) for _ in range(2))
    assert one[0].agreed == other[0].agreed >= FEWEST and np.array_equal(one[0].pixels, other[0].pixels)


def test_exchanged_images_match_as_well_as_before(right, right_pairs):
    found = match_neighbours(reordered(right, swapped(len(right), 7)))
    assert abs(len(found) - len(right_pairs)) <= 0.1 * len(right_pairs)
