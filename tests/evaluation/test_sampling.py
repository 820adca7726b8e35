import numpy as np
import pytest
import trimesh

from neus.evaluation.sampling import mean_spacing, normals_of_faces, points_on_mesh


def test_the_points_of_samples_move_with_the_mesh():
    mesh = trimesh.creation.icosphere(3)
    moved = mesh.copy()
    turn = trimesh.transformations.rotation_matrix(0.7, [1, 2, 3])
    turn[:3] *= 37.0
    turn[:3, 3] = [5.0, -900.0, 20.0]
    moved.apply_transform(turn)
    one, other = (points_on_mesh(m, 500, seed=4) for m in (mesh, moved))
    np.testing.assert_allclose(trimesh.transform_points(one.points, turn), other.points, atol=1e-9)
    np.testing.assert_allclose(one.normals @ turn[:3, :3].T / 37.0, other.normals, atol=1e-9)


def test_normals_are_those_of_the_mesh():
    mesh = trimesh.creation.annulus(0.5, 1.0, 2.0)
    chosen = np.arange(0, len(mesh.faces), 3)
    np.testing.assert_allclose(normals_of_faces(mesh, chosen), mesh.face_normals[chosen], atol=1e-12)


def test_the_number_of_samples_in_a_triangle_follows_its_area():
    corners = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 5], [3, 0, 5], [0, 1, 5]], float)
    points = points_on_mesh(trimesh.Trimesh(corners, [[0, 1, 2], [3, 4, 5]], process=False), 20_000, 0).points
    in_large = points[points[:, 2] > 1]
    assert len(in_large) / len(points) == pytest.approx(0.75, abs=0.01)
    np.testing.assert_allclose(in_large.mean(axis=0), [1.0, 1.0 / 3.0, 5.0], atol=0.02)


def test_a_square_lattice_is_as_wide_as_its_spacing():
    points = np.stack(np.meshgrid(np.arange(9), np.arange(7), [0.0]), axis=-1).reshape(-1, 3) * 0.25
    assert mean_spacing(points) == 0.25
    assert mean_spacing(points[:1]) == 0.0
