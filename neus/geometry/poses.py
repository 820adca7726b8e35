"""Camera poses: rigid 4x4 matrices, their inverses and the poses between them. Cameras look along +z, y points down."""

import torch
from torch import Tensor


def invert(matrix: Tensor) -> Tensor:
    """The inverse of affine matrices (..., 4, 4): `world_to_camera = invert(camera_to_world)`."""
    return torch.linalg.inv(matrix)


def look_at(center: Tensor, target: Tensor, up: Tensor) -> Tensor:
    """The pose of a camera at `center` that looks at `target` with `up` upwards in its image.

    Args:
        center, target, up: (3,) in one frame; `up` need not be a unit vector, nor perpendicular to the view.

    Returns:
        (4, 4) camera to that frame: x right, y down, z forward (OpenCV).

    >>> look_at(torch.tensor([0.0, 0.0, -2.0]), torch.zeros(3), torch.tensor([0.0, -1.0, 0.0]))[:3, :3].int()
    tensor([[1, 0, 0],
            [0, 1, 0],
            [0, 0, 1]], dtype=torch.int32)
    """
    forward = torch.nn.functional.normalize(target - center, dim=0)
    right = torch.linalg.cross(forward, up)
    if right.norm() < 1e-6 * up.norm():  # looking along `up`: any perpendicular axis will do
        axis = torch.zeros_like(up)
        axis[forward.abs().argmin()] = 1.0
        right = torch.linalg.cross(forward, axis)
    right = torch.nn.functional.normalize(right, dim=0)
    pose = torch.eye(4, dtype=center.dtype)
    pose[:3, 0] = right
    pose[:3, 1] = torch.linalg.cross(forward, right)
    pose[:3, 2] = forward
    pose[:3, 3] = center
    return pose


def slerp(start: Tensor, end: Tensor, ratio: float) -> Tensor:
    """The rotation (3, 3) at `ratio` of the way from `start` to `end` along the shortest arc (Shoemake 1985).

    >>> quarter = torch.tensor([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    >>> slerp(torch.eye(3), quarter, 0.5)[0]
    tensor([ 0.7071, -0.7071,  0.0000])
    """
    return start @ rotation_from_vector(ratio * vector_from_rotation(start.T @ end))


def vector_from_rotation(rotation: Tensor) -> Tensor:
    """Axis times angle (3,) in radians of a rotation (3, 3); the angle is at most pi."""
    matrix = rotation.double()
    skew = torch.stack([matrix[2, 1] - matrix[1, 2], matrix[0, 2] - matrix[2, 0], matrix[1, 0] - matrix[0, 1]])
    sine, cosine = skew.norm() / 2, (matrix.trace() - 1) / 2
    angle = torch.atan2(sine, cosine)
    if sine > 1e-8:
        axis = skew / (2 * sine)
    elif cosine > 0:
        return torch.zeros(3, dtype=rotation.dtype)
    else:  # half a turn: the axis is the eigenvector of eigenvalue one
        axis = torch.linalg.eigh((matrix + matrix.T) / 2).eigenvectors[:, -1]
    return (axis * angle).to(rotation.dtype)


def rotation_from_vector(vector: Tensor) -> Tensor:
    """The rotation (3, 3) about `vector` (3,) by its length in radians; inverse of `vector_from_rotation`."""
    x, y, z = vector
    zero = torch.zeros_like(x)
    skew = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero]).reshape(3, 3)
    return torch.linalg.matrix_exp(skew)


def pose_between(start: Tensor, end: Tensor, ratio: float) -> Tensor:
    """The pose (4, 4) at `ratio` of the way: rotation by slerp, camera centre along the straight line."""
    pose = torch.eye(4, dtype=start.dtype)
    pose[:3, :3] = slerp(start[:3, :3], end[:3, :3], ratio)
    pose[:3, 3] = torch.lerp(start[:3, 3], end[:3, 3], ratio)
    return pose
