import json
import shutil
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from neus.bench import bench as bench_module
from neus.bench.bench import (
    Bench,
    check_distinct,
    check_results_path,
    only_one_in,
    seconds_left,
    write_tables,
)
from neus.bench.run import BenchRun, folder_digest, record_of
from neus.cli.main import main
from neus.errors import InputError
from neus.runs.run_folder import RunFolder
from neus.scenes.synthetic import written_kind
from neus.scenes.synthetic_kinds import kind_of

# As small as SSIM's window allows.
HOLDOUT, SCALE = 2, 0.5


def dtu_written(arguments):
    """What `evaluate --dtu-root` does, without the data."""
    out = Path(arguments[arguments.index("--out") + 1])
    out.write_text(json.dumps({"overall": 1.5, "clean_up": "25 px"}))


class Commands:
    """Runs commands in this process, remembers them, and can be told to break."""

    def __init__(self):
        self.given, self.breaks = [], lambda arguments: None

    def __call__(self, arguments, log):
        self.given.append(arguments)
        reason = self.breaks(arguments)
        if "--dtu-root" in arguments:
            dtu_written(arguments)
            return 0, ""
        return (2, reason) if reason else (main(arguments), "")

    def verbs(self):
        verbs = [arguments[0] for arguments in self.given]
        self.given.clear()
        return verbs


@pytest.fixture
def commands(monkeypatch):
    monkeypatch.setattr("neus.workflows.train.MESH_RESOLUTION", 24)
    return Commands()


@pytest.fixture
def run(tiny_conf, scene_folder):
    return BenchRun("cup", scene_folder, tiny_conf, iterations=4, holdout=HOLDOUT, scale=SCALE)


@pytest.fixture
def bench(commands, tmp_path):
    """Does some runs; returns whether all worked, and their records."""
    lines = []

    def go(*runs):
        made = Bench(runs, tmp_path / "out", ["cpu"], commands, lines.append)
        is_whole = made.go(lambda: write_tables(made, "neus bench cup"))
        return is_whole, made.all_records()

    go.lines, go.out = lines, tmp_path / "out"
    return go


def test_a_run_is_trained_and_measured_and_not_done_twice(bench, commands, run):
    is_whole, (record,) = bench(run)
    assert is_whole and commands.verbs() == ["train", "evaluate"]
    assert record["status"] == "done" and record["versions"]["torch"] and record["machine"]["cores"] >= 1
    assert record["parts"]["train"]["scores"] == {"iterations": 4}
    measured = json.loads((bench.out / "runs" / run.name / "evaluation.json").read_text())
    covered = {"dense_covered": measured["dense"]["covered"]}
    assert record["parts"]["evaluate"]["scores"] == measured["mean"] | covered
    assert all(record["parts"][part]["seconds"] > 0 for part in ("train", "evaluate"))
    assert bench(run) == (True, [record]) and commands.verbs() == []


def test_what_is_changed_is_done_again_and_nothing_else(bench, commands, run, tiny_conf):
    bench(run)
    commands.verbs()
    other_size = replace(run, scale=1.0)
    bench(other_size)
    assert commands.verbs() == ["evaluate"]
    tiny_conf.write_text(tiny_conf.read_text() + "\ntrain.igr_weight = 0.3\n")
    bench(other_size)
    assert commands.verbs() == ["train", "evaluate"]
    bench(replace(other_size, overrides=("train.batch_size=8",)))
    assert commands.verbs() == ["train", "evaluate"]
    assert RunFolder(bench.out / "runs" / run.name).config().train.batch_size == 8


def test_a_scene_that_fails_says_why_and_the_others_go_on(bench, commands, run, tmp_path):
    broken = shutil.copytree(run.data, tmp_path / "broken")
    (broken / "image" / "000.png").write_bytes(b"no image")
    commands.breaks = lambda arguments: "000.png: damaged" if str(broken) in arguments else ""
    is_whole, records = bench(replace(run, scene="broken", data=broken), run)
    assert not is_whole and [r["status"] for r in records] == ["failed", "done"]
    assert records[0]["reason"] == "train: 000.png: damaged"
    assert "broken, tiny, 4 iterations, seed 0: failed: train: 000.png: damaged" in bench.lines[0]
    page = (bench.out / "bench.md").read_text()
    assert "* broken, tiny.conf, 4 iterations, seed 0: failed: train: 000.png: damaged" in page
    # Tried again, since the cause may be gone; the other is kept.
    commands.breaks = lambda arguments: ""
    shutil.copy(run.data / "image" / "000.png", broken / "image" / "000.png")
    commands.verbs()
    assert bench(replace(run, scene="broken", data=broken), run)[0] and commands.verbs() == ["train", "evaluate"]


