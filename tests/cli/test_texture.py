import json
import struct

import numpy as np
import pytest
import trimesh

import neus
from neus.cli import texture as options_of_texture
from neus.scenes.writers import save_scene
from neus.texturing.atlas import SIZES
from neus.texturing.textured_glb import MATERIALS
from neus.workflows import texture as workflow
from tests.cli.test_train import assert_one_line
from tests.texturing.painted import ball, ball_scene


@pytest.fixture(scope="module")
def ball_folder(tmp_path_factory):
    return save_scene(ball_scene(9, 96), tmp_path_factory.mktemp("data") / "ball")


@pytest.fixture(scope="module")
def ball_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("meshes") / "ball.ply"
    ball(3).export(path)
    return path


def test_a_mesh_is_textured_and_told_of(neus_command, ball_folder, ball_file, tmp_path):
    given = ("--data", ball_folder, "--out", tmp_path / "new" / "ball.glb", "--faces", 600, "--holdout", 4, "--unit", "mm")
    status, out, err = neus_command("texture", ball_file, *given)
    assert status == 0 and out[-1] == str(tmp_path / "new" / "ball.glb")
    text = "\n".join(out)
    assert "9 of 96x72 pixels, 3 of them held out" in text and "texture: 1024x1024 texels" in text and "% used" in text
    assert "seconds: " in text and "difference to 3 held-out images: " in text
    loaded = trimesh.load(tmp_path / "new" / "ball.glb", process=False).to_mesh()
    assert len(loaded.faces) == 600 and np.linalg.norm(loaded.vertices, axis=1).max() == pytest.approx(0.0006, rel=0.02)
    data = (tmp_path / "new" / "ball.glb").read_bytes()
    assert json.loads(data[20 : 20 + struct.unpack("<I", data[12:16])[0]])["extensionsUsed"] == ["KHR_materials_unlit"]
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["ball.glb"]


def test_the_library_returns_what_was_measured(ball_folder, ball_file, tmp_path):
    result = neus.texture_mesh(ball_file, neus.load_scene(ball_folder), tmp_path / "ball.obj", faces=None, holdout=3, size=1024)
    assert result.n_faces == 1280 and result.facts.size == 1024 and (tmp_path / "ball.mtl").is_file()
    assert result.difference.held_out and result.difference.n_views == 3 and result.difference.psnr > result.difference.psnr_of_vertices + 1
    numbers = json.loads(json.dumps(result.as_dict()))
    assert numbers["difference"]["psnr"] == result.difference.psnr and numbers["n_charts"] == result.facts.n_charts


@pytest.mark.slow
def test_the_same_scene_gives_the_same_texture(ball_folder, ball_file, tmp_path):
    result, again = (neus.texture_mesh(ball_file, ball_folder, tmp_path / name, faces=None, size=1024) for name in ("a.glb", "b.glb"))
    assert (tmp_path / "a.glb").read_bytes() == (tmp_path / "b.glb").read_bytes()
    assert np.array_equal(again.model.texture, result.model.texture) and np.allclose(again.model.uvs, result.model.uvs)


def test_a_run_gives_its_mesh_its_scene_and_the_views_it_held_out(neus_command, trained_run, tmp_path):
    assert neus_command("mesh", trained_run, "--resolution", 24, "--device", "cpu", "--unseen", "close")[0] == 0
    status, out, err = neus_command("texture", trained_run, "--out", tmp_path / "a.glb", "--faces", 500)
    assert status == 0 and out[-1] == str(tmp_path / "a.glb") and "difference to " in "\n".join(out)


def test_choices_of_the_command_are_those_of_the_library():
    assert options_of_texture.SIZES == SIZES and options_of_texture.MATERIALS == MATERIALS
    assert options_of_texture.UNITS == tuple(workflow.UNITS) and options_of_texture.FACES == workflow.FACES


@pytest.mark.parametrize(
    "options, told",
    [
        (["ball.ply", "--out", "a.fbx", "--data", "ball"], "a.fbx: unknown format of a textured model"),
        (["ball.ply", "--out", "a.glb"], "a mesh does not know its scene; give the folder with --data"),
        (["none.ply", "--out", "a.glb", "--data", "ball"], "none.ply: no such file"),
        (["ball.ply", "--out", "a.glb", "--data", "nowhere"], "nowhere: no such folder"),
        (["nowhere", "--out", "a.glb"], "nowhere: no such"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(neus_command, ball_folder, ball_file, tmp_path, monkeypatch, options, told):
    monkeypatch.chdir(tmp_path)
    places = {"ball.ply": ball_file, "ball": ball_folder}
    assert_one_line(neus_command("texture", *[places.get(word, word) for word in options]), told)
    assert list(tmp_path.iterdir()) == []


def test_without_usd_core_usdz_is_refused_first(neus_command, ball_folder, ball_file, tmp_path, monkeypatch):
    monkeypatch.setattr("neus.texturing.textured_usdz.importlib.util.find_spec", lambda name: None)
    result = neus_command("texture", ball_file, "--data", ball_folder, "--out", tmp_path / "a.usdz")
    assert_one_line(result, "USDZ needs the package usd-core")


def test_without_xatlas_a_warning_is_given_and_main_directions_are_used(neus_command, ball_folder, ball_file, tmp_path, monkeypatch):
    for module in ("neus.workflows.texture", "neus.texturing.texture"):
        monkeypatch.setattr(f"{module}.has_xatlas", lambda: False)
    status, out, err = neus_command("texture", ball_file, "--data", ball_folder, "--out", tmp_path / "a.glb", "--faces", 0)
    assert status == 0 and "xatlas is not installed" in "\n".join(err) and "1280 faces laid out by main directions" in "\n".join(out)
