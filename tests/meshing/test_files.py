import errno
import os

import numpy as np
import pytest
import torch
import trimesh

from neus.errors import InputError
from neus.geometry.poses import rotation_from_vector
from neus.geometry.similarity import similarity
from neus.meshing.files import in_world, write_mesh

ROTATION = rotation_from_vector(torch.tensor([0.3, 0.5, -0.2], dtype=torch.float64))
SCENE_TO_WORLD = similarity(300.0, torch.tensor([100.0, 2.0, 600.0], dtype=torch.float64), ROTATION)


@pytest.fixture
def mesh():
    """A ball whose normals and colours nobody could guess from its faces."""
    ball = trimesh.creation.icosphere(2, 0.5)
    generator = np.random.default_rng(0)
    ball.visual.vertex_colors = generator.integers(0, 255, (len(ball.vertices), 4), dtype=np.uint8) | [0, 0, 0, 255]
    normals = generator.normal(size=ball.vertices.shape)
    ball.vertex_normals = normals / np.linalg.norm(normals, axis=1, keepdims=True)
    return ball


def read(path):
    loaded = trimesh.load(path, process=False)
    return next(iter(loaded.geometry.values())) if isinstance(loaded, trimesh.Scene) else loaded


@pytest.mark.parametrize("suffix", [".ply", ".obj", ".glb", ".PLY"])
def test_a_written_mesh_is_read_back_in_world_units_with_normals_and_colours(mesh, tmp_path, suffix):
    path = tmp_path / "new" / f"mesh{suffix}"
    write_mesh(mesh, path, SCENE_TO_WORLD)
    found = read(path)
    np.testing.assert_array_equal(found.faces, mesh.faces)
    expected = 300.0 * mesh.vertices @ ROTATION.numpy().T + [100.0, 2.0, 600.0]
    np.testing.assert_allclose(found.vertices, expected, atol=1e-4)
    np.testing.assert_allclose(found.vertex_normals, mesh.vertex_normals @ ROTATION.numpy().T, atol=1e-6)
    np.testing.assert_array_equal(found.visual.vertex_colors[:, :3], mesh.visual.vertex_colors[:, :3])
    assert os.listdir(path.parent) == [path.name]


def test_without_a_transform_the_mesh_stays_in_the_scene_frame(mesh, tmp_path):
    write_mesh(mesh, tmp_path / "a.ply")
    np.testing.assert_allclose(read(tmp_path / "a.ply").vertices, mesh.vertices, atol=1e-7)


def test_a_mesh_without_normals_gets_them_from_its_faces(tmp_path):
    write_mesh(trimesh.creation.icosphere(2), tmp_path / "a.ply")
    assert b"property float nx" in (tmp_path / "a.ply").read_bytes()[:400]


def test_the_mesh_given_is_not_moved_and_a_mirror_leaves_the_faces_outwards(mesh):
    before = mesh.vertices.copy()
    mirrored = in_world(mesh, torch.diag(torch.tensor([-2.0, 2.0, 2.0, 1.0])))
    np.testing.assert_array_equal(mesh.vertices, before)
    assert mirrored.volume == pytest.approx(8 * mesh.volume)


def test_an_unknown_suffix_is_refused_before_anything_is_written(mesh, tmp_path):
    with pytest.raises(InputError, match="unknown mesh format '.stl'; name the file .ply, .obj or .glb"):
        write_mesh(mesh, tmp_path / "a.stl")
    assert os.listdir(tmp_path) == []


def test_a_folder_that_is_a_file_is_refused(mesh, tmp_path):
    (tmp_path / "meshes").write_text("")
    with pytest.raises(InputError, match="could not be written"):
        write_mesh(mesh, tmp_path / "meshes" / "a.ply")


def test_a_full_disk_leaves_the_former_file_whole_and_no_half(mesh, tmp_path, monkeypatch):
    path = tmp_path / "a.ply"
    path.write_bytes(b"former")

    def fill_up(self, target, **options):
        target.write_bytes(b"ply\nhalf")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(trimesh.Trimesh, "export", fill_up)
    with pytest.raises(InputError, match=r"a\.ply: the mesh could not be written \(No space left on device\)"):
        write_mesh(mesh, path)
    assert path.read_bytes() == b"former"
    assert os.listdir(tmp_path) == ["a.ply"]
