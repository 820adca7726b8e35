import html
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import trimesh

from neus.reports import report
from neus.runs.session import read_sessions
from neus.training.metrics import read_metrics
from neus.workflows import train as workflow
from tests.cli.test_train import assert_one_line
from tests.reports.pages import problems_of

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome", "headless_shell")


def words_of(path):
    """The text of a page, without styles and markup."""
    return re.sub(
        r"<[^>]+>", " ", re.sub(r"<style>.*?</style>", "", Path(path).read_text(encoding="utf-8"), flags=re.S)
    )


@pytest.fixture
def train(neus_command, tiny_conf, scene_folder, tmp_path):
    def command(*options):
        given = ("--conf", tiny_conf, "--data", scene_folder, "--run", tmp_path / "run", "--device", "cpu")
        return neus_command("train", *given, *options)

    return command


@pytest.fixture
def run(trained_run, tmp_path):
    return shutil.copytree(trained_run, tmp_path / "copy")


@pytest.fixture(scope="module")
def page(trained_run, tmp_path_factory):
    run = shutil.copytree(trained_run, tmp_path_factory.mktemp("report") / "run")
    return report.write_report(run, seconds=0.5, device="cpu")


def test_training_ends_with_a_report_that_says_what_was_run(train, tmp_path):
    status, out, err = train("--holdout", "2", "--seed", "3")
    path = tmp_path / "run" / "report.html"
    assert status == 0 and not err and out[-2:] == [f"report: {path}", str(tmp_path / "run")]
    words = words_of(path)
    for said in ("Views", "Mesh", "Curves", "Where time went", "What was run", "neus train --conf", "--seed 3", "cup"):
        assert said in words
    assert "iterations 0 to 6, finished" in words and "2 of them held out: [0, 2]" in words
    assert problems_of(path.read_text()) == []


def test_no_page_shows_where_things_lie(neus_command, tiny_conf, scene_folder, trained_run, tmp_path):
    scene, run = shutil.copytree(scene_folder, tmp_path / "my own" / "cup"), tmp_path / "run"
    given = ("--conf", tiny_conf, "--data", scene, "--run", run, "--device", "cpu")
    assert neus_command("train", *given)[0] == 0
    (session,) = read_sessions(run)
    told = f"{scene}: two masks are alike, see '{tmp_path}/my own/notes.txt' and {tiny_conf}."
    (run / "sessions.jsonl").write_text(json.dumps(session | {"warnings": [told]}))
    assert neus_command("report", run, "--device", "cpu", "--seconds", "0.5")[0] == 0
    assert neus_command("compare", run, trained_run, "--device", "cpu", "--out", tmp_path / "compare.html")[0] == 0
    for page in (run / "report.html", tmp_path / "compare.html"):
        words = html.unescape(words_of(page))
        folders = {f"{path}/" for start in (scene, run, tiny_conf) for path in start.parents if path.name}
        assert [folder for folder in folders if folder in words] == []
    words = html.unescape(words_of(run / "report.html"))
    assert "cup: two masks are alike, see 'notes.txt' and" in words and f"--conf {tiny_conf.name} --data" in words


@pytest.mark.parametrize("newest", ["mesh.ply", "meshes/mesh.ply"])
def test_the_newest_mesh_of_a_run_is_shown(run, newest):
    """NeuS writes meshes/mesh.ply, `neus mesh` mesh.ply; each may be older than the other."""
    (run / "meshes").mkdir(exist_ok=True)
    for name, radius in (("mesh.ply", 1.0), ("meshes/mesh.ply", 2.0)):
        trimesh.creation.icosphere(1, radius).export(run / name)
        os.utime(run / name, (1e9, 2e9 if name == newest else 1e9))
    mesh, remark = report.mesh_to_show(run, None, 1.0)
    assert remark == "" and mesh.bounds[1, 2] == pytest.approx(1.0 if newest == "mesh.ply" else 2.0)


def test_the_report_needs_nothing_beside_it_and_is_small(page):
    text = page.read_text(encoding="utf-8")
    assert problems_of(text) == [] and "http" not in text and "<script" not in text
    assert page.stat().st_size < 10e6 and 'name="viewport"' in text and "prefers-color-scheme:dark" in text
    assert text.count("<svg") == 4


def test_a_failing_report_loses_nothing_and_says_so_in_one_line(train, tmp_path, monkeypatch):
    def broken(*arguments, **options):
        raise ZeroDivisionError("of the\nworst kind")

    monkeypatch.setattr(report, "gathered", broken)
    monkeypatch.setattr(workflow, "MESH_RESOLUTION", 32)
    status, out, err = train("--iterations", "2", "--set", "train.save_freq=2")
    run = tmp_path / "run"
    assert status == 0 and out[-1] == str(run)
    assert [line for line in out + err if "report.html" in line] == [
        f"warning: no report.html is written (of the worst kind); the run is whole. Try `neus report {run}`."
    ]
    assert (run / "checkpoints" / "ckpt_000002.pth").is_file() and not (run / "report.html").exists()


