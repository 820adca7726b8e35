import shutil
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from neus.scenes.readers import read_scene
from neus.workflows import jobs
from neus.workflows import train as workflow


@pytest.fixture
def without_masks(scene_folder, tmp_path):
    return shutil.copytree(scene_folder, tmp_path / "bare", ignore=shutil.ignore_patterns("mask"))


def test_without_masks_the_preset_is_the_one_without(elsewhere, without_masks):
    job = jobs.new_job(without_masks, time.monotonic())
    assert job.config.train.mask_weight == 0.0 and job.config.model.neus_renderer.n_outside == 8
    assert job.minutes == 5.0 and job.leaves_mesh
    assert job.choices[0].startswith("config: quick_womask.conf (the scene has no masks), 5 minutes")


@pytest.mark.parametrize(
    ("options", "minutes", "end_iter"),
    [
        ({}, 5.0, 4000),
        ({"preset": "best"}, 60.0, 40000),
        ({"preset": "paper"}, None, 300_000),
        ({"minutes": 2.0}, 2.0, 4000),
        ({"iterations": 100}, None, 100),
        ({"overrides": ["train.end_iter=70"]}, None, 70),
    ],
    ids=str,
)
def test_a_preset_has_a_budget_of_its_own_unless_one_is_given(elsewhere, scene_folder, options, minutes, end_iter):
    job = jobs.new_job(scene_folder, time.monotonic(), **options)
    assert (job.minutes, job.config.train.end_iter) == (minutes, end_iter)


def test_a_config_is_taken_as_it_is(elsewhere, scene_folder, tiny_conf):
    job = jobs.new_job(scene_folder, time.monotonic(), conf=tiny_conf)
    assert (job.minutes, job.config.train.end_iter, job.leaves_mesh) == (None, 6, False)
    assert job.choices == [f"run folder: {job.folder.path}"]


def test_masks_that_are_all_white_are_no_masks(scene_folder):
    scene = read_scene(scene_folder)
    assert jobs.is_masked(scene)
    white = replace(scene, masks=[np.ones_like(mask) for mask in scene.masks])
    assert not jobs.is_masked(white) and not jobs.is_masked(replace(scene, masks=None))


def test_a_run_folder_that_is_taken_is_passed_over_and_said(elsewhere, scene_folder):
    for name in ("cup", "cup-2"):
        checkpoints = Path("runs") / name / "checkpoints"
        checkpoints.mkdir(parents=True)
        (checkpoints / "ckpt_000001.pth").touch()
    job = jobs.new_job(scene_folder, time.monotonic())
    assert job.folder.path == Path("runs/cup-3")
    assert job.choices[-1].startswith(
        "run folder: runs/cup-3 (runs/cup already holds a run; continue it with `neus train"
    )
    assert jobs.new_job(scene_folder, time.monotonic(), overwrite=True).folder.path == Path("runs/cup")


def test_a_run_stopped_before_its_minutes_were_over_gets_the_rest_of_them(elsewhere, scene_folder, tiny_conf):
    job = jobs.new_job(scene_folder, time.monotonic(), conf=tiny_conf, minutes=30.0)
    workflow.run_job(job, device="cpu", hooks=[lambda trainer, terms: trainer.stop()])
    rest = jobs.resumed_job(job.folder.path, time.monotonic())
    assert 29.0 < rest.minutes < 30.0 and rest.leaves_mesh
    assert rest.choices == ["resumes for the remaining 30 of 30 minutes"]
    assert jobs.resumed_job(job.folder.path, time.monotonic(), minutes=2.0).minutes == 2.0
    with_end = jobs.resumed_job(job.folder.path, time.monotonic(), overrides=["train.end_iter=9"])
    assert with_end.minutes is None and with_end.config.train.end_iter == 9
