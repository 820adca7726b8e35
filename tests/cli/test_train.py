import errno
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh

from neus.errors import InputError
from neus.runs.presets import PRESETS, Preset
from neus.runs.run_folder import RunFolder
from neus.training import checkpoint
from neus.training.checkpoint import published_checkpoint, read_checkpoint
from neus.training.metrics import read_metrics
from neus.workflows import train as workflow

ROOT = Path(__file__).parents[2]


@pytest.fixture
def run(tmp_path):
    return tmp_path / "run"


@pytest.fixture
def train(neus_command, tiny_conf, scene_folder, run):
    def command(*options, conf=tiny_conf, data=scene_folder):
        given = [*(("--conf", conf) if conf else ()), *(("--data", data) if data else ())]
        return neus_command("train", *given, "--run", run, "--device", "cpu", *options)

    return command


def assert_one_line(result, said):
    status, out, err = result
    assert (status, out) == (2, [])
    assert len(err) == 1 and err[0].startswith("error: ") and said in err[0], err


def test_training_writes_a_run_and_prints_its_folder_last(train, run):
    status, out, err = train()
    assert status == 0 and out[-1] == str(run) and not err
    assert [p.name for p in RunFolder(run).checkpoints.iterdir()].count("ckpt_000006.pth") == 1
    assert [line["iteration"] for line in read_metrics(run / "metrics.jsonl")] == [1, 2, 3, 4, 5, 6]
    assert RunFolder(run).facts()["training_views"] == [0, 1, 2, 3]


def test_options_win_over_the_conf(train, run):
    status, _, _ = train("--set", "train.end_iter=2", "--seed", "5", "--holdout", "2", "--set", "train.save_freq=1")
    config, facts = RunFolder(run).config(), RunFolder(run).facts()
    assert status == 0 and (config.train.end_iter, config.train.seed, config.dataset.holdout) == (2, 5, 2)
    assert facts["held_out_views"] == [0, 2] and facts["training_views"] == [1, 3] and facts["seed"] == 5


def test_iterations_replace_the_end_stretch_the_schedules_and_give_a_mesh(train, run, monkeypatch):
    monkeypatch.setattr(workflow, "MESH_RESOLUTION", 32)
    status, out, _ = train("--set", "train.anneal_end=3", "--iterations", "4")
    config = RunFolder(run).config().train
    assert status == 0 and (config.end_iter, config.anneal_end, config.warm_up_end) == (4, 2, 0)
    assert RunFolder(run).latest_checkpoint().name == "ckpt_000004.pth"
    assert out[-1] == str(run) and out[-2] == f"report: {run / 'report.html'}"
    assert "4 iterations, mesh of 32^3" in out[-3] and str(run / "mesh.ply") in out[-3]
    # World units: millimetres, many for each unit of the scene.
    mesh = trimesh.load(run / "mesh.ply")
    assert mesh.visual.kind == "vertex" and np.abs(mesh.vertices).max() > 2.0
    assert train("--overwrite")[0] == 0
    assert not (run / "mesh.ply").exists()


def test_a_model_without_a_surface_is_warned_of_and_keeps_its_checkpoint(train, run, monkeypatch):
    def no_surface(*arguments, **options):
        raise InputError("mesh extraction: no surface in the box.")

    monkeypatch.setattr("neus.workflows.train.surface_mesh", no_surface)
    status, out, err = train("--iterations", "2")
    assert status == 0 and out[-1] == str(run)
    assert err == ["warning: no mesh.ply is written: mesh extraction: no surface in the box."]
    assert RunFolder(run).latest_checkpoint().name == "ckpt_000002.pth" and not (run / "mesh.ply").exists()


def test_an_old_run_is_kept_unless_resumed_or_overwritten(train, run):
    assert train("--set", "train.end_iter=2")[0] == 0
    assert_one_line(train(), "already holds a run")
    assert train("--resume", "--set", "train.end_iter=4")[0] == 0
    assert RunFolder(run).latest_checkpoint().name == "ckpt_000004.pth"
    assert train("--overwrite", "--set", "train.end_iter=1")[0] == 0
    assert RunFolder(run).latest_checkpoint().name == "ckpt_000001.pth"


def test_resuming_needs_nothing_but_the_run(train, run):
    train("--set", "train.end_iter=2", "--holdout", "2")
    status, out, _ = train("--resume", "--set", "train.end_iter=3", conf=None, data=None)
    assert status == 0 and out[-1] == str(run)
    assert RunFolder(run).facts()["held_out_views"] == [0, 2]


