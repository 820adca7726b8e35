import numpy as np
import pytest

from neus.checks.exposure import exposure_steps, pair_ratio, ratio_spread, sure_ratio, view_gains
from neus.stereo.matches import PairMatches

N_VIEWS = 24
PAIRS = [(view, view + step) for view in range(N_VIEWS) for step in (1, 2, 3) if view + step < N_VIEWS]


def matched(first, second, ratios, seed=0):
    """Forty places that the second view shows so many times as bright as the first, give or take a hundredth."""
    random = np.random.default_rng((seed, first, second))
    grey = random.uniform(0.2, 0.4, 40)
    colors = np.stack([grey, grey * ratios * random.normal(1.0, 0.01, 40)])
    return PairMatches(first, second, np.zeros((2, 40, 2)), np.repeat(colors[..., None], 3, axis=-1), 40)


def steps_of(ratio_of):
    """The views found if `ratio_of(view)`, one number or forty, is the brightness of each."""
    pairs = [matched(first, second, ratio_of(second) / ratio_of(first)) for first, second in PAIRS]
    sure = [sure_ratio(pair) for pair in pairs]
    return exposure_steps(view_gains(N_VIEWS, PAIRS, sure), PAIRS, sure, [ratio_spread(pair) for pair in pairs])


def test_the_ratio_of_a_pair_is_that_of_most_places_and_the_sure_one_that_of_nearly_all():
    pair = matched(0, 1, np.where(np.arange(40) < 30, 1.5, 1.0))
    assert pair_ratio(pair) == pytest.approx(np.log(1.5), abs=0.02)
    assert sure_ratio(pair) == pytest.approx(0.0, abs=0.02)
    assert sure_ratio(matched(0, 1, 1.5)) == pytest.approx(np.log(1.5), abs=0.02)
    assert ratio_spread(pair) > 5 * ratio_spread(matched(0, 1, 1.5))


def test_points_that_are_black_or_white_are_no_evidence():
    pair = matched(0, 1, 1.0)
    assert pair_ratio(PairMatches(0, 1, pair.pixels, np.clip(pair.colors * 10, 0, 1), 40)) is None


def test_gains_of_views_fit_the_ratios_of_pairs_whatever_one_of_them_says():
    gains = np.exp(np.random.default_rng(1).normal(0.0, 0.3, 6))
    pairs = [(a, b) for a in range(6) for b in range(a + 1, 6)]
    ratios = [float(np.log(gains[b] / gains[a])) for a, b in pairs]
    ratios[3] += 2.0
    found = view_gains(7, pairs, ratios)
    np.testing.assert_allclose(found[:6] / found[0], gains / gains[0], rtol=0.02)
    assert np.isnan(found[6])


@pytest.mark.parametrize("factor", [1.5, 1 / 1.5])
@pytest.mark.parametrize("views", [{7}, {5, 6, 7}, {3, 12, 20}])
def test_another_exposure_is_a_step_in_all_places(views, factor):
    assert set(steps_of(lambda view: factor if view in views else 1.0)) == views


def test_alike_exposures_have_no_step():
    assert steps_of(lambda view: 1.0) == []


def test_light_that_fades_in_is_no_exposure():
    assert steps_of(lambda view: 1.0 + 0.5 * np.exp(-(((view - 12) / 5) ** 2))) == []


def test_a_shadow_that_darkens_places_unequally_is_no_exposure():
    depth = np.random.default_rng(5).uniform(0.45, 0.8, 40)
    assert steps_of(lambda view: depth if view in {7, 8} else 1.0) == []


def test_two_pairs_are_too_few_to_tell():
    pairs = [(0, 1), (1, 2), (0, 2), (2, 3), (3, 4), (2, 4)]
    sure = [0.4 if 3 in pair and pair[1] == 3 else -0.4 if 3 in pair else 0.0 for pair in pairs]
    assert exposure_steps(view_gains(5, pairs, sure), pairs, sure, [0.01] * 6) == []
