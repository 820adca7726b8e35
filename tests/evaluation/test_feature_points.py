import numpy as np
import pytest
import trimesh

from neus.errors import InputError
from neus.evaluation.feature_points import CLIP, feature_point_scores, read_feature_points


def test_points_on_a_sphere_have_the_distance_of_their_shell():
    mesh = trimesh.creation.icosphere(subdivisions=5, radius=2.0)
    directions = np.random.default_rng(1).normal(size=(300, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    scores = feature_point_scores(2.25 * directions, mesh)
    assert scores.n_points == 300 and scores.mean == pytest.approx(0.25, abs=1e-3)
    assert feature_point_scores(1.75 * directions, mesh).median == pytest.approx(0.25, abs=1e-3)


def test_a_point_far_away_counts_as_the_clip():
    mesh = trimesh.creation.box()
    assert feature_point_scores(np.array([[1000.0, 0.0, 0.0]]), mesh).mean == CLIP


def test_moving_points_and_mesh_together_changes_nothing():
    mesh, rng = trimesh.creation.box(), np.random.default_rng(2)
    points = rng.normal(size=(50, 3))
    motion = trimesh.transformations.random_rotation_matrix(rng.random(3))
    motion[:3, 3] = [3.0, -700.0, 20.0]
    before = feature_point_scores(points, mesh)
    after = feature_point_scores(trimesh.transform_points(points, motion), mesh.copy().apply_transform(motion))
    assert after.mean == pytest.approx(before.mean, abs=1e-9)


def test_wrong_input_is_explained(tmp_path):
    with pytest.raises(InputError, match="the mesh has no faces"):
        feature_point_scores(np.zeros((1, 3)), trimesh.Trimesh())
    with pytest.raises(InputError, match="no feature points"):
        read_feature_points(tmp_path / "none.npz")
    np.savez(tmp_path / "other.npz", xyz=np.zeros((4, 3)))
    with pytest.raises(InputError, match="no feature points"):
        read_feature_points(tmp_path / "other.npz")
    np.savez(tmp_path / "flat.npz", points=np.zeros((4, 2)))
    with pytest.raises(InputError, match="expected \\(P, 3\\)"):
        read_feature_points(tmp_path / "flat.npz")
    np.savez(tmp_path / "good.npz", points=np.ones((4, 3), np.float32))
    assert read_feature_points(tmp_path / "good.npz").shape == (4, 3)
