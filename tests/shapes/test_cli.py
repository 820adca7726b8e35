"""`neus prior ...`: every action on real files, its last line the path of what it made; bad input in one line."""

import json
import shutil

import numpy as np
import pytest
import torch
import trimesh

from neus.cli.prior import ACTIONS
from neus.cli.prior_fits import EXPERIMENTS
from neus.shapes.exact_views import camera_around, exact_view
from neus.shapes.experiment_files import read_codes
from neus.shapes.measures import field_mesh
from neus.shapes.prior import load_prior
from neus.shapes.truth import data_of, split_of, truth_of
from neus.workflows import prior_experiment
from tests.cli.test_train import assert_one_line


@pytest.fixture(autouse=True)
def coarse_images(monkeypatch):
    """Shapes that are only looked at are meshed on a coarse lattice."""
    monkeypatch.setattr("neus.workflows.prior.SHOWN_RESOLUTION", 24)


@pytest.fixture
def run(bottle_run, tmp_path):
    """A copy beside the data, so that what is written there is nobody's."""
    folder = bottle_run.parent / f"copy_{tmp_path.name}"
    shutil.copytree(bottle_run, folder)
    yield folder
    shutil.rmtree(folder)


def test_data_train_resume_and_mesh(neus_command, tmp_path):
    data, run = tmp_path / "data", tmp_path / "run"
    status, out, _ = neus_command("prior", "data", "--family", "bottle,table", "--n", 4, "--test", 1, "--samples", 500, "--out", data)
    assert status == 0 and out[-1] == str(data) and out[-2] == "4 shapes to train on, 1 held out"
    size = ("--width", 16, "--layers", 2, "--code", 3)
    status, out, _ = neus_command("prior", "train", data, "--run", run, "--epochs", 150, *size)
    assert status == 0 and out[-1] == str(run / "shapes.png") and (run / "shapes.png").is_file()
    assert_one_line(neus_command("prior", "train", data, "--run", run), "continue it with --resume")
    status, out, _ = neus_command("prior", "train", "--run", run, "--resume", "--epochs", 160)
    assert status == 0 and out[-2].startswith("160 steps")
    status, out, _ = neus_command("prior", "mesh", run, "--shape", 1, "--resolution", 32)
    assert status == 0 and trimesh.load(out[-1]).is_watertight


def test_a_held_out_shape_is_fitted_and_its_code_can_be_meshed_again(neus_command, run, monkeypatch):
    prior = load_prior(run)
    name = split_of(prior, "test")[0]
    samples = data_of(prior) / "SdfSamples" / f"{name}.npz"
    monkeypatch.setattr("neus.shapes.fit.ADAM_STEPS", 20)
    for method in ("lm", "adam"):
        out = run / method
        status, lines, _ = neus_command("prior", "fit", run, samples, "--resolution", 48, "--method", method, "--out", out)
        assert status == 0 and lines[-1] == str(out / "mesh.ply") and lines[-2].startswith("against the truth")
        record = json.loads((out / "fit.json").read_text())
        assert record["error"]["completeness"] < (0.05 if method == "lm" else 0.3) and (out / "fit.png").is_file()
    np.testing.assert_allclose(read_codes(run / "lm" / "code.pth")[0], np.load(run / "lm" / "code.npy"))
    again = run / "again.ply"
    status, lines, _ = neus_command("prior", "mesh", run, "--code", run / "lm" / "code.pth", "--resolution", 48, "--out", again)
    assert status == 0
    np.testing.assert_allclose(trimesh.load(again).bounds, trimesh.load(run / "lm" / "mesh.ply").bounds, atol=1e-4)


@pytest.mark.slow
def test_a_mesh_in_its_own_units_is_fitted_in_them(neus_command, run, tmp_path):
    prior = load_prior(run)
    mesh = field_mesh(prior.field(prior.codes[0]), 48).apply_scale(100.0).apply_translation([500.0, 0.0, 0.0])
    mesh.export(tmp_path / "bottle.stl")
    status, lines, _ = neus_command("prior", "fit", run, tmp_path / "bottle.stl", "--resolution", 48, "--out", tmp_path / "out")
    assert status == 0
    np.testing.assert_allclose(trimesh.load(lines[-1]).bounds, mesh.bounds, atol=6.0)


