import math

import pytest

from neus.training.schedules import active_levels, cos_anneal_ratio, learning_rate_factor

WARM_UP, END, FINAL = 5000, 300_000, 0.05


def factor(iteration):
    return learning_rate_factor(iteration, WARM_UP, END, FINAL)


def test_warm_up_rises_in_a_line_from_zero():
    assert [factor(i) for i in (0, 1, 2500, 4999)] == [0.0, 1 / 5000, 0.5, 4999 / 5000]


def test_factor_is_one_at_the_end_of_the_warm_up_and_the_final_share_at_the_end():
    assert factor(WARM_UP) == 1.0
    assert factor(END) == pytest.approx(FINAL)
    assert factor(2 * END) == pytest.approx(FINAL)


@pytest.mark.parametrize("iteration", [5001, 60_000, 152_500, 299_999])
def test_factor_follows_the_published_cosine(iteration):
    progress = (iteration - WARM_UP) / (END - WARM_UP)
    assert factor(iteration) == pytest.approx((math.cos(math.pi * progress) + 1.0) * 0.5 * (1 - FINAL) + FINAL)


def test_factor_falls_after_the_warm_up():
    factors = [factor(i) for i in range(WARM_UP, END + 1, 5000)]
    assert all(later < earlier for earlier, later in zip(factors, factors[1:]))


def test_without_warm_up_the_first_step_is_a_full_one():
    assert learning_rate_factor(0, 0, 100, FINAL) == 1.0


@pytest.mark.parametrize("iteration", [0, 50, 99, 100])
def test_a_warm_up_as_long_as_the_training_never_divides_by_zero(iteration):
    assert 0.0 <= learning_rate_factor(iteration, 100, 100, FINAL) <= 1.0


def test_annealing_rises_to_one_and_stays():
    assert [cos_anneal_ratio(i, 50_000) for i in (0, 25_000, 50_000, 80_000)] == [0.0, 0.5, 1.0, 1.0]


def test_without_annealing_the_slope_is_trusted_from_the_start():
    assert cos_anneal_ratio(0, 0) == 1.0


@pytest.mark.parametrize(("start", "n_levels"), [(1, 8), (4, 8), (8, 8), (12, 8), (4, 1)])
def test_levels_come_one_after_another_and_all_are_on_at_the_end(start, n_levels):
    levels = [active_levels(i, 100, start, n_levels) for i in range(150)]
    assert levels[0] == min(start, n_levels) and set(levels[100:]) == {n_levels}
    assert all(0 <= later - earlier <= 1 for earlier, later in zip(levels, levels[1:]))


def test_all_levels_are_on_from_the_start_without_a_schedule():
    assert active_levels(0, 0, 2, 8) == 8
