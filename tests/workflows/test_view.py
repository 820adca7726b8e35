"""What `neus view` finds to show; no server is needed to say that."""

import numpy as np
import pytest
import torch
import trimesh
from PIL import Image

from neus.errors import InputError
from neus.geometry.similarity import scale_of
from neus.meshing.files import write_mesh
from neus.workflows.view import content_of


def test_a_run_is_shown_with_its_views_its_renderer_and_what_was_held_out(run_without_mesh):
    content = content_of(run_without_mesh, device="cpu")
    assert content.held_out == (0, 2) and len(content.cameras) == 4 and content.mesh is None
    assert hasattr(content.renderer, "rays_at_a_time") and np.linalg.norm(content.up) == pytest.approx(1.0)


def test_a_scene_is_shown_without_a_model(scene_folder):
    content = content_of(scene_folder)
    assert content.renderer is None and content.mesh is None and len(content.cameras) == 4


def test_a_mesh_of_any_size_is_shown_at_a_radius_of_one(tmp_path):
    mesh = trimesh.creation.box((3000.0, 1000.0, 2000.0)).apply_translation((5e4, 0.0, -7.0))
    write_mesh(mesh, tmp_path / "box.ply")
    content = content_of(tmp_path / "box.ply")
    assert np.linalg.norm(content.mesh.vertices, axis=1) == pytest.approx(1.0, rel=1e-4)
    assert scale_of(content.scene_to_world) == pytest.approx(np.linalg.norm((1500, 500, 1000)))


def test_a_texture_is_shown_matte(tmp_path):
    mesh = trimesh.creation.icosphere(1)
    uv = np.random.default_rng(0).random((len(mesh.vertices), 2))
    mesh.visual = trimesh.visual.TextureVisuals(uv=uv, image=Image.new("RGB", (4, 4), (200, 90, 30)))
    mesh.export(tmp_path / "ball.glb")
    shown = content_of(tmp_path / "ball.glb").mesh
    assert shown.visual.material.metallicFactor == 0.0 and shown.visual.material.roughnessFactor == 1.0
    assert np.allclose(shown.visual.uv, uv, atol=1e-6)
    assert shown.visual.material.baseColorTexture.getpixel((1, 1)) == (200, 90, 30)


def test_a_mesh_beside_its_scene_lies_in_the_scene_frame(scene_folder, tmp_path):
    scene = content_of(scene_folder).scene
    write_mesh(trimesh.creation.icosphere(2, radius=0.5), tmp_path / "ball.ply", scene.scene_to_world)
    content = content_of(tmp_path / "ball.ply", scene_folder)
    assert torch.equal(content.scene_to_world, scene.scene_to_world)
    assert np.linalg.norm(content.mesh.vertices, axis=1) == pytest.approx(0.5, rel=1e-4) and len(content.cameras) == 4


def test_nothing_to_show_is_said_in_one_line(tmp_path):
    with pytest.raises(InputError):
        content_of(tmp_path / "nothing")
