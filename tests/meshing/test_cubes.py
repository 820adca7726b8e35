import numpy as np
import pytest
import torch
import trimesh
from scipy.spatial import cKDTree

from neus.evaluation.surface import surface_difference
from neus.meshing import cubes
from neus.meshing.cubes import by_pymcubes, by_scikit_image
from neus.meshing.extract import extract_mesh
from neus.meshing.measures import is_closed, mesh_facts, signed_volume

both = pytest.mark.skipif(cubes.mcubes is None, reason="PyMCubes is not installed")
X = np.stack(np.meshgrid(*[np.linspace(-1.0, 1.0, n) for n in (19, 24, 21)], indexing="ij"), axis=-1)
NOISE = np.random.default_rng(0).uniform(0.1, 1.0, (18, 18, 18))
LATTICES = {
    "dented ball": np.linalg.norm(X, axis=-1) - 0.7 + 0.05 * np.sin(9.0 * X).prod(axis=-1),
    # Every ambiguous cell that there is.
    "noise": np.pad(NOISE * np.random.default_rng(1).choice([-1.0, 1.0], NOISE.shape), 1, constant_values=1.0),
}


def meshes(values):
    return [trimesh.Trimesh(*cubes(values), process=False) for cubes in (by_pymcubes, by_scikit_image)]


@both
@pytest.mark.parametrize("name", LATTICES)
def test_both_libraries_find_the_same_vertices_and_a_closed_surface_of_as_many_faces_outwards(name):
    one, other = meshes(LATTICES[name])
    distances, partners = cKDTree(one.vertices).query(other.vertices)
    assert len(one.vertices) == len(other.vertices) == len(set(partners)) and distances.max() < 1e-12
    assert len(one.faces) == len(other.faces) and is_closed(one) and is_closed(other)
    # The polygon in a cell is cut into triangles along other diagonals: less than half a cell apart, ends alike.
    assert mesh_facts(one).components == mesh_facts(other).components
    assert surface_difference(one, other, 2000)[1] < 0.5
    assert signed_volume(other) == pytest.approx(signed_volume(one), rel=1e-3) and signed_volume(one) > 0.0


@both
def test_both_libraries_cut_a_lattice_by_the_same_plane():
    normal = np.array([0.4, -0.5, 0.77])
    one, other = meshes(X @ normal - 0.123)
    assert surface_difference(one, other, 2000)[1] < 1e-9
    spacing = 2.0 / (np.array(X.shape[:3]) - 1)
    for mesh in (one, other):
        np.testing.assert_allclose((mesh.vertices * spacing - 1.0) @ normal, 0.123, atol=1e-12)
        # Against the lattice's own spacing normals turn, but the outside stays outside.
        assert ((mesh.face_normals / spacing) @ normal > 0.0).all()


@both
def test_a_mesh_is_joined_from_blocks_without_seams_by_either_library(monkeypatch):
    def extracted():
        box = torch.tensor([[-1.0] * 3, [1.0] * 3])
        return extract_mesh(lambda points: points.norm(dim=-1) - 0.7, box, 33, block=8)

    one = extracted()
    monkeypatch.setattr(cubes, "mcubes", None)
    other = extracted()
    np.testing.assert_allclose(other.vertices, one.vertices, atol=1e-12)
    assert is_closed(other) and other.volume == pytest.approx(one.volume, rel=1e-4)
