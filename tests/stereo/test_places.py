import numpy as np
import pytest

from neus.stereo.places import left_out

N_VIEWS = 30


def places(seed=0):
    directions = np.random.default_rng(seed).standard_normal((N_VIEWS, 3))
    return 3.0 * directions / np.linalg.norm(directions, axis=1, keepdims=True)


def random_values(seed, n_channels=1):
    return np.random.default_rng(seed).uniform(-0.2, 0.2, (N_VIEWS, n_channels))


def test_what_is_smooth_in_space_is_told_by_places():
    x, y, z = places().T
    found = left_out(places(), np.stack([x, 0.3 * y * z, np.sin(z)], axis=1))
    assert found.explained > 0.9


@pytest.mark.parametrize("seed", range(5))
def test_chance_is_not_told_by_places(seed):
    assert left_out(places(seed), random_values(seed + 10)).explained < 0.3


def test_a_view_is_predicted_without_itself():
    values, other = places()[:, :1] + random_values(1), places()[:, :1] + random_values(1)
    other[4] += 0.01
    first, second = (left_out(places(), v) for v in (values, other))
    # The same length scale and noise are the likeliest, so all that changes is the view's own value.
    assert np.array_equal(first.weights, second.weights)
    assert second.residuals[4, 0] - first.residuals[4, 0] == pytest.approx(0.01)


def test_what_is_left_does_not_depend_on_the_mean_nor_on_units():
    values = places()[:, :2] + random_values(3, 2)
    plain, moved = left_out(places(), values), left_out(40.0 * places() + 7.0, values + 5.0)
    assert np.allclose(plain.residuals, moved.residuals, atol=1e-9)
    assert np.allclose(plain.weights.sum(axis=1), 0.0, atol=1e-9)


def test_cameras_at_one_place_tell_nothing():
    assert left_out(np.ones((N_VIEWS, 3)), random_values(4)).explained <= 0.0