def test_what_nobody_foresaw_fails_one_run_only(bench, commands, run, monkeypatch):
    def surprise(scene, *arguments):
        if scene == "bad":
            raise ZeroDivisionError("of all things")
        return {}

    monkeypatch.setattr("neus.bench.run.surface_scores_of", surprise)
    is_whole, records = bench(replace(run, scene="bad"), run)
    assert not is_whole and [r["status"] for r in records] == ["failed", "done"]
    assert records[0]["reason"] == "ZeroDivisionError: of all things"


def test_scans_of_dtu_are_measured_by_its_protocol_and_other_scenes_are_not(bench, commands, run, tmp_path):
    is_whole, (scan, other) = bench(
        replace(run, scene="dtu_scan65", dtu_root=tmp_path), replace(run, dtu_root=tmp_path)
    )
    assert is_whole and commands.verbs() == ["train", "evaluate", "evaluate", "train", "evaluate"]
    assert scan["parts"]["surface"]["scores"]["dtu_chamfer"] == 1.5
    assert "dtu_chamfer" not in other["parts"]["surface"]["scores"]
    assert "| ours, tiny.conf, 4 iterations | 1.50 |" in (bench.out / "bench.md").read_text()
    # Without the data the number would be of nowhere: it goes.
    bench(replace(run, scene="dtu_scan65"))
    assert commands.verbs() == [] and "| ours" not in (bench.out / "bench.md").read_text()


def kill_in(verb):
    def breaks(arguments):
        if arguments[0] == verb:
            raise KeyboardInterrupt  # passes everything, as a kill does
        return ""

    return breaks


def test_killed_after_training_it_goes_on_with_measuring(bench, commands, run):
    commands.breaks = kill_in("evaluate")
    started = Bench([run], bench.out, ["cpu"], commands, print)
    with pytest.raises(KeyboardInterrupt):
        bench_module.complete(run, bench.out, "cpu", commands)
    assert started.all_records()[0]["status"] == "waiting" and commands.verbs() == ["train", "evaluate"]
    commands.breaks = lambda arguments: ""
    is_whole, (record,) = bench(run)
    assert is_whole and commands.verbs() == ["evaluate"] and record["parts"]["train"]["resumed"] == 0


def killed_while_training(commands, run, out):
    """A training of which only the checkpoint of an earlier iteration is left."""

    def breaks(arguments):
        if arguments[0] == "train":
            main([*arguments, "--set", "train.save_freq=2"])
            folder = RunFolder(out / "runs" / run.name)
            folder.latest_checkpoint().unlink()
            (folder.path / "mesh.ply").unlink(missing_ok=True)
            raise KeyboardInterrupt
        return ""

    commands.breaks = breaks
    with pytest.raises(KeyboardInterrupt):
        bench_module.complete(run, out, "cpu", commands)
    commands.breaks = lambda arguments: ""
    commands.given.clear()


def test_a_training_of_iterations_goes_on_from_its_checkpoint_and_counts_its_time(bench, commands, run):
    killed_while_training(commands, run, bench.out)
    assert RunFolder(bench.out / "runs" / run.name).latest_checkpoint().name == "ckpt_000002.pth"
    is_whole, (record,) = bench(run)
    train = record["parts"]["train"]
    assert is_whole and "--resume" in commands.given[0] and "--overwrite" not in commands.given[0]
    assert train["resumed"] == 1 and train["scores"] == {"iterations": 4}
    assert 0.0 < train["carried"] < train["seconds"]
    assert "training was cut off and went on from a checkpoint (1x)" in (bench.out / "bench.md").read_text()


def test_a_training_of_minutes_starts_over(bench, commands, run):
    run = replace(run, iterations=None, minutes=0.02)
    record = record_of(run, bench.out)
    record.begin("train", run.settings("cpu")["train"])
    is_whole, (done,) = bench(run)
    assert is_whole and "--overwrite" in commands.given[0] and "--resume" not in commands.given[0]
    assert done["parts"]["train"]["resumed"] == 0 and done["parts"]["train"]["carried"] == 0.0


def test_a_record_cut_off_or_of_another_kind_is_done_again(bench, commands, run):
    for text in ("{", "[]", '{"parts": 3}', '{"parts": {"train": []}}', '{"status": "done"}'):
        path = record_of(run, bench.out).path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        assert not record_of(run, bench.out).is_done(run.settings("cpu")), text
    assert bench(run)[0] and commands.verbs() == ["train", "evaluate"]


