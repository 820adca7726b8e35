import re
from dataclasses import replace

import pytest
import torch
import trimesh

from neus.meshing.cost import SECONDS_PER_POINT_OUTSIDE, MeshCost
from neus.runs import time_plan
from neus.runs.console import TERMINAL
from neus.runs.run_folder import RunFolder
from neus.runs.time_plan import TimePlan
from neus.runs.train import train
from neus.training.checkpoint import read_checkpoint
from neus.training.final_sweep import FinalSweep
from neus.training.trainer import Trainer


class Clock:
    """A clock that goes only when told to."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    """Iterations take half a second of it, and the compilation of kernels seven."""
    clock, one_step = Clock(), Trainer._step

    def step(trainer):
        clock.now += 0.5
        return one_step(trainer)

    def prepare(trainer):
        clock.now += 7.0
        return 7.0

    monkeypatch.setattr(Trainer, "_step", step)
    monkeypatch.setattr(Trainer, "prepare", prepare)
    return clock


@pytest.fixture
def costs(monkeypatch):
    """What each look at the mesh finds, one after another; a mesh of 256 takes about as many seconds as the number."""
    found = []

    def measured(model, patience, n_views=0):
        seconds = found.pop(0) if len(found) > 1 else found[0]
        return MeshCost(seconds / 256**2 / SECONDS_PER_POINT_OUTSIDE, 0.0, 0.0, 0.0, 0.0)

    monkeypatch.setattr(time_plan, "measured_mesh_cost", measured)
    return found


@pytest.fixture
def seldom(tiny_config):
    """The tiny config with few files on the way."""
    return replace(tiny_config, train=replace(tiny_config.train, report_freq=1000, save_freq=1000))


def trained(config, tmp_path, plan, **options):
    return train(config, RunFolder(tmp_path / "run"), device="cpu", plan=plan, console=TERMINAL, **options)


@pytest.mark.parametrize("before", [[2.0], [4.0, 2.0], [1.0, 5.0]])
def test_training_leaves_what_the_mesh_takes_at_the_last_look(seldom, tmp_path, clock, costs, before):
    costs.extend(before)
    clock.now += 4.0  # the start of the program
    plan = TimePlan(1.0, 1000.0, clock)
    trained(seldom, tmp_path, plan)
    assert plan.resolution == (256 if before[-1] == 2.0 else 224)
    mesh = MeshCost(before[-1] / 256**2 / SECONDS_PER_POINT_OUTSIDE, 0.0, 0.0, 0.0, 0.0).seconds(plan.resolution)
    # A second in a hundred for leaving; the report's own.
    after_mesh = 0.6 + plan.report_seconds + time_plan.REPORT_FIXED
    assert plan.left() == pytest.approx(time_plan.MARGIN_LATER * mesh + after_mesh, abs=0.3)
    # The seconds of the compilation are not the training's.
    assert clock.now == pytest.approx(1000.0 + 60.0 + 7.0 - plan.left())


def test_a_mesh_that_would_take_too_much_of_the_time_gets_coarser(seldom, tmp_path, clock, costs):
    costs.append(100.0)
    plan = TimePlan(1.0, 1000.0, clock)
    trainer = trained(seldom, tmp_path, plan)
    assert plan.resolution == 128 and trainer.progress == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize(("seconds", "is_swept"), [(6.0, True), (30.0, False)])
def test_a_final_sweep_has_its_time_kept_unless_it_takes_too_much(
    seldom, tmp_path, clock, costs, monkeypatch, capsys, seconds, is_swept
):
    costs.append(2.0)
    swept = []
    monkeypatch.setattr(FinalSweep, "expected_seconds", lambda sweep, trainer: seconds)
    monkeypatch.setattr(FinalSweep, "__call__", lambda sweep, trainer, terms: trainer.is_over and swept.append(sweep.is_wanted))
    plan = TimePlan(1.0, 1000.0, clock)
    trained(seldom, tmp_path, plan)
    assert swept == [is_swept]
    # Mesh, report and leaving take 6.5 s.
    assert plan.left() == pytest.approx(6.5 + seconds * is_swept, abs=0.3)
    assert ("no time for a final sweep, about 30 s" in capsys.readouterr().out) != is_swept


def test_what_is_to_be_expected_is_said_once(seldom, tmp_path, clock, costs, capsys):
    costs.append(2.0)
    trainer = trained(seldom, tmp_path, TimePlan(1.0, 1000.0, clock))
    out = capsys.readouterr().out
    assert "kernels compiled in 7.0 s, which is not counted" in out
    (said,) = re.findall(r"1 minutes: about (\d+) iterations \((\d+) rays/s, .*mesh of 256\^3 after 0:5", out)
    assert trainer.iteration == pytest.approx(int(said[0]), abs=4) and int(said[1]) == 2 * trainer.config.batch_size


def test_too_short_a_time_is_said_and_leaves_one_iteration_and_its_checkpoint(seldom, tmp_path, clock, costs, capsys):
    costs.append(2.0)
    trainer = trained(seldom, tmp_path, TimePlan(0.01, 1000.0, clock))
    assert trainer.iteration == 1 and not trainer.stopped
    assert "0.01 minutes is too short" in capsys.readouterr().out
    assert RunFolder(tmp_path / "run").latest_checkpoint().name == "ckpt_000001.pth"


def test_resuming_takes_its_own_minutes_and_finishes_the_schedule(seldom, tmp_path, clock, costs):
    costs.append(2.0)
    stop = [lambda trainer, terms: trainer.iteration == 30 and trainer.stop()]
    first = trained(seldom, tmp_path, TimePlan(1.0, 1000.0, clock), extra_hooks=stop)
    run = RunFolder(tmp_path / "run")
    saved = read_checkpoint(run.latest_checkpoint())["neus"]["training"]["progress"]
    assert saved == first.progress == pytest.approx(15 / 56, abs=0.02)
    seen, began = [], clock.now
    second = trained(
        seldom, tmp_path, TimePlan(0.5, began, clock), resume=True, extra_hooks=[lambda t, _: seen.append(t.progress)]
    )
    assert seen == sorted(seen) and saved < seen[0] < saved + 0.05 and seen[-1] == pytest.approx(1.0, abs=0.01)
    assert second.iteration == pytest.approx(30 + 2 * 26, abs=4)


def test_a_real_command_with_minutes_goes_through_its_whole_schedule_and_leaves_a_mesh(neus_command, tiny_conf, scene_folder, tmp_path):
    run = tmp_path / "run"
    options = ["--conf", tiny_conf, "--data", scene_folder, "--run", run, "--device", "cpu"]
    few_files = ["--set", "train.report_freq=1000", "--set", "train.save_freq=100000"]
    neus_command("train", *options, "--set", "train.end_iter=1")  # what is imported once takes none of the three seconds
    status, out, err = neus_command("train", *options, *few_files, "--overwrite", "--minutes", 0.05)
    assert status == 0 and not err
    assert out[-1] == str(run) and any("0.05 minutes: about" in line for line in out)
    assert any("mesh of 128^3" in line and str(run / "mesh.ply") in line for line in out)
    assert trimesh.load(run / "mesh.ply").visual.kind == "vertex"
    content = read_checkpoint(RunFolder(run).latest_checkpoint())
    assert content["iter_step"] > 6 and 0.9 < content["neus"]["training"]["progress"] <= 1.0
    assert all(torch.isfinite(t).all() for t in content["sdf_network_fine"].values())