def test_a_run_of_two_sessions_shows_both(train, tmp_path, neus_command):
    train("--set", "train.end_iter=3")
    train("--resume")
    sessions = read_sessions(tmp_path / "run")
    assert [(s["from_iteration"], s["iteration"], s["state"]) for s in sessions] == [
        (0, 3, "finished"),
        (3, 6, "finished"),
    ]
    words = words_of(tmp_path / "run" / "report.html")
    assert "Of 2 sessions together" in words and "command 2" in words
    assert [m["iteration"] for m in read_metrics(tmp_path / "run" / "metrics.jsonl")] == [1, 2, 3, 4, 5, 6]


def test_the_report_is_made_again_of_the_mesh_that_lies_there(neus_command, run):
    ball = trimesh.creation.icosphere(subdivisions=2, radius=10.0)
    ball.export(run / "mesh.ply")
    status, out, err = neus_command("report", run, "--device", "cpu", "--seconds", "0.5")
    assert status == 0 and not err and out == [str(run / "report.html")]
    words = words_of(run / "report.html")
    assert "From mesh.ply" in words and "320" in words and "cubic world units" in words
    (run / "mesh.ply").write_bytes(trimesh.Trimesh(ball.vertices, ball.faces[:-5]).export(file_type="ply"))
    neus_command("report", run, "--device", "cpu", "--seconds", "0.5")
    assert "not watertight" in words_of(run / "report.html")


def test_a_run_that_noted_less_is_reported_all_the_same(neus_command, run):
    (run / "sessions.jsonl").unlink()
    (run / "metrics.jsonl").unlink()
    assert neus_command("report", run, "--device", "cpu", "--seconds", "0.5")[0] == 0
    words = words_of(run / "report.html")
    assert "nothing was recorded" in words and "before sessions were noted" in words


def test_an_interrupted_run_says_so(neus_command, run):
    (session,) = read_sessions(run)
    (run / "sessions.jsonl").write_text(json.dumps(session | {"state": "under way", "warnings": ["masks are <white>"]}))
    assert neus_command("report", run, "--device", "cpu", "--seconds", "0.5")[0] == 0
    words = words_of(run / "report.html")
    assert "was killed or is still running" in words and "masks are &lt;white&gt;" in words


def test_what_is_no_run_is_named(neus_command, tmp_path, run):
    assert_one_line(neus_command("report", tmp_path / "none"), "none: no such run folder")
    (tmp_path / "empty").mkdir()
    assert_one_line(neus_command("report", tmp_path / "empty"), "no checkpoint yet")
    (run / "run.json").unlink()
    assert_one_line(neus_command("report", run), "run.json: missing or damaged")


def test_a_browser_shows_the_report_without_complaint(page, tmp_path):
    browser = os.environ.get("NEUS_TEST_BROWSER") or next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        pytest.skip("no Chromium on this machine (NEUS_TEST_BROWSER names one)")
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    options += ["--enable-logging=stderr", "--window-size=1280,900", "--virtual-time-budget=2000"]
    shot = tmp_path / "page.png"
    done = subprocess.run(
        [browser, *options, f"--screenshot={shot}", page.as_uri()], capture_output=True, text=True, timeout=60
    )
    assert shot.stat().st_size > 10_000 and "CONSOLE" not in done.stderr


def test_the_report_says_how_far_the_mesh_is_from_held_out_images_once_that_is_measured(neus_command, run):
    trimesh.creation.icosphere(2, 20.0).export(run / "mesh.ply")
    assert neus_command("report", run, "--device", "cpu", "--seconds", "0.5")[0] == 0
    assert "held-out images agree best" not in words_of(run / "report.html")
    dense = {"offset_px": 0.25, "offset_px_90": 1.5, "offset": 0.125, "covered": 0.84, "disagreeing": 0.17}
    numbers = {"checkpoint": "ckpt_000006.pth", "n_held_out": 2, "mean": {"psnr": 20.0}, "dense": dense}
    (run / "evaluation.json").write_text(json.dumps(numbers))
    assert neus_command("report", run, "--device", "cpu", "--seconds", "0.5")[0] == 0
    words = words_of(run / "report.html")
    assert "0.25 px (0.125 world units) median, 1.50 px 90 % quantile; on 84 % of the object" in words
