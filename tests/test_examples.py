"""The examples run, and say what is true."""

import importlib.util
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import trimesh

from neus.geometry.similarity import scale_of

FOLDER = Path(__file__).parents[1] / "examples"


def example(name):
    spec = importlib.util.spec_from_file_location(f"example_{name}", FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def run(monkeypatch, capsys):
    def command(name, *arguments):
        monkeypatch.setattr(sys, "argv", [f"{name}.py", *map(str, arguments)])
        example(name).main()
        return capsys.readouterr().out

    return command


def test_querying_a_torus_gives_its_distances_and_volume(run, tmp_path):
    said = run("query_a_field", "--out", tmp_path)
    # Ring of 50, tube of 20: from the middle 30 to the tube, the ring itself is 20 deep, 90 is 20 outside.
    assert "signed distances: [30.0, -20.0, 20.0]" in said and "hits after 130.00" in said
    volume = float(re.search(r"volume (\d+)", said)[1])
    assert volume == pytest.approx(2 * np.pi**2 * 50 * 20**2, rel=0.01)
    assert trimesh.load_mesh(tmp_path / "mesh.ply").is_watertight and (tmp_path / "view.png").is_file()


def test_the_scene_of_arrays_is_where_the_ball_is(run):
    own_data = example("own_data")
    scene = own_data.ball_scene(12)
    assert len(scene) == 12 and scene.masks is not None
    center, radius = scene.scene_to_world[:3, 3].numpy(), scale_of(scene.scene_to_world)
    assert np.linalg.norm(center - own_data.CENTER) + own_data.RADIUS < radius < 2 * own_data.RADIUS


def test_own_data_are_trained_without_a_folder(run, tmp_path, tiny_conf, monkeypatch):
    monkeypatch.setattr("neus.workflows.train.MESH_RESOLUTION", 24)
    said = run("own_data", "--iterations", 2, "--preset", tiny_conf, "--out", tmp_path / "run")
    # An untrained network is a sphere within the region's: no more than that is asked here.
    assert float(re.search(r"mean ([\d.]+) mm", said)[1]) < 30
    assert (tmp_path / "run" / "mesh.ply").is_file()


@pytest.mark.slow
def test_own_data_give_the_ball(run, tmp_path, monkeypatch):
    monkeypatch.setattr("neus.workflows.train.MESH_RESOLUTION", 128)
    said = run("own_data", "--iterations", 60, "--out", tmp_path / "run")
    assert float(re.search(r"mean ([\d.]+) mm", said)[1]) < 0.6  # a pixel is 1 mm on the ball
    mesh = trimesh.load_mesh(tmp_path / "run" / "mesh.ply")
    assert np.abs(np.linalg.norm(mesh.vertices - example("own_data").CENTER, axis=1) - 30.0).mean() < 0.6


def test_comparing_meshes_finds_the_dent(run, tmp_path):
    said = run("compare_meshes", "--out", tmp_path / "colored.ply")
    assert float(re.search(r"farthest +([\d.]+)", said)[1]) == pytest.approx(4.0, abs=0.01)
    ball, larger = (trimesh.creation.icosphere(4, radius) for radius in (10.0, 11.0))
    ball.export(tmp_path / "a.ply")
    larger.export(tmp_path / "b.ply")
    said = run("compare_meshes", tmp_path / "a.ply", tmp_path / "b.ply", "--thresholds", 2, "--out", tmp_path / "colored.ply")
    assert float(re.search(r"Chamfer +([\d.]+)", said)[1]) == pytest.approx(1.0, abs=0.01)
    assert len(trimesh.load_mesh(tmp_path / "colored.ply").vertices) == len(ball.vertices)