def test_the_run_to_resume_may_stand_in_place_of_the_scene(train, run, neus_command):
    train("--set", "train.end_iter=2")
    status, out, _ = neus_command("train", run, "--resume", "--set", "train.end_iter=3", "--device", "cpu")
    assert status == 0 and out[-1] == str(run)
    assert RunFolder(run).latest_checkpoint().name == "ckpt_000003.pth"


def test_a_scene_is_all_that_training_needs(neus_command, elsewhere, scene_folder, tiny_conf, monkeypatch):
    tiny = Preset(str(tiny_conf), str(tiny_conf), None, None, "")
    monkeypatch.setitem(PRESETS, "quick", tiny)
    status, out, err = neus_command("train", scene_folder)
    assert status == 0 and out[-1] == "runs/cup", err
    assert out[:2] == [
        "config: tiny.conf (the scene has masks), 6 iterations; change with --preset, --minutes or --iterations",
        "run folder: runs/cup",
    ]
    assert Path("runs/cup/mesh.ply").is_file() and Path("runs/cup/report.html").is_file()
    status, out, _ = neus_command("train", scene_folder)
    assert status == 0 and out[-1] == "runs/cup-2"


def test_resuming_a_scene_points_to_its_run(neus_command, elsewhere, scene_folder):
    (Path("runs") / "cup" / "checkpoints").mkdir(parents=True)
    (Path("runs") / "cup" / "checkpoints" / "ckpt_000001.pth").touch()
    assert_one_line(
        neus_command("train", scene_folder, "--resume"), "is not a run folder; resume with `neus train runs/cup"
    )


def test_preset_and_config_exclude_each_other(neus_command, scene_folder, tiny_conf):
    result = neus_command("train", scene_folder, "--preset", "quick", "--conf", tiny_conf)
    assert_one_line(result, "not allowed with argument")
    assert_one_line(neus_command("train", scene_folder, "--preset", "fast"), "preset 'fast': expected one of quick,")


def test_resuming_a_finished_run_changes_nothing(train, run):
    train()
    before = RunFolder(run).latest_checkpoint().read_bytes()
    assert train("--resume")[0] == 0
    assert RunFolder(run).latest_checkpoint().read_bytes() == before


def test_a_published_checkpoint_is_resumed(train, run):
    train("--set", "train.end_iter=3")
    path = RunFolder(run).latest_checkpoint()
    torch.save(published_checkpoint(read_checkpoint(path)), path)
    status, out, _ = train("--resume")
    assert status == 0 and any("published NeuS" in line for line in out)
    assert read_checkpoint(RunFolder(run).latest_checkpoint())["iter_step"] == 6


