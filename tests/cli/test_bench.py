import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from neus.bench.child import Children, reason_of
from neus.cli import bench as bench_verb
from tests.cli.test_train import assert_one_line

ROOT = Path(__file__).parents[2]
SHORT = ("--iterations", "2", "--holdout", "2", "--scale", "0.5", "--device", "cpu")


@pytest.fixture
def bench(neus_command, tiny_conf, scene_folder, tmp_path):
    def command(*options, scenes=(scene_folder,), conf=tiny_conf):
        return neus_command("bench", *scenes, "--conf", conf, "--out", tmp_path / "out", *options)

    return command


def test_wrong_input_is_said_before_anything_is_run(bench, tmp_path, scene_folder):
    assert_one_line(bench(*SHORT, scenes=(tmp_path / "none",)), "none: no such scene")
    assert_one_line(bench(*SHORT, conf=tmp_path / "none.conf"), "no such config file")
    assert_one_line(bench(*SHORT, scenes=(scene_folder, scene_folder)), "requested twice")
    assert_one_line(bench(*SHORT, "--seeds", "1", "1"), "requested twice")
    assert_one_line(bench(*SHORT, "--dtu-root", tmp_path / "none"), "expected DTU's Points/")
    assert_one_line(bench(*SHORT[:-1], "cpu", "cpu"), "expected different devices of one kind")
    assert_one_line(bench(*SHORT[:-1], "tpu"), "expected auto, cpu, cuda")
    assert_one_line(bench("--minutes", "1", "--iterations", "2"), "not allowed with argument")
    assert_one_line(bench("--device", "cpu"), "give --minutes or --iterations, or leave --conf out for a preset and its own")
    assert_one_line(bench(*SHORT, "--preset", "quick"), "not allowed with argument")
    (tmp_path / "by_hand.md").write_text("# Mine")
    assert_one_line(bench(*SHORT, "--results", tmp_path / "by_hand.md"), "was not written by `neus bench`")
    assert not (tmp_path / "out" / "runs").exists() and not (tmp_path / "out" / "bench.md").exists()


def test_without_a_config_each_scene_gets_the_preset_that_suits_its_masks(scene_folder, tmp_path):
    bare = shutil.copytree(scene_folder, tmp_path / "bare", ignore=shutil.ignore_patterns("mask"))
    parser = argparse.ArgumentParser()
    bench_verb.add_arguments(parser)

    def planned(*options):
        given = parser.parse_args([str(scene_folder), str(bare), "--out", str(tmp_path / "out"), *options])
        runs = bench_verb.planned_runs(given)
        words = bench_verb.command_line(given, [run.scene for run in runs])
        return [(run.scene, run.conf.name, run.minutes, run.iterations) for run in runs], words

    confs = [("cup", "quick_wmask.conf"), ("bare", "quick_womask.conf")]
    runs, words = planned()
    assert runs == [(*both, 5.0, None) for both in confs]
    assert words == "neus bench cup bare --seeds 0 --holdout 8 --device auto"
    runs, words = planned("--preset", "paper", "--iterations", "7", "8")
    assert runs == [(s, c, None, n) for s, c in (("cup", "wmask.conf"), ("bare", "womask.conf")) for n in (7, 8)]
    assert words.startswith("neus bench cup bare --preset paper --iterations 7 8 ")
    assert planned("--preset", "paper")[0][0] == ("cup", "wmask.conf", None, 300_000)


def test_out_that_is_a_file_is_refused(neus_command, tiny_conf, scene_folder, tmp_path):
    (tmp_path / "file").touch()
    result = neus_command("bench", scene_folder, "--conf", tiny_conf, "--out", tmp_path / "file", *SHORT)
    assert_one_line(result, "is a file, expected a folder")


def test_a_child_says_why_it_failed_and_its_output_is_kept(tmp_path):
    log = tmp_path / "logs" / "log.txt"
    status, reason = Children().run(["evaluate", str(tmp_path / "none")], log)
    assert status == 2 and reason.startswith(f"{tmp_path / 'none'}: no such run folder")
    assert log.read_text().startswith("$ neus evaluate")


def test_reasons_are_one_line(tmp_path):
    log = tmp_path / "log.txt"
    log.write_bytes(b"train: 10%\rtrain: 20%\nTraceback (most recent call last):\n  File\nMemoryError: much\n\n")
    assert reason_of(1, log) == "MemoryError: much"
    log.write_bytes(b"error: no scene; give one\nbye\n")
    assert (reason_of(2, log), reason_of(0, log)) == ("no scene; give one", "")
    assert "signal 9" in reason_of(-9, log)
    log.write_bytes(b"")
    assert reason_of(3, log) == "exit status 3"


def wait_until(condition, process, seconds=180):
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()[0]
        time.sleep(0.05)


def is_training(folder):
    """Whether some process has the training of a run folder in its arguments."""
    lines = subprocess.run(["ps", "-eo", "stat,args"], capture_output=True, text=True).stdout.splitlines()
    return any("neus.bench.child" in x and str(folder) in x and not x.startswith("Z") for x in lines)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for processes as Linux lists them")
def test_killed_and_started_again_it_goes_on_and_leaves_no_process_behind(tiny_conf, scene_folder, tmp_path):
    out = tmp_path / "out"
    command = [sys.executable, "-m", "neus", "bench", scene_folder, "--conf", tiny_conf, "--out", out]
    command += [*SHORT[2:], "--set", "train.save_freq=20"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}

    def start(n):
        words = [str(c) for c in [*command, "--iterations", n]]
        return subprocess.Popen(
            words, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            # Tests that run in the background of a shell inherit that interrupts are ignored.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )  # fmt: skip

    process = start(100_000)
    try:
        wait_until(lambda: any(out.glob("runs/*/*/checkpoints/ckpt_*.pth")), process)
    finally:
        process.send_signal(signal.SIGKILL)
    process.communicate()
    deadline = time.monotonic() + 10
    while is_training(out):
        assert time.monotonic() < deadline, "the training outlived the benchmark that started it"
        time.sleep(0.05)
    (record,) = out.glob("records/*/*.json")
    assert json.loads(record.read_text())["status"] == "begun"
    again = start(100_000)
    try:
        wait_until(lambda: json.loads(record.read_text())["parts"]["train"]["resumed"] == 1, again)
        again.send_signal(signal.SIGINT)
        said, _ = again.communicate(timeout=120)
    finally:
        again.kill()
    assert again.returncode == 130 and "the same command resumes" in said and "Traceback" not in said
    (log,) = out.glob("logs/*/*.txt")
    assert "--overwrite" in log.read_text() and "--resume" in log.read_text()
    assert "not run yet" in (out / "bench.md").read_text()
