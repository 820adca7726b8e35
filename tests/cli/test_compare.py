import shutil
from dataclasses import replace

import numpy as np
import pytest
from trimesh.creation import icosphere

from neus.errors import InputError
from neus.reports.compare import check_same_images
from neus.runs.run_folder import RunFolder
from neus.runs.train import train
from neus.scenes.readers import read_scene
from neus.scenes.synthetic import write_synthetic
from tests.cli.test_report import words_of
from tests.cli.test_train import assert_one_line
from tests.reports.pages import problems_of


@pytest.fixture(scope="module")
def other_run(tmp_path_factory, tiny_config):
    folder = tmp_path_factory.mktemp("other") / "faster"
    training = replace(tiny_config.train, learning_rate=0.005, end_iter=3)
    config = replace(tiny_config, train=training, dataset=replace(tiny_config.dataset, holdout=3))
    train(config, RunFolder(folder), device="cpu")
    return folder


def test_two_runs_stand_side_by_side_with_their_differences(neus_command, trained_run, other_run, tmp_path):
    out = tmp_path / "new" / "both.html"
    options = ("--out", out, "--seconds", "0.5", "--device", "cpu")
    status, said, err = neus_command("compare", trained_run, other_run, *options)
    assert status == 0 and said == [str(out)] and not err
    words, text = words_of(out), out.read_text(encoding="utf-8")
    assert problems_of(text) == [] and len(text) < 10e6
    for expected in (
        "A: run",
        "B: faster",
        "train.learning_rate",
        "0.005",
        "dataset.holdout",
        "A: render",
        "B: render",
    ):
        assert expected in words
    # Held out in both: view 0 alone.
    assert "view 0 (000.png)" in words and "view 2" not in words and "view 3" not in words
    assert "train.batch_size" not in words


def test_a_mesh_that_took_too_long_a_second_time_is_not_missed(
    neus_command, trained_run, other_run, tmp_path, monkeypatch
):
    made = []

    def quick_at_first(folder, model, seconds):
        made.append(folder)
        return (icosphere(), "made for this page") if len(made) <= 2 else (None, "too slow")

    for module in ("report", "compare"):
        monkeypatch.setattr(f"neus.reports.{module}.mesh_to_show", quick_at_first, raising=False)
    out = tmp_path / "both.html"
    status, _, err = neus_command("compare", trained_run, other_run, "--out", out, "--seconds", "0.5", "--device", "cpu")
    assert status == 0 and not err and made == [trained_run, other_run]
    assert "Both at one scale" in words_of(out)


def test_what_cannot_be_compared_is_refused_in_one_line(neus_command, trained_run, other_run, tmp_path):
    page = ("--out", tmp_path / "page.html")
    assert_one_line(neus_command("compare", trained_run, tmp_path / "none", *page), "none: no such run folder")
    assert_one_line(neus_command("compare", trained_run, trained_run, *page), "both are the same run")
    assert_one_line(neus_command("compare", trained_run, other_run, "--out", tmp_path / "a.png"), "ending in .html")
    assert not (tmp_path / "page.html").exists()


def test_runs_of_different_scenes_are_refused(neus_command, trained_run, tiny_config, tmp_path):
    write_synthetic(tmp_path / "more", views=5, width=32, height=24, antialias=1)
    config = replace(tiny_config, dataset=replace(tiny_config.dataset, data_dir=str(tmp_path / "more")))
    train(config, RunFolder(tmp_path / "run"), device="cpu")
    result = neus_command("compare", trained_run, tmp_path / "run", "--out", tmp_path / "page.html")
    assert_one_line(result, "of different scenes")
    assert "4 and 5 views" in result[2][0] and not (tmp_path / "page.html").exists()


def test_scenes_are_distinguished_by_their_images_not_by_their_path(scene_folder, tmp_path):
    folders = (tmp_path / "a", tmp_path / "b")
    scene = read_scene(scene_folder)
    moved = read_scene(shutil.copytree(scene_folder, tmp_path / "elsewhere"))
    check_same_images(folders, [scene, moved])
    darker = replace(moved, images=[np.zeros_like(image) for image in moved.images])
    with pytest.raises(InputError, match="another image 000.png"):
        check_same_images(folders, [scene, darker])