def test_a_missing_conf_or_scene_is_named(train, tmp_path, neus_command, run):
    assert_one_line(neus_command("train"), "SCENE is missing")
    assert_one_line(neus_command("train", "--resume"), "--resume: give the run folder")
    assert_one_line(neus_command("train", tmp_path, "--data", tmp_path), "are both scenes; give one")
    assert_one_line(train(conf=tmp_path / "none.conf"), "none.conf: no such config file")
    assert_one_line(train(data=tmp_path / "none"), "none: no such folder")
    assert_one_line(train(data=None), "SCENE is missing")  # the config names its scene by CASE_NAME
    assert_one_line(train("--resume", conf=None), "no such run folder")
    assert not run.exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--set", "train.end_itr=5"], "unknown key train.end_itr; did you mean train.end_iter?"),
        (["--set", "train.end_iter=x"], "train.end_iter = 'x', expected a whole number"),
        (["--set", "train.end_iter"], "--set train.end_iter: expected section.key=value"),
        (["--device", "cuda:77"], "--device cuda:77: not on this machine"),
        (["--device", "gpu"], "--device gpu: expected auto, cpu"),
        (["--holdout", "1"], "keeps out all 4 views"),
        (["--resume"], "no such run folder"),
        (["--minutes", "0"], "argument --minutes: found 0, expected a number above 0"),
        (["--minutes", "-2"], "argument --minutes: found -2, expected a number above 0"),
        (["--minutes", "nan"], "argument --minutes: found nan, expected a number above 0"),
        (["--minutes", "inf"], "argument --minutes: found inf, expected a number above 0"),
        (["--iterations", "0"], "argument --iterations: found 0, expected at least 1"),
        (["--minutes", "2", "--iterations", "5"], "not allowed with argument --minutes"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_options_are_explained_and_nothing_is_written(train, run, options, said):
    assert_one_line(train(*options), said)
    assert not run.exists()


def test_a_scene_without_masks_is_trained_only_without_mask_loss(train, run, scene_folder, tmp_path):
    folder = shutil.copytree(scene_folder, tmp_path / "scene", ignore=shutil.ignore_patterns("mask"))
    assert_one_line(train(data=folder), "train.mask_weight is 0.1 but the scene has no masks")
    assert train("--set", "train.mask_weight=0", data=folder)[0] == 0


def test_a_broken_scene_is_explained(train, scene_folder, tmp_path):
    folder = shutil.copytree(scene_folder, tmp_path / "scene")
    (folder / "mask" / "003.png").unlink()
    assert_one_line(train(data=folder), "3 masks but 4 images")
    shutil.rmtree(folder / "mask")
    np.savez(folder / "cameras_sphere.npz", world_mat_0=np.eye(4))
    assert_one_line(train(data=folder), "cameras_sphere.npz")


def test_a_truncated_or_foreign_checkpoint_is_not_resumed(train, run):
    train("--set", "train.end_iter=3")
    path = RunFolder(run).latest_checkpoint()
    assert_one_line(
        train("--resume", "--set", "model.rendering_network.d_hidden=20"),
        "color_network_fine/lin0.bias: found (16,), the config makes (20,)",
    )
    path.write_bytes(path.read_bytes()[:1000])
    assert_one_line(train("--resume"), "ckpt_000003.pth: not a readable checkpoint, truncated")


def test_a_place_that_cannot_be_written_is_named(neus_command, tiny_conf, scene_folder, tmp_path):
    (tmp_path / "file").write_text("in the way")
    for place, said in (("file", "is a file, expected a folder"), ("file/run", "cannot be written")):
        result = neus_command(
            "train", "--conf", tiny_conf, "--data", scene_folder, "--run", tmp_path / place, "--device", "cpu"
        )
        assert_one_line(result, said)


def test_a_full_disk_ends_training_in_one_line_with_the_older_checkpoint_intact(train, run, monkeypatch):
    save, calls = torch.save, iter(range(10))

    def full_later(content, path):
        if next(calls):
            path.write_bytes(b"half")
            raise OSError(errno.ENOSPC, "No space left on device")
        save(content, path)

    monkeypatch.setattr(checkpoint.torch, "save", full_later)
    status, _, err = train()
    assert status == 2 and len(err) == 1
    assert "ckpt_000006.pth: cannot be written (No space left on device); free some space" in err[0]
    monkeypatch.undo()
    assert [p.name for p in (run / "checkpoints").iterdir()] == ["ckpt_000003.pth"]
    assert train("--resume")[0] == 0


def test_divergence_ends_with_its_own_status_and_one_line(train, monkeypatch):
    from tests.training.test_trainer import nan_loss, spoiled

    spoiled(monkeypatch, range(10**6), nan_loss)
    status, out, err = train()
    assert status == 1 and len(err) == 1 and "color loss is not finite in iteration 0" in err[0]
    assert sum("continuing from iteration 0" in line for line in out) == 3


def test_images_and_meshes_are_written_on_the_way(train, run):
    options = ["train.val_freq=3", "train.val_mesh_freq=6", "train.end_iter=6", "train.validate_resolution_level=2"]
    assert train(*[part for option in options for part in ("--set", option)])[0] == 0
    assert [p.name for p in (run / "meshes").iterdir()] == ["00000006.ply"]
    assert sorted(p.name[:8] for p in (run / "normals").iterdir()) == ["00000003", "00000006"]


def test_ctrl_c_saves_and_says_where(tiny_conf, scene_folder, run):
    command = [sys.executable, "-m", "neus", "train", "--conf", tiny_conf, "--data", scene_folder, "--run", run]
    command += ["--device", "cpu", "--set", "train.end_iter=1000000", "--set", "train.save_freq=1000000"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [str(c) for c in command], cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        deadline = time.monotonic() + 60
        while not (run / "metrics.jsonl").is_file() or not (run / "metrics.jsonl").read_text():
            assert process.poll() is None and time.monotonic() < deadline, process.communicate()[1]
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 130 and "Traceback" not in err
    said, folder = out.splitlines()[-2:]
    iteration, path = re.fullmatch(r"stopped after iteration (\d+); saved (.*); continue with --resume", said).groups()
    assert folder == str(run) and read_checkpoint(Path(path))["iter_step"] == int(iteration) > 0
