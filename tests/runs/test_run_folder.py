import json
import math

import pytest

from neus.errors import InputError
from neus.runs.run_folder import RunFolder, read_evaluation

FACTS = {"scene": "/somewhere", "held_out_views": [0], "seed": 3}


@pytest.fixture
def run(tmp_path):
    return RunFolder(tmp_path / "deep" / "run")


def prepared(run, config, resume=False, overwrite=False):
    run.prepare(config, FACTS, resume, overwrite)
    return run


def test_a_new_folder_records_settings_and_facts(run, tiny_config):
    assert not run.holds_a_run()
    prepared(run, tiny_config)
    assert not run.holds_a_run() and run.checkpoints.is_dir()
    assert run.config() == tiny_config
    assert run.facts()["scene"] == "/somewhere" and "torch" in run.facts()["versions"]
    assert (run.path / "recording" / "config.conf").read_text() == (run.path / "config.conf").read_text()


def test_a_folder_with_other_files_is_used(run, tiny_config):
    run.path.mkdir(parents=True)
    (run.path / "notes.txt").write_text("mine")
    prepared(run, tiny_config)
    assert (run.path / "notes.txt").read_text() == "mine"


def test_another_run_is_not_written_over(run, tiny_config):
    prepared(run, tiny_config)
    prepared(run, tiny_config)  # nothing was trained yet, so nothing is lost
    (run.checkpoints / "ckpt_000010.pth").touch()
    with pytest.raises(InputError, match=r"already holds a run; continue it with --resume.*replace it with --overwrite"):
        prepared(run, tiny_config)


def test_folders_of_others_are_left_alone_where_no_run_was(run, tiny_config):
    (run.path / "logs").mkdir(parents=True)
    (run.path / "logs" / "mine").touch()
    prepared(run, tiny_config)
    assert (run.path / "logs" / "mine").exists()


@pytest.mark.parametrize("theirs", ["notes.txt", "run.json"])
def test_overwrite_leaves_a_folder_alone_that_never_was_a_run(run, tiny_config, theirs):
    run.path.mkdir(parents=True)
    (run.path / theirs).write_text('{"name": "mine"}')
    for name in ("logs/mine.txt", "checkpoints/mine.txt", "render/mine.txt", "evaluation_paper.json", "config.conf"):
        (run.path / name).parent.mkdir(parents=True, exist_ok=True)
        (run.path / name).write_text("mine")
    before = sorted(path.relative_to(run.path) for path in run.path.rglob("*"))
    with pytest.raises(InputError, match="--overwrite would remove .*no run was trained there"):
        prepared(run, tiny_config, overwrite=True)
    assert sorted(path.relative_to(run.path) for path in run.path.rglob("*")) == before
    assert (run.path / "config.conf").read_text() == "mine"


def test_without_overwrite_nothing_is_removed_where_a_run_was_begun(run, tiny_config):
    prepared(run, tiny_config)
    (run.path / "render").mkdir()
    (run.path / "render" / "mine.png").touch()
    prepared(run, tiny_config)
    assert (run.path / "render" / "mine.png").exists()


def test_a_folder_with_checkpoints_alone_holds_a_run(run, tiny_config):
    run.checkpoints.mkdir(parents=True)
    (run.checkpoints / "ckpt_000010.pth").touch()
    with pytest.raises(InputError, match="already holds a run"):
        prepared(run, tiny_config)


def test_overwrite_removes_what_a_run_wrote_and_nothing_else(run, tiny_config):
    prepared(run, tiny_config)
    (run.checkpoints / "ckpt_000010.pth").touch()
    (run.path / "metrics.jsonl").touch()
    (run.path / "meshes").mkdir()
    (run.path / "notes.txt").write_text("mine")
    prepared(run, tiny_config, overwrite=True)
    assert not list(run.checkpoints.iterdir())
    assert not (run.path / "metrics.jsonl").exists() and not (run.path / "meshes").exists()
    assert (run.path / "notes.txt").read_text() == "mine"


def test_resuming_keeps_everything(run, tiny_config):
    prepared(run, tiny_config)
    (run.checkpoints / "ckpt_000010.pth").touch()
    prepared(run, tiny_config, resume=True)
    assert (run.checkpoints / "ckpt_000010.pth").exists()


def test_there_must_be_something_to_resume(run, tiny_config):
    with pytest.raises(InputError, match="no such run folder"):
        prepared(run, tiny_config, resume=True)
    prepared(run, tiny_config)
    with pytest.raises(InputError, match="no checkpoint yet"):
        prepared(run, tiny_config, resume=True)


def test_the_newest_checkpoint_is_the_one_of_the_highest_iteration(run):
    run.checkpoints.mkdir(parents=True)
    for name in ("ckpt_999999.pth", "ckpt_1000000.pth", "ckpt_000001.pth", "ckpt_final.pth", "ckpt_2000000.pth.part"):
        (run.checkpoints / name).touch()
    assert run.latest_checkpoint().name == "ckpt_1000000.pth"


def test_a_file_is_no_folder(tmp_path, tiny_config):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="is a file, expected a folder"):
        prepared(RunFolder(tmp_path / "file"), tiny_config)
    with pytest.raises(InputError, match="cannot be written"):
        prepared(RunFolder(tmp_path / "file" / "run"), tiny_config)


@pytest.mark.parametrize("content", [None, "", "{", "[1, 2]", "{}"])
def test_damaged_facts_are_named(run, content):
    run.path.mkdir(parents=True)
    if content is not None:
        (run.path / "run.json").write_text(content)
    with pytest.raises(InputError, match="run.json: missing or damaged"):
        run.facts()


def test_facts_are_plain_json(run, tiny_config):
    prepared(run, tiny_config)
    assert json.loads((run.path / "run.json").read_text())["held_out_views"] == [0]


def test_a_mean_that_is_null_is_read_as_no_number(tmp_path):
    (tmp_path / "evaluation.json").write_text('{"checkpoint": "a.pth", "mean": {"psnr": null, "ssim": 0.5}}')
    mean = read_evaluation(tmp_path, "a.pth")["mean"]
    assert math.isnan(mean["psnr"]) and mean["ssim"] == 0.5
    assert read_evaluation(tmp_path, "b.pth") is None


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize(
    "names",
    [
        ["run.json", "logs/mine.txt"],
        ["config.conf", "render/mine.txt"],
        ["checkpoints/ckpt_000010.pth", "render/mine.txt"],
    ],
    ids=str,
)
def test_files_of_others_with_the_names_of_a_run_stay_as_they_are(run, tiny_config, names, overwrite):
    for name in names:
        (run.path / name).parent.mkdir(parents=True, exist_ok=True)
        (run.path / name).write_text("{}")
    with pytest.raises(InputError, match="no run was trained there|already holds a run"):
        prepared(run, tiny_config, overwrite=overwrite)
    assert sorted(str(p.relative_to(run.path)) for p in run.path.rglob("*") if p.is_file()) == sorted(names)
    assert all((run.path / name).read_text() == "{}" for name in names)


def test_a_published_run_is_replaced_if_asked(run, tiny_config):
    for name in ("checkpoints/ckpt_000010.pth", "recording/config.conf"):
        (run.path / name).parent.mkdir(parents=True, exist_ok=True)
        (run.path / name).touch()
    prepared(run, tiny_config, overwrite=True)
    assert not run.holds_a_run() and run.config() == tiny_config
