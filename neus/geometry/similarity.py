"""Similarity transforms (uniform scale, rotation, translation) as 4x4 matrices, such as `scene_to_world`."""

import torch
from torch import Tensor


def similarity(scale: float, translation: Tensor, rotation: Tensor | None = None) -> Tensor:
    """The matrix of x -> scale * rotation @ x + translation.

    Args:
        scale: > 0, target units per source unit.
        translation: (3,), target units.
        rotation: (3, 3), identity if None.

    Returns:
        (4, 4), in the dtype of `translation`.

    >>> similarity(2.0, torch.tensor([1.0, 0.0, 0.0]))[0]
    tensor([2., 0., 0., 1.])
    """
    matrix = torch.eye(4, dtype=translation.dtype)
    matrix[:3, :3] *= scale
    if rotation is not None:
        matrix[:3, :3] = scale * rotation
    matrix[:3, 3] = translation
    return matrix


def transform_points(matrix: Tensor, points: Tensor) -> Tensor:
    """Points (..., 3) moved by an affine matrix (4, 4), computed in the dtype of the points.

    >>> transform_points(similarity(2.0, torch.tensor([1.0, 0.0, 0.0])), torch.tensor([[1.0, 1.0, 0.0]]))
    tensor([[3., 2., 0.]])
    """
    matrix = matrix.to(points)
    return points @ matrix[:3, :3].T + matrix[:3, 3]


def transform_poses(matrix: Tensor, poses: Tensor) -> Tensor:
    """Rigid poses (..., 4, 4) seen from another frame: centres are moved by the similarity (4, 4), axes only turned.

    >>> transform_poses(similarity(2.0, torch.tensor([1.0, 0.0, 0.0])), torch.eye(4))[:, 3]
    tensor([1., 0., 0., 1.])
    """
    moved = matrix.to(poses) @ poses
    moved[..., :3, :3] = moved[..., :3, :3] / scale_of(matrix)
    return moved


def scale_of(matrix: Tensor) -> float:
    """Target units per source unit of a similarity (4, 4): the cube root of its determinant.

    >>> round(scale_of(similarity(2.0, torch.zeros(3))), 6)
    2.0
    """
    return float(torch.linalg.det(matrix[:3, :3].double()).abs() ** (1 / 3))


def is_similarity(matrix: Tensor, tolerance: float = 1e-4) -> bool:
    """Whether the upper-left block of an affine matrix (4, 4) is a rotation times one scale; a mirror is none.

    >>> is_similarity(torch.diag(torch.tensor([2.0, 2.0, 3.0, 1.0]))), is_similarity(torch.diag(torch.tensor([-1.0, 1, 1, 1])))
    (False, False)
    """
    linear = matrix[:3, :3].double()
    scale = scale_of(matrix)
    if not torch.linalg.det(linear) > 0.0:
        return False
    unit = linear / scale
    return bool((unit @ unit.T - torch.eye(3, dtype=torch.float64)).abs().max() < tolerance)
