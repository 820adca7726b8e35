"""Runs of earlier versions of this project, as they lie on disks: made by the version before `neus_renderer.near_far` and class `Run`."""

import math
import shutil
from pathlib import Path

import pytest

import neus
from neus.cli.main import main
from neus.runs.run import Run
from neus.workflows.evaluate import evaluate_run

FIXTURES = Path(__file__).parent / "fixtures"


@pytest.fixture(params=["old_mlp", "old_marched"])
def old_run(request, tmp_path):
    return shutil.copytree(FIXTURES / request.param, tmp_path / request.param)


def test_an_old_run_is_opened_meshed_rendered_and_measured(old_run, scene_folder):
    model = neus.load_model(old_run)
    assert len(neus.extract_mesh(model, 16).faces) > 10
    scores = evaluate_run(old_run, scene_folder, device="cpu")
    assert scores["n_held_out"] == 2 and math.isfinite(scores["mean"]["psnr"])
    assert main(["render", str(old_run), "--data", str(scene_folder), "--orbit", "2", "--device", "cpu"]) == 0


def test_guided_runs_that_do_not_say_so_sample_within_the_sphere():
    near_far = {name: Run(FIXTURES / name).config.model.neus_renderer.near_far for name in ("old_mlp", "old_marched")}
    assert near_far == {"old_mlp": "neus", "old_marched": "sphere"}


def test_an_old_run_is_resumed(old_run, scene_folder):
    resumed = ["train", "--run", str(old_run), "--resume", "--data", str(scene_folder), "--device", "cpu"]
    assert main([*resumed, "--set", "train.end_iter=5", "--set", "train.guided_sampling.initial_shape=false"]) == 0
    assert Run(old_run).checkpoint.name == "ckpt_000005.pth"
