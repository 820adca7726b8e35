import pytest

from neus.training.config import TrainConfig, with_iterations

LONG = TrainConfig(end_iter=300_000, anneal_end=50_000, levels_end=180_000, warm_up_end=5000)


@pytest.mark.parametrize("n_iterations", [1, 9, 1000, 300_000, 900_000])
def test_schedules_keep_their_share_of_the_training(n_iterations):
    config = with_iterations(LONG, n_iterations)
    assert config.end_iter == n_iterations
    assert config.anneal_end == pytest.approx(n_iterations / 6, abs=1)
    assert config.levels_end == pytest.approx(n_iterations * 0.6, abs=1)
    assert config.warm_up_end == min(5000, n_iterations // 10)
    assert 1 <= config.save_freq <= n_iterations and 1 <= config.report_freq <= n_iterations


def test_what_is_off_stays_off():
    config = with_iterations(TrainConfig(anneal_end=0, levels_end=0, val_freq=0, val_mesh_freq=0), 50)
    assert (config.anneal_end, config.levels_end, config.val_freq, config.val_mesh_freq) == (0, 0, 0, 0)


def test_as_many_iterations_as_before_change_no_schedule():
    assert with_iterations(LONG, LONG.end_iter) == LONG
