import json
import math
import shutil

import numpy as np
import pytest

import neus
from neus.rendering.views import render_view
from neus.runs.run import Run
from tests.cli.test_train import assert_one_line


@pytest.fixture
def evaluate(neus_command, trained_run):
    def command(*options, source=trained_run):
        return neus_command("evaluate", source, "--device", "cpu", *options)

    return command


def test_held_out_views_are_measured_and_the_numbers_lie_where_the_last_line_says(evaluate, trained_run, tmp_path):
    status, out, err = evaluate("--out", tmp_path / "new" / "numbers.json")
    assert status == 0 and out[-1] == str(tmp_path / "new" / "numbers.json") and not err
    result = json.loads((tmp_path / "new" / "numbers.json").read_text())
    assert [view["view"] for view in result["views"]] == [0, 2]
    assert (result["checkpoint"], result["n_held_out"]) == ("ckpt_000006.pth", 2)
    assert {"psnr", "ssim", "psnr_masked", "ssim_masked", "mask_error"} <= set(result["mean"])
    assert result["mean"]["psnr"] == pytest.approx(np.mean([view["psnr"] for view in result["views"]]), abs=1e-5)
    model, scene = neus.load_model(trained_run), Run(trained_run).scene()
    seen = render_view(model, scene.camera(2)).rgb.numpy()
    error = np.square(seen - scene.images[2] / 255.0).mean()
    assert result["views"][1]["psnr"] == pytest.approx(-10 * math.log10(error), abs=1e-3)
    assert ["psnr", f"{result['mean']['psnr']:.4g}"] in [line.split() for line in out]
    assert "psnr_masked" in result["views"][0] and isinstance(result["lpips"], str)


def test_at_a_smaller_size(evaluate, tmp_path):
    assert evaluate("--scale", 0.5, "--out", tmp_path / "a.json")[0] == 0
    assert json.loads((tmp_path / "a.json").read_text())["scale"] == 0.5


def test_without_out_the_numbers_lie_in_the_run_which_may_have_moved(evaluate, trained_run, tmp_path):
    run = shutil.copytree(trained_run, tmp_path / "run")
    assert evaluate(source=run)[1][-1] == str(run / "evaluation.json")


def test_a_scene_that_has_moved_is_asked_for(evaluate, trained_run, scene_folder, tmp_path):
    run = shutil.copytree(trained_run, tmp_path / "run")
    facts = json.loads((run / "run.json").read_text()) | {"scene": str(tmp_path / "gone")}
    (run / "run.json").write_text(json.dumps(facts))
    assert_one_line(
        evaluate(source=run), "gone: the scene of this run is no longer there; give its new path with --data"
    )
    assert evaluate("--data", scene_folder, source=run)[0] == 0


def test_a_run_without_held_out_views_cannot_be_measured(evaluate, trained_run, tmp_path):
    run = shutil.copytree(trained_run, tmp_path / "run")
    facts = json.loads((run / "run.json").read_text()) | {"held_out_views": []}
    (run / "run.json").write_text(json.dumps(facts))
    assert_one_line(
        evaluate(source=run), "no view was held out, so there is nothing to measure on; train with --holdout"
    )


def test_wrong_input_is_explained(evaluate, trained_run, tmp_path):
    assert_one_line(evaluate(source=tmp_path / "none"), "none: no such run folder")
    assert_one_line(evaluate(source=tmp_path), "no checkpoint yet")
    run = shutil.copytree(trained_run, tmp_path / "run")
    (run / "run.json").write_text("{")
    assert_one_line(evaluate(source=run), "run.json: missing or damaged")


def test_views_too_small_to_be_measured_are_refused(evaluate, tmp_path):
    assert_one_line(evaluate("--scale", 0.25, "--out", tmp_path / "a.json"), "8x6 pixels, SSIM needs 11 each way")


def test_a_place_that_cannot_be_written_is_named(evaluate, tmp_path):
    (tmp_path / "file").touch()
    status, _, err = evaluate("--scale", 0.5, "--out", tmp_path / "file" / "a.json")
    assert status == 2 and len(err) == 1 and "a.json: cannot be written" in err[0]
