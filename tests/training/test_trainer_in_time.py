"""The trainer with a clock in place of a number of iterations; the clock is the test's."""

from dataclasses import replace

import pytest

from neus.runs.build import model_for_scene
from neus.scenes.readers import read_scene
from neus.training.budget import TimeBudget
from neus.training.checkpoint import read_checkpoint
from neus.training.trainer import Trainer


@pytest.fixture
def make_trainer(tiny_hash_config, scene_folder):
    """Trainers whose iterations take so many seconds; the config's six iterations stand for the whole time."""

    def make(seconds=None, step=1.0, **changes):
        now, scene = [0.0], read_scene(scene_folder)
        config = replace(tiny_hash_config, train=replace(tiny_hash_config.train, **changes))
        budget = None if seconds is None else TimeBudget(seconds, config.train.end_iter, lambda: now[0])
        messages = []
        trainer = Trainer(model_for_scene(config, scene), scene, config.train, messages.append, time_budget=budget)
        trainer.messages, one_step = messages, trainer._step

        def slow_step():
            now[0] += step
            return one_step()

        trainer._step = slow_step
        return trainer

    return make


def schedules(trainer):
    seen = []
    trainer.run([lambda t, terms: seen.append((t.learning_rate, t.active_levels, t.cos_anneal))])
    return seen


def test_schedules_of_a_time_are_those_of_as_many_iterations(make_trainer):
    changes = {"warm_up_end": 0, "anneal_end": 4}
    in_iterations, in_time = schedules(make_trainer(**changes)), schedules(make_trainer(6.0, **changes))
    assert len(in_time) == 6
    for one, other in zip(in_iterations, in_time):
        assert one == pytest.approx(other)


@pytest.mark.parametrize("step", [0.1, 0.5, 5.0])
def test_schedules_come_to_their_end_at_any_speed(make_trainer, step):
    trainer = make_trainer(10.0, step)
    last = schedules(trainer)[-1]
    assert trainer.iteration == 10.0 / step and trainer.progress == pytest.approx(1.0)
    assert last[0] == pytest.approx(trainer.config.learning_rate * trainer.config.learning_rate_alpha)
    assert last[1] == 4


def test_a_checkpoint_of_a_time_is_gone_on_with_from_its_progress(make_trainer, tmp_path):
    first = make_trainer(10.0)
    first.run([lambda t, terms: t.iteration == 4 and t.stop()])
    first.save(tmp_path / "x.pth", {})
    content = read_checkpoint(tmp_path / "x.pth")
    second = make_trainer(12.0)
    second.load(content, tmp_path / "x.pth")
    assert second.progress == pytest.approx(0.4) and second.iteration == 4
    seen = []
    second.run([lambda t, terms: seen.append(t.progress)])
    assert second.iteration == 16 and seen[5] == pytest.approx(0.7) and seen[-1] == pytest.approx(1.0)


def test_between_time_and_iterations_both_ways(make_trainer, tmp_path):
    plain = make_trainer()
    plain.run([lambda t, terms: t.iteration == 3 and t.stop()])
    plain.save(tmp_path / "plain.pth", {})
    assert "progress" not in read_checkpoint(tmp_path / "plain.pth")["neus"]["training"]
    timed = make_trainer(10.0)
    timed.load(read_checkpoint(tmp_path / "plain.pth"), tmp_path / "plain.pth")
    assert timed.progress == pytest.approx(0.5) and not timed.messages
    timed.save(tmp_path / "timed.pth", {})
    other = make_trainer()
    other.load(read_checkpoint(tmp_path / "timed.pth"), tmp_path / "timed.pth")
    assert "to 50 % of its schedule; without --minutes it continues as iteration 3 of 6" in other.messages[0]
    other.run([])
    assert other.iteration == 6
