import pytest
import torch

from neus.errors import InputError, InputWarning
from neus.geometry.poses import invert, rotation_from_vector
from neus.geometry.rigid import rigid_poses


@pytest.fixture
def poses():
    generator = torch.Generator().manual_seed(3)
    vectors = torch.randn(5, 3, dtype=torch.float64, generator=generator)
    made = torch.eye(4, dtype=torch.float64).repeat(5, 1, 1)
    made[:, :3, :3] = torch.stack([rotation_from_vector(v) for v in vectors])
    made[:, :3, 3] = 4.0 * torch.randn(5, 3, dtype=torch.float64, generator=generator)
    return made


def repaired(matrices, **keywords):
    return rigid_poses(matrices, [f"view {v}" for v in range(len(matrices))], "cameras.json", **keywords)


def test_rigid_poses_are_returned_bit_by_bit(poses, recwarn):
    assert torch.equal(repaired(poses), poses) and not recwarn.list


@pytest.mark.parametrize("factor", [0.0012, -3.0])
def test_a_factor_on_a_whole_homogeneous_matrix_changes_nothing(poses, factor, recwarn):
    torch.testing.assert_close(repaired(factor * poses), poses)
    assert not recwarn.list


def test_a_scale_of_the_axes_is_divided_out_and_the_camera_stays_where_it_is(poses):
    scaled = poses.clone()
    scaled[1:3, :3, :3] *= 0.5
    with pytest.warns(InputWarning, match=r"cameras.json: 2 poses scale by about 0.5; .* \(view 1, view 2\)"):
        torch.testing.assert_close(repaired(scaled), poses)


def test_a_scaled_world_to_camera_pose_has_the_same_camera_center(poses):
    world_to_camera = invert(poses)
    scaled = world_to_camera.clone()
    scaled[:, :3] *= 7.0  # all points nearer or farther by one factor project to the same pixels
    with pytest.warns(InputWarning, match="5 poses scale by about 7"):
        torch.testing.assert_close(repaired(scaled, translation_is_scaled=True), world_to_camera)


@pytest.mark.parametrize("rounded", [lambda p: p.mul(1e3).round() / 1e3, lambda p: p.half().double()], ids=["3 decimals", "float16"])
def test_rounded_poses_become_the_nearest_rotations(poses, rounded):
    with pytest.warns(InputWarning, match="poses are rounded; the nearest rotations are taken"):
        found = repaired(rounded(poses))
    identity = torch.eye(3, dtype=torch.float64)
    assert float((found[:, :3, :3] @ found[:, :3, :3].mT - identity).abs().max()) < 1e-4
    assert float((found - poses).abs().max()) < 3e-3


@pytest.mark.parametrize(
    ("factors", "message"),
    [
        ([1.0, 1.0, 1.1], "view 2: .*shears or stretches"),
        ([-1.0, 1.0, 1.0], "view 2: .*mirrors"),
        ([0.0, 1.0, 1.0], "view 2: its pose is singular"),
    ],
)
def test_what_is_no_rounding_is_refused_by_its_name(poses, factors, message):
    poses[2, :3, :3] *= torch.tensor(factors, dtype=torch.float64)
    with pytest.raises(InputError, match=message):
        repaired(poses)


def test_a_projective_matrix_is_no_pose(poses):
    poses[0, 3] = torch.tensor([0.0, 0.0, 1.0, 1.0])
    with pytest.raises(InputError, match="view 0: the last row of its pose is"):
        repaired(poses)
