import math

import pytest
import torch
from scipy.spatial.transform import Rotation, Slerp

from neus.geometry.poses import invert, look_at, pose_between, rotation_from_vector, slerp, vector_from_rotation


def vector(*numbers):
    return torch.tensor(numbers, dtype=torch.float64)


def random_rotations(n, seed=0):
    return torch.from_numpy(Rotation.random(n, random_state=seed).as_matrix())


def random_pose(seed):
    pose = torch.eye(4, dtype=torch.float64)
    pose[:3, :3] = random_rotations(1, seed)[0]
    pose[:3, 3] = torch.randn(3, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return pose


def test_there_and_back_is_where_it_was():
    poses = torch.stack([random_pose(seed) for seed in range(10)])
    torch.testing.assert_close(invert(poses) @ poses, torch.eye(4, dtype=torch.float64).expand(10, 4, 4))
    torch.testing.assert_close(invert(invert(poses)), poses)


def test_the_inverse_of_a_rigid_pose_is_its_transpose_and_minus_its_centre():
    pose = random_pose(3)
    torch.testing.assert_close(invert(pose)[:3, :3], pose[:3, :3].T)
    torch.testing.assert_close(invert(pose)[:3, 3], -pose[:3, :3].T @ pose[:3, 3])


@pytest.mark.parametrize("up", [(0.0, -1.0, 0.0), (0.0, 0.0, 7.0), (0.3, -0.2, 0.9), (-2.0, 1.0, -1.5)])
def test_a_camera_looks_at_its_target_with_up_upwards(up):
    center, target = vector(2.0, -1.0, 1.5), vector(0.0, 0.5, 0.0)
    pose = look_at(center, target, vector(*up))
    torch.testing.assert_close(pose[:3, :3].T @ pose[:3, :3], torch.eye(3, dtype=torch.float64))
    assert float(torch.linalg.det(pose[:3, :3])) == pytest.approx(1.0)
    in_camera = invert(pose) @ torch.cat([target, vector(1.0)])
    torch.testing.assert_close(in_camera[:2], vector(0.0, 0.0))
    assert float(in_camera[2]) == pytest.approx(float((target - center).norm()))
    assert torch.equal(pose[:3, 3], center)
    # y points down in the image, and x is level.
    up_in_camera = pose[:3, :3].T @ vector(*up)
    assert abs(float(up_in_camera[0])) < 1e-12 and float(up_in_camera[1]) <= 0.0


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("axis", range(3))
def test_looking_along_up_still_gives_a_rotation(axis, sign):
    up = torch.zeros(3, dtype=torch.float64)
    up[axis] = sign
    pose = look_at(vector(0.0, 0.0, 0.0), 2.0 * up, up)
    torch.testing.assert_close(pose[:3, :3].T @ pose[:3, :3], torch.eye(3, dtype=torch.float64))
    torch.testing.assert_close(pose[:3, 2], up)
    assert float(torch.linalg.det(pose[:3, :3])) == pytest.approx(1.0)


@pytest.mark.parametrize("angle", [0.0, 1e-9, 1e-4, 1.0, 3.0, math.pi - 1e-6, math.pi])
def test_a_rotation_and_its_vector_are_inverses(angle):
    axis = torch.nn.functional.normalize(vector(1.0, -2.0, 0.5), dim=0)
    rotation = torch.from_numpy(Rotation.from_rotvec((angle * axis).numpy()).as_matrix())
    torch.testing.assert_close(rotation_from_vector(angle * axis), rotation)
    found = vector_from_rotation(rotation)
    torch.testing.assert_close(rotation_from_vector(found), rotation, atol=1e-7, rtol=0.0)
    assert float(found.norm()) == pytest.approx(angle, abs=1e-7)


def test_vectors_of_random_rotations_are_those_of_scipy():
    for rotation in random_rotations(50):
        expected = torch.from_numpy(Rotation.from_matrix(rotation.numpy()).as_rotvec())
        torch.testing.assert_close(vector_from_rotation(rotation), expected)


@pytest.mark.parametrize("ratio", [0.0, 0.2, 0.5, 0.9, 1.0])
def test_rotations_between_two_are_those_of_scipy(ratio):
    for seed in range(10):
        start, end = random_rotations(2, seed)
        expected = Slerp([0.0, 1.0], Rotation.from_matrix(torch.stack([start, end]).numpy()))(ratio).as_matrix()
        torch.testing.assert_close(slerp(start, end, ratio), torch.from_numpy(expected))


def test_half_way_turns_by_half_the_angle_about_the_same_axis():
    for angle in (0.3, 1.5, 3.0):
        axis = torch.nn.functional.normalize(vector(0.2, 1.0, -0.4), dim=0)
        start = random_rotations(1)[0]
        half = slerp(start, start @ rotation_from_vector(angle * axis), 0.5)
        torch.testing.assert_close(vector_from_rotation(start.T @ half), 0.5 * angle * axis)


def test_going_half_way_twice_is_going_all_the_way():
    start, end = random_rotations(2, seed=5)
    half = slerp(start, end, 0.5)
    torch.testing.assert_close(half @ start.T @ half, end)


def test_poses_between_two_turn_evenly_and_move_straight():
    start, end = random_pose(1), random_pose(2)
    torch.testing.assert_close(pose_between(start, end, 0.0), start)
    torch.testing.assert_close(pose_between(start, end, 1.0), end)
    quarter = pose_between(start, end, 0.25)
    torch.testing.assert_close(quarter[:3, 3], 0.75 * start[:3, 3] + 0.25 * end[:3, 3])
    torch.testing.assert_close(quarter[:3, :3], slerp(start[:3, :3], end[:3, :3], 0.25))
    assert quarter[3].tolist() == [0.0, 0.0, 0.0, 1.0]
