import numpy as np
import pytest
import torch
import trimesh
from PIL import Image

from neus.cli import export_web as options_of_export
from neus.cli.options import EXIT_USER_ERROR
from neus.errors import InputError
from neus.geometry.cameras import project
from neus.geometry.similarity import transform_points
from neus.meshing.files import write_mesh
from neus.runs.load import load_scene
from neus.workflows import export_web as module
from neus.workflows.export_web import export_web, light_mesh, read_colored, world_frusta
from neus.workflows.mesh import AXES
from tests.reports.packed import decoded_page


def ball(subdivisions=4):
    """A unit sphere whose colour is its place."""
    mesh = trimesh.creation.icosphere(subdivisions)
    mesh.visual.vertex_colors = np.column_stack([color_at(mesh.vertices), np.full(len(mesh.vertices), 255)]).astype(np.uint8)
    return mesh


def color_at(points):
    return (points / np.linalg.norm(points, axis=1, keepdims=True) * 0.5 + 0.5) * 255.0


def shown(path):
    return decoded_page(path.read_text(encoding="utf-8"))


@pytest.fixture
def file(tmp_path):
    write_mesh(ball(), tmp_path / "ball.ply")
    return tmp_path / "ball.ply"


def test_a_large_mesh_is_simplified_and_keeps_its_colours(file, tmp_path):
    out = export_web(file, tmp_path / "page.html", faces=800)
    header, found = shown(out)
    assert header["faces"] == pytest.approx(800, rel=0.02)
    assert np.abs(np.linalg.norm(found["positions"], axis=1) - 1.0).max() < 0.03
    assert np.abs(found["colors"] - color_at(found["positions"])).mean() < 3.0


def test_a_simplified_texture_becomes_vertex_colours():
    mesh = trimesh.creation.icosphere(4)
    image = Image.fromarray(np.linspace(0, 255, 64).astype(np.uint8)[:, None, None].repeat(64, 1).repeat(3, 2))
    uv = np.column_stack([np.full(len(mesh.vertices), 0.5), mesh.vertices[:, 2] * 0.49 + 0.5])
    mesh.visual = trimesh.visual.TextureVisuals(uv=uv, image=image)
    few = light_mesh(mesh, 500)
    # The first row of the image is v = 1: dark at the top.
    expected = (0.5 - 0.49 * few.vertices[:, 2]) * 255.0
    assert few.visual.kind == "vertex" and np.abs(few.visual.vertex_colors[:, 0] - expected).mean() < 6.0


def test_colours_of_a_glb_file_are_those_that_were_written(tmp_path):
    mesh = ball(2)
    write_mesh(mesh, tmp_path / "a.glb", up=np.array([0.0, 0.0, 1.0]))
    read = read_colored(tmp_path / "a.glb")
    assert np.allclose(read.vertices, mesh.vertices, atol=1e-6)
    assert np.abs(read.visual.vertex_colors[:, :3].astype(int) - mesh.visual.vertex_colors[:, :3]).max() <= 1


def test_a_glb_file_is_upright_as_it_says(tmp_path):
    write_mesh(ball(2), tmp_path / "a.glb", up=np.array([0.0, 0.0, -1.0]))
    header, _ = shown(export_web(tmp_path / "a.glb", tmp_path / "a.html"))
    assert np.allclose(np.array(header["turn"]) @ (0.0, 0.0, -1.0), (0.0, 1.0, 0.0), atol=1e-6)


def test_a_page_that_is_too_large_loses_faces(file, tmp_path, monkeypatch):
    whole = export_web(file, tmp_path / "whole.html", faces=100_000)
    limit = whole.stat().st_size - 10_000
    monkeypatch.setattr(module, "LARGEST_PAGE", limit)
    smaller = export_web(file, tmp_path / "smaller.html")
    assert smaller.stat().st_size <= limit and 0 < shown(smaller)[0]["faces"] < len(ball().faces)
    with pytest.raises(InputError, match="lower --faces 100000"):
        export_web(file, tmp_path / "asked.html", faces=100_000)
    assert not (tmp_path / "asked.html").exists()


def test_frusta_are_the_corners_of_the_images(scene_folder):
    scene = load_scene(scene_folder)
    cameras = [scene.camera(v) for v in range(len(scene))]
    for camera, points in zip(cameras, world_frusta(cameras, scene.scene_to_world, 3.0), strict=True):
        in_scene = transform_points(torch.linalg.inv(scene.scene_to_world), torch.from_numpy(points))
        assert torch.allclose(in_scene[0], camera.center)
        pixels, _ = project(in_scene[1:], camera)
        w, h = camera.width, camera.height
        assert torch.allclose(pixels, torch.tensor([[0, 0], [w, 0], [w, h], [0, h]]).double(), atol=1e-6)


def test_a_mesh_file_is_shown_with_the_cameras_of_a_scene(scene_folder, tmp_path, neus_command):
    scene = load_scene(scene_folder)
    write_mesh(ball(3), tmp_path / "ball.ply", scene.scene_to_world)
    status, out, err = neus_command("export-web", tmp_path / "ball.ply", "--data", scene_folder, "--out", tmp_path / "a.html")
    assert status == 0 and out[-1] == str(tmp_path / "a.html") and f"{len(scene)} cameras" in out[-2]
    header, _ = shown(tmp_path / "a.html")
    assert header["cameras"] == len(scene)


def test_a_mesh_of_another_unit_is_refused_beside_cameras(scene_folder, tmp_path):
    write_mesh(ball(2).apply_scale(1e-5), tmp_path / "tiny.ply")
    with pytest.raises(InputError, match="another unit or frame"):
        export_web(tmp_path / "tiny.ply", tmp_path / "a.html", data=scene_folder)


def test_a_run_without_a_mesh_says_how_to_make_one(run_without_mesh, tmp_path, neus_command):
    status, _, err = neus_command("export-web", run_without_mesh, "--out", tmp_path / "a.html")
    assert status == EXIT_USER_ERROR and len(err) == 1 and "neus mesh" in err[0]


@pytest.mark.parametrize("name", ["page.txt", "page"])
def test_other_names_than_pages_are_refused(file, tmp_path, name):
    with pytest.raises(InputError, match="ending in .html"):
        export_web(file, tmp_path / name)


def test_the_axes_of_the_options_are_those_of_meshes():
    assert options_of_export.AXES == tuple(AXES)
