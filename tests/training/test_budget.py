import pytest

from neus.training.budget import LONGEST_WARM_UP, IterationBudget, TimeBudget


class Clock:
    """A clock that goes only when told to."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def after(budget, clock, seconds):
    clock.now += seconds
    budget.tick()
    return budget


def test_in_iterations_the_schedules_are_followed_to_the_letter():
    budget = IterationBudget(300_000)
    for iteration in (0, 1, 12_345, 299_999, 300_000):
        scheduled = budget.scheduled(iteration), budget.scheduled_rate(iteration, 5000)
        assert scheduled == (iteration, iteration) and all(isinstance(s, int) for s in scheduled)
    assert budget.progress(150_000) == 0.5 and budget.progress(400_000) == 1.0
    assert not budget.is_over(299_999) and budget.is_over(300_000) and budget.is_over(300_001)


@pytest.mark.parametrize("n_steps", [4, 400])
def test_progress_depends_on_the_time_and_not_on_the_speed(clock, n_steps):
    budget = TimeBudget(8.0, 1000, clock)
    seen = [after(budget, clock, 8.0 / n_steps).progress(i) for i in range(1, n_steps + 1)]
    assert seen[n_steps // 4 - 1] == pytest.approx(0.25) and seen[-1] == pytest.approx(1.0)
    assert budget.scheduled(n_steps) == pytest.approx(1000.0) and budget.is_over(n_steps)


@pytest.mark.parametrize("step", [0.3, 1.0, 7.0, 11.0])
def test_the_end_comes_within_half_an_iteration(clock, step):
    budget, n_steps = TimeBudget(20.0, 100, clock), 0
    while not budget.is_over(n_steps):
        after(budget, clock, step)
        n_steps += 1
    assert abs(clock.now - 1020.0) <= step / 2 + 1e-9


def test_there_is_always_a_first_iteration(clock):
    budget = TimeBudget(-5.0, 100, clock)
    assert not budget.is_over(0)
    assert after(budget, clock, 1.0).is_over(1) and budget.progress(1) == 1.0


def test_nothing_changes_between_two_ticks(clock):
    budget = after(TimeBudget(10.0, 100, clock), clock, 1.0)
    before = budget.progress(1), budget.is_over(1), budget.seconds_left
    clock.now += 100.0
    assert (budget.progress(1), budget.is_over(1), budget.seconds_left) == before


def test_a_moved_end_leaves_no_jump_in_the_schedules(clock):
    budget = after(TimeBudget(10.0, 100, clock), clock, 9.0)
    before = budget.progress(9)
    budget.end_in(3.0)
    assert budget.progress(9) == pytest.approx(before) == 0.9
    assert after(budget, clock, 1.5).progress(10) == pytest.approx(0.95)
    assert after(budget, clock, 1.5).is_over(11)


def test_a_resumed_run_goes_from_where_it_was_to_the_end_in_its_own_time(clock):
    budget = TimeBudget(10.0, 100, clock)
    budget.resume_from(0.6)
    budget.end_in(20.0)
    assert budget.progress(0) == 0.6
    assert after(budget, clock, 10.0).progress(5) == pytest.approx(0.8)
    assert after(budget, clock, 10.0).progress(10) == pytest.approx(1.0)


def test_a_finished_run_that_is_resumed_stays_at_the_end_of_the_schedules_and_takes_its_time(clock):
    budget = TimeBudget(10.0, 100, clock)
    budget.resume_from(1.0)
    assert after(budget, clock, 1.0).progress(1) == 1.0 and not budget.is_over(1)


def test_a_fast_warm_up_is_counted_in_iterations(clock):
    budget = after(TimeBudget(100.0, 1000, clock), clock, 0.1)
    assert [budget.scheduled_rate(i, 50) for i in (1, 25, 49)] == [1.0, 25.0, 49.0]
    assert budget.scheduled_rate(50, 50) == 50.0


def test_a_slow_warm_up_is_over_at_its_longest_share_of_the_time(clock):
    budget = after(TimeBudget(100.0, 1000, clock), clock, 5.0)
    assert budget.scheduled_rate(1, 500) == pytest.approx(250.0)
    after(budget, clock, 100.0 * LONGEST_WARM_UP - 5.0)
    assert budget.scheduled_rate(2, 500) == 500.0


def test_the_scheduled_rate_never_goes_back(clock):
    budget, seen = TimeBudget(100.0, 1000, clock), []
    for iteration in range(1, 100):
        seen.append(after(budget, clock, 1.0).scheduled_rate(iteration, 30))
    assert seen == sorted(seen) and seen[-1] == pytest.approx(990.0)