def test_a_depth_map_is_completed(neus_command, run, tmp_path):
    prior = load_prior(run)
    view = exact_view(truth_of(data_of(prior), split_of(prior, "test")[0]), camera_around(0.5, size=32))
    np.save(tmp_path / "view.npy", view.depth)
    camera = {"intrinsics": view.camera.intrinsics.tolist(), "camera_to_world": view.camera.camera_to_scene.tolist()}
    (tmp_path / "camera.json").write_text(json.dumps(camera))
    files = ("--depth", tmp_path / "view.npy", "--camera", tmp_path / "camera.json", "--resolution", 48)
    for more in ((), ("--pose",)):
        status, lines, _ = neus_command("prior", "complete", run, *files, *more, "--out", tmp_path / "out")
        assert status == 0 and trimesh.load(lines[-1]).is_watertight
    camera["camera_to_world"][0][3] += 30.0
    (tmp_path / "camera.json").write_text(json.dumps(camera))
    assert_one_line(neus_command("prior", "complete", run, *files), "give the camera in that frame, or --pose")


def test_shapes_between_two_are_closed(neus_command, run, tmp_path):
    status, lines, _ = neus_command("prior", "interpolate", run, 0, "bottle_0003", "--steps", 3, "--resolution", 40, "--out", tmp_path)
    assert status == 0 and lines[-1] == str(tmp_path / "interpolation.png")
    steps = json.loads((tmp_path / "interpolation.json").read_text())
    assert [step["part"] for step in steps] == [0.0, 0.5, 1.0] and all(step["closed"] for step in steps)


SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in ("unknown", "completion", "copying", "interpolation")]


@pytest.mark.parametrize("name", ["known", *SLOW])
def test_experiments_leave_a_table_and_an_image(neus_command, run, name):
    status, lines, _ = neus_command("prior", "experiment", run, name, "--n", 1)
    assert status == 0 and lines[-1] == str(run / "experiments" / f"{name}.md")
    record = json.loads((run / "experiments" / f"{name}.json").read_text())
    assert len(record["rows"]) == 1 and record["checks"] and (run / "experiments" / f"{name}.png").is_file()


def test_the_pose_experiment_says_that_bottles_have_no_angle(neus_command, run):
    status, _, err = neus_command("prior", "experiment", run, "pose", "--n", 1)
    assert status == 2 and "round about an axis" in err[-1]


def test_the_command_line_knows_every_experiment_and_action():
    assert EXPERIMENTS == tuple(prior_experiment.EXPERIMENTS)
    assert [name for name, *_ in ACTIONS] == [
        "data", "train", "mesh", "fit", "complete", "interpolate", "experiment", "demo",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("data", "--out", "x"), "give a folder of meshes or --family"),
        (("data", "--family", "spoon", "--out", "x"), "family 'spoon'"),
        (("data", "nowhere", "--out", "x"), "no such folder"),
        (("train", "nowhere", "--run", "x"), "no SdfSamples in it"),
        (("train", "--run", "x"), "give a data folder"),
        (("train", "--run", "RUN", "--resume", "--device", "cuda:7"), "cuda:7"),
        (("mesh", "nowhere", "--shape", "0"), "no such folder"),
        (("mesh", "RUN"), "give --shape or --code"),
        (("mesh", "RUN", "--shape", "77"), "no shape 77; it has shapes 0 to 7"),
        (("mesh", "RUN", "--shape", "0", "--epoch", "5"), "no such file; the experiment has latest"),
        (("fit", "RUN", "nothing.npz"), "no such file"),
        (("fit", "RUN", "nothing.ply"), "no such file"),
        (("interpolate", "RUN", "0", "x"), "0 shapes are named 'x'"),
        (("experiment", "RUN", "luck"), "invalid choice"),
    ],
)
def test_bad_input_is_one_line(neus_command, bottle_run, elsewhere, arguments, said):
    result = neus_command("prior", *(bottle_run if argument == "RUN" else argument for argument in arguments))
    assert_one_line(result, said)


def test_damaged_files_of_an_experiment_are_named(neus_command, run):
    (run / "LatentCodes" / "latest.pth").write_bytes(b"broken")
    assert_one_line(neus_command("prior", "mesh", run, "--shape", 0), "LatentCodes/latest.pth: no readable torch file")
    torch.save({"epoch": 1, "latent_codes": {"weight": torch.zeros(8, 9)}}, run / "LatentCodes" / "latest.pth")
    assert_one_line(neus_command("prior", "mesh", run, "--shape", 0), "codes of length 9, specs.json has CodeLength 4")
