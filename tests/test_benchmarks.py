"""What of the benchmarks can be tested without a GPU: the table, its limits, and that they say what they need."""

import importlib.util
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from neus.runs.build import model_for_scene
from neus.scenes.readers import read_scene
from neus.training.config import GuidedSamplingConfig
from neus.training.surface_teacher import SurfaceTeacher
from neus.training.trainer import Trainer

ROOT = Path(__file__).parents[1]


@pytest.fixture
def timing(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    import gpu_timing

    return gpu_timing


def test_a_floor_is_the_time_of_a_copy(timing):
    found = timing.against_floor(ms=6.0, n_bytes=3e9, gb_per_s=1000.0)
    assert found["floor_ms"] == pytest.approx(3.0) and found["over_floor"] == pytest.approx(2.0)


def test_differences_are_relative_to_what_is_expected(timing):
    one = [torch.tensor([[3.0, 0.0]]), torch.tensor(4.0)]
    assert timing.relative_difference(one, one) == 0.0
    assert timing.relative_difference([2.0 * x for x in one], one) == pytest.approx(1.0)


def test_parts_that_fail_or_take_too_long_leave_the_others_alone(timing):
    report = timing.Report(seconds=60.0)

    def fails():
        raise torch.OutOfMemoryError("CUDA out of memory.\nand more")

    assert report.add("good", lambda: 1, limit=5.0) == 1 and not report.has_errors
    report.add("long", lambda: time.sleep(5.0), limit=0.05)
    report.add("bad", fails, limit=5.0)
    report.add("needs a part that failed", lambda: report.results["bad"]["rate"], limit=5.0)
    report.add("late", lambda: 2, limit=5.0, least=10.0)
    assert report.add("last", lambda: 3, limit=5.0) == 3 and report.has_errors
    assert "over its limit" in report.results["long"]["error"]
    assert report.results["bad"]["error"] == "CUDA out of memory."
    assert "rate" in report.results["needs a part that failed"]["error"]
    assert "no time was left" in report.results["late"]["error"]


def test_the_whole_report_ends_in_time_whatever_its_parts_do(timing):
    started, report = time.monotonic(), timing.Report(seconds=0.2)
    for name in "abcd":
        report.add(name, lambda: time.sleep(5.0), limit=0.1)
    assert time.monotonic() - started < 1.0 and all("error" in result for result in report.results.values())


@pytest.mark.skipif(torch.cuda.is_available(), reason="it would measure")
def test_without_a_gpu_the_benchmark_says_so():
    command = [sys.executable, ROOT / "benchmarks" / "gpu.py"]
    done = subprocess.run(command, capture_output=True, text=True, env={"PYTHONPATH": str(ROOT)}, timeout=120)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.strip().splitlines()[-1] == (
        "error: benchmarks/gpu.py measures a CUDA device and there is none here"
    )


def test_the_fused_step_is_measured_in_all_its_parts(monkeypatch, tiny_hash_config, scene_folder):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    import fused_step

    guided = GuidedSamplingConfig(n_intervals=6, initial_shape=False)
    color = replace(tiny_hash_config.model.rendering_network, weight_norm=False)
    config = replace(
        tiny_hash_config,
        model=replace(tiny_hash_config.model, rendering_network=color),
        train=replace(tiny_hash_config.train, guided_sampling=guided),
    )
    scene = read_scene(scene_folder)
    trainer = Trainer(model_for_scene(config, scene), scene, config.train, on_message=lambda text: None)
    trainer.begin()
    normals = torch.nn.functional.normalize(torch.ones(4, 3), dim=-1)
    trainer.steps.teacher = SurfaceTeacher(0.5 * normals, normals, torch.ones(4), 0.001)
    parts = fused_step.measure(trainer, 16, 6, repeats=2)
    expected = {"rays", "intervals", "tiles", "table gradients", "fused step", "surface points", "check", "optimizer", "composed step"}
    assert expected <= parts.keys() and all(ms > 0.0 for ms in parts.values())


@pytest.mark.parametrize("path", sorted((ROOT / "benchmarks").glob("*.py")), ids=lambda path: path.stem)
def test_every_benchmark_finds_what_it_imports(path, monkeypatch):
    monkeypatch.syspath_prepend(path.parent)
    spec = importlib.util.spec_from_file_location(f"benchmark_{path.stem}", path)
    spec.loader.exec_module(importlib.util.module_from_spec(spec))
