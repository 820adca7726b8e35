import numpy as np
import pytest
import trimesh

from neus.evaluation.alignment import best_motion, rigid_alignment


def motion(angle, shift):
    matrix = trimesh.transformations.rotation_matrix(angle, [1.0, 2.0, -1.0])
    matrix[:3, 3] = shift
    return matrix


def test_the_motion_between_pairs_is_found_exactly():
    points = np.random.default_rng(0).normal(size=(20, 3))
    expected = motion(2.0, [4.0, -5.0, 60.0])
    np.testing.assert_allclose(best_motion(points, trimesh.transform_points(points, expected)), expected, atol=1e-9)


def test_a_mirror_image_is_answered_by_a_rotation():
    points = np.random.default_rng(0).normal(size=(20, 3))
    found = best_motion(points, points * [1.0, 1.0, -1.0])
    assert np.linalg.det(found[:3, :3]) == pytest.approx(1.0)


def test_a_small_shift_is_undone_and_what_is_missing_does_not_pull():
    mesh = trimesh.creation.box((10.0, 7.0, 4.0))
    target = trimesh.sample.sample_surface(mesh, 20_000, seed=0)[0]
    part = target[target[:, 0] < 3.0]
    far = np.full((200, 3), 40.0)
    moved = trimesh.transform_points(np.concatenate([part, far]), motion(0.01, [0.05, -0.04, 0.03]))
    found = rigid_alignment(moved, target, reach=1.0)
    np.testing.assert_allclose(trimesh.transform_points(moved[: len(part)], found), part, atol=0.02)


def test_points_out_of_reach_stay_where_they_are():
    np.testing.assert_array_equal(rigid_alignment(np.eye(3), np.eye(3) + 100.0, reach=1.0), np.eye(4))
