"""`neus lod`: what a user bakes, measures, renders and meshes."""

import numpy as np
import pytest
import torch
import trimesh

from neus.lod.distill import DistillConfig, distilled
from neus.lod.file import read_lod, write_lod
from neus.lod.teacher import Teacher
from neus.meshing.measures import mesh_facts
from neus.scenes.images import read_rgb
from neus.workflows.lod import mesh_of_levels, teacher_of
from tests.lod.conftest import torus


@pytest.fixture(scope="module")
def torus_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("lod") / "torus.lod"
    write_lod(distilled(Teacher(torus), DistillConfig(n_levels=4, n_channels=4, steps=0)), path)
    return path


def test_a_mesh_is_baked_with_its_colors_and_meshed_in_its_own_unit(tmp_path, neus_command):
    ball = trimesh.creation.icosphere(3, 40.0)
    ball.apply_translation((500.0, 0.0, 0.0))
    ball.visual.vertex_colors = np.tile(np.array([200, 100, 50, 255], np.uint8), (len(ball.vertices), 1))
    ball.export(tmp_path / "ball.ply")
    out = tmp_path / "ball.lod"
    status, lines, errors = neus_command(
        "lod", "bake", tmp_path / "ball.ply", "--levels", 3, "--channels", 4, "--steps", 5, "--color", "--device", "cpu", "--out", out
    )
    assert (status, errors, lines[-1]) == (0, [], str(out))
    assert lines[1].startswith("level 0: 4 cells a side, 125 corners, mean error ") and lines[-2].startswith("shape and colour, ")
    status, lines, _ = neus_command("lod", "mesh", out, "--resolution", 48, "--out", tmp_path / "again.ply")
    assert status == 0 and lines[-1] == str(tmp_path / "again.ply")
    again = trimesh.load(tmp_path / "again.ply", process=False)
    assert again.is_watertight and np.allclose(again.bounds.mean(axis=0), (500.0, 0.0, 0.0), atol=1.0)
    assert again.volume == pytest.approx(ball.volume, rel=0.03)
    assert np.abs(np.asarray(again.visual.vertex_colors)[:, :3].astype(int) - (200, 100, 50)).max() <= 2


def test_a_run_is_baked_within_the_unit_sphere_with_its_colors(trained_run, tmp_path, neus_command):
    out = tmp_path / "run.lod"
    arguments = ("--levels", 4, "--channels", 4, "--steps", 0, "--color", "--device", "cpu", "--out", out)
    status, lines, errors = neus_command("lod", "bake", trained_run, *arguments)
    assert (status, errors, lines[-1]) == (0, [], str(out))
    field, teacher = read_lod(out), teacher_of(trained_run, "cpu")
    points = 2.0 * torch.rand(4000, 3) - 1.0
    points = points[teacher.sdf(points).abs() < 0.05]
    assert (field.at(3).sdf(points) - teacher.sdf(points)).abs().mean() < 2e-3
    assert torch.equal(field.scene_to_world, teacher.scene_to_world) and float(field.scene_to_world[0, 0]) != 1.0
    assert (teacher.sdf(torch.tensor([[0.8, 0.8, 0.8]])) >= 0.38).all()


def test_every_level_is_measured(torus_file, neus_command):
    status, lines, errors = neus_command("lod", "bench", torus_file, "--size", 32, 24, "--frames", 2)
    assert (status, errors) == (0, []) and len(lines) == 2 + 4
    levels, cells, corners, mean_errors, slopes, points, frames = zip(*(map(float, line.split()) for line in lines[2:]), strict=True)
    assert levels == (0, 1, 2, 3) and cells == (4, 8, 16, 32) and corners[0] == 125
    assert list(mean_errors) == sorted(mean_errors, reverse=True) and min(*slopes, *points, *frames) > 0


def test_an_image_of_a_level_between_two(torus_file, tmp_path, neus_command):
    out = tmp_path / "torus.png"
    for shading in ("lambert", "normal"):
        status, lines, _ = neus_command(
            "lod", "render", torus_file, "--level", 2.5, "--size", 40, 30, "--shading", shading, "--out", out
        )
        image = read_rgb(out)
        is_white = (image == 255).all(axis=-1)
        assert status == 0 and lines == [str(out)] and image.shape == (30, 40, 3) and 0.3 < is_white.mean() < 0.95
        assert not is_white[15, 8:32].all() and is_white[0].all()  # the ring is seen, the border is empty


@pytest.mark.parametrize("level", [2, 2.5, 3])
def test_a_torus_has_one_piece_and_one_hole_at_every_fine_level(torus_file, level):
    mesh = mesh_of_levels(read_lod(torus_file), level, 64)
    facts = mesh_facts(mesh)
    assert facts.is_watertight and facts.components == 1 and mesh.euler_number == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("bake", "nowhere", "--out", "a.lod"), "nowhere: no such run, mesh or checkpoint"),
        (("bake", "synthetic:cat", "--out", "a.lod"), "synthetic:cat: no such shape; expected one of synthetic:cup"),
        (("bake", "synthetic:white", "--color", "--out", "a.lod"), "synthetic:white: has no colours; leave out --color"),
        (("bake", "synthetic:cup", "--levels", "9", "--out", "a.lod"), "9 levels from 4 to 1024 cells"),
        (("bench", "nothing.lod"), "nothing.lod: no such file; make it with `neus lod bake"),
        (("mesh", "nothing.lod", "--out", "a.txt"), "unknown mesh format"),
        (("render", "TORUS", "--level", "7", "--out", "a.png"), "level 7: the levels of detail are 0 to 3"),
        (("render", "TORUS", "--shading", "color", "--out", "a.png"), "this model has its shape only"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(arguments, message, torus_file, elsewhere, neus_command, tmp_path):
    status, lines, errors = neus_command("lod", *(torus_file if word == "TORUS" else word for word in arguments))
    assert status == 2 and len(errors) == 1 and message in errors[0], errors
    assert list((tmp_path / "elsewhere").iterdir()) == []