def test_several_devices_share_the_runs(commands, run, tmp_path, monkeypatch):
    commands.breaks = lambda arguments: "not now"
    used, meeting = [], threading.Barrier(2)

    def complete(run, out, device, command):
        if device not in used:  # the first run of each device waits for that of the other, so they are done at once
            used.append(device)
            meeting.wait(timeout=20)
        else:
            used.append(device)
        return record_of(run, out)

    monkeypatch.setattr(bench_module, "complete", complete)
    monkeypatch.setattr(bench_module.Bench, "_line", lambda self, run, record: run.name)
    lines = []
    made = Bench([replace(run, seed=seed) for seed in range(6)], tmp_path, ["cpu", "cpu:0"], commands, lines.append)
    monkeypatch.setattr(made, "all_records", lambda: [])
    made.go(lambda: None)
    assert len(used) == 6 and set(used) == {"cpu", "cpu:0"} and len(set(lines)) == 6


def test_an_error_of_the_table_itself_is_not_lost(bench, commands, run):
    made = Bench([run], bench.out, ["cpu"], commands, print)
    calls = []

    def on_change():
        calls.append(1)
        if len(calls) > 1:
            raise InputError("bench.md: cannot be written")

    with pytest.raises(InputError, match="cannot be written"):
        made.go(on_change)


def test_altered_scenes_are_noticed_and_feature_points_are_not_part_of_them(scene_folder, tmp_path):
    copy = shutil.copytree(scene_folder, tmp_path / "cup")
    assert folder_digest(copy) == folder_digest(scene_folder)
    np.savez(copy / "sfm_points.npz", points=np.zeros((3, 3)))
    assert folder_digest(copy) == folder_digest(scene_folder)
    (copy / "mask" / "000.png").unlink()
    assert folder_digest(copy) != folder_digest(scene_folder)


def test_the_built_in_scene_is_written_once(tmp_path, monkeypatch):
    monkeypatch.setattr(bench_module, "VIEWS", 2)
    monkeypatch.setattr(bench_module, "WIDTH", 16)
    monkeypatch.setattr(bench_module, "HEIGHT", 12)
    name, folder = bench_module.scene_folder("synthetic", tmp_path)
    assert name == "synthetic" and len(list((folder / "image").iterdir())) == 2
    written = (folder / "cameras_sphere.npz").stat().st_mtime_ns
    assert bench_module.scene_folder("synthetic", tmp_path) == (name, folder)
    assert (folder / "cameras_sphere.npz").stat().st_mtime_ns == written


def test_synthetic_scenes_are_named_and_written_by_their_kind(tmp_path, monkeypatch, tiny_conf):
    for name, value in (("VIEWS", 2), ("WIDTH", 32), ("HEIGHT", 24)):
        monkeypatch.setattr(bench_module, name, value)
    name, folder = bench_module.scene_folder("synthetic:house+gain@2", tmp_path)
    assert name == "synthetic:house+gain@2" and written_kind(folder) == kind_of("house+gain@2")
    assert ":" not in BenchRun(name, folder, tiny_conf, iterations=1).name
    assert bench_module.scene_folder("synthetic:cup", tmp_path)[0] == "synthetic"
    with pytest.raises(InputError, match="SHAPE one of cup, house"):
        bench_module.scene_folder("synthetic:castle", tmp_path)


def test_scenes_have_the_names_of_their_folders(scene_folder, tmp_path):
    assert bench_module.scene_folder(str(scene_folder), tmp_path) == ("cup", scene_folder)
    with pytest.raises(InputError, match="no such scene; give its folder, or `synthetic`"):
        bench_module.scene_folder(str(tmp_path / "none"), tmp_path)


def test_two_runs_of_one_name_are_refused(run, tmp_path):
    check_distinct([run, replace(run, seed=1)])
    with pytest.raises(InputError, match="requested twice"):
        check_distinct([run, replace(run, data=tmp_path / "other" / "cup")])


def test_pages_written_by_hand_are_not_replaced(tmp_path, bench, commands, run):
    page = tmp_path / "results.md"
    page.write_text("# Results\n\nby hand\n")
    with pytest.raises(InputError, match="was not written by `neus bench`"):
        check_results_path(page)
    page.unlink()
    check_results_path(page)
    write_tables(Bench([run], bench.out, ["cpu"], commands, print), "neus bench cup", page)
    check_results_path(page)
    assert "experiments.md" not in page.read_text()
    (tmp_path / "experiments.md").touch()
    write_tables(Bench([run], bench.out, ["cpu"], commands, print), "neus bench cup", page)
    assert "[experiments.md](experiments.md)" in page.read_text()


def test_only_one_benchmark_works_in_a_folder(tmp_path):
    pytest.importorskip("fcntl")
    with only_one_in(tmp_path), pytest.raises(InputError, match="another `neus bench` is at work there"):
        with only_one_in(tmp_path):
            pass
    with only_one_in(tmp_path):
        pass


def test_time_left_scales_with_runs_and_devices(run):
    done = [{"minutes": None, "parts": {"train": {"seconds": 30.0}, "evaluate": {"seconds": 10.0}}}]
    assert seconds_left([run] * 4, done, 1) == 160.0
    assert seconds_left([run] * 4, done, 2) == 80.0
