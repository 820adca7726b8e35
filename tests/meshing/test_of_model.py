import numpy as np
import pytest
import torch
import trimesh

from neus.errors import InputError
from neus.meshing.of_model import surface_mesh
from neus.rendering.queries import is_fused
from neus.runs.build import model_for_scene
from neus.scenes.readers import read_scene
from neus.workflows.finish import Finish


@pytest.fixture(scope="module")
def model(tiny_hash_config, scene_folder):
    torch.manual_seed(0)
    return model_for_scene(tiny_hash_config, read_scene(scene_folder)).eval()


def test_the_mesh_of_a_hash_model_is_closed_and_on_its_zeros_and_its_normals_are_the_field_s(model):
    mesh = surface_mesh(model, 65)
    assert mesh.is_watertight and mesh.volume > 0
    points = torch.from_numpy(mesh.vertices).float()
    assert model.sdf(points).abs().max() < 2e-3
    normals = torch.nn.functional.normalize(model.gradient(points), dim=-1).detach().numpy()
    np.testing.assert_allclose(mesh.vertex_normals, normals, atol=1e-5)


def test_a_simplified_mesh_has_the_field_s_normals_and_colours_at_its_own_vertices(model):
    finish = Finish(target_faces=400)
    mesh = surface_mesh(model, 65, finish=finish)
    assert len(mesh.faces) <= 400 and mesh.is_watertight
    points = torch.from_numpy(mesh.vertices).float()
    normals = torch.nn.functional.normalize(model.gradient(points), dim=-1)
    np.testing.assert_allclose(mesh.vertex_normals, normals.detach(), atol=1e-5)
    expected = (model.surface_color(points, normals).detach() * 255).round()
    np.testing.assert_allclose(mesh.visual.vertex_colors[:, :3], expected, atol=1)
    mean, greatest = finish.moved
    assert 0 < mean < greatest < 0.1


def test_what_is_few_already_is_not_said_to_have_moved():
    finish = Finish(target_faces=100)
    assert finish(trimesh.creation.box()).faces.shape == (12, 3) and finish.moved is None


def test_clipping_without_masks_is_refused_but_cleaning_goes_by_size():
    # More faces, and placed first: neither their number nor their order is what counts.
    speck, ball = trimesh.creation.icosphere(3, 0.01).apply_translation([2.0, 0, 0]), trimesh.creation.icosphere(2)
    both = trimesh.util.concatenate([speck, ball])
    cleaned = Finish(clean=True)(both)
    assert len(cleaned.faces) == len(ball.faces) and np.array_equal(cleaned.bounds, ball.bounds)
    with pytest.raises(InputError, match="has no masks"):
        Finish(clip_px=3)(both)


def test_the_kernel_and_torch_make_the_same_mesh(model, monkeypatch):
    fast = surface_mesh(model, 33) if is_fused(model) else pytest.skip("numba does not work here")
    monkeypatch.setenv("NEUS_KERNELS", "reference")
    slow = surface_mesh(model, 33)
    np.testing.assert_array_equal(fast.faces, slow.faces)
    np.testing.assert_allclose(fast.vertices, slow.vertices, atol=1e-4)
