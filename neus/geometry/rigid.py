"""Poses as files have them, brought to a rotation and a translation where rounding or one scale is all that is wrong."""

from collections.abc import Sequence

import torch
from torch import Tensor

from neus.errors import InputError, warn_of
from neus.geometry.similarity import scale_of

# |R R^T - 1|: what is below needs no repair; poses of three decimals or half precision stay below 1e-2, shear does not.
EXACT, REPAIRABLE = 1e-4, 1e-2
# A scale that rounding may leave.
SCALE_TOLERANCE = 1e-3


def rigid_poses(
    matrices: Tensor,
    names: Sequence[str],
    source: str,
    translation_is_scaled: bool = False,
    suggestion: str = "re-export the cameras",
) -> Tensor:
    """(V, 4, 4) float64 rigid poses from nearly rigid ones: homogeneous factor, uniform scale and rounding removed.

    The rotation is the nearest one in the Frobenius norm, U V^T of the singular value decomposition (Higham 1986).

    Args:
        matrices: (V, 4, 4) finite; homogeneous, so that a factor on a whole matrix changes nothing.
        names: V names, for messages.
        source: the file, for messages.
        translation_is_scaled: whether a scale precedes the whole transform (world to camera), not before the axes alone
            (camera to world, whose translation is the camera's position).
        suggestion: ends the messages of errors.

    Raises:
        InputError: a pose that is singular, shears, stretches, mirrors or is projective, with its name.

    Warns:
        InputWarning: what was repaired, and in how many poses.
    """
    poses, scaled, rounded = [], [], []
    for matrix, name in zip(matrices.double(), names, strict=True):
        where = f"{source}: {name}"
        pose = _without_factor(matrix, where, suggestion)
        scale, skewness = scale_of(pose), _skewness(pose, where, suggestion)
        if abs(scale - 1.0) > SCALE_TOLERANCE:
            scaled.append((name, scale))
            pose = pose.clone()
            pose[:3, : 4 if translation_is_scaled else 3] /= scale
        if skewness > EXACT:
            rounded.append(name)
            u, _, vh = torch.linalg.svd(pose[:3, :3])
            pose = pose.clone()
            pose[:3, :3] = u @ vh
        poses.append(pose)
    if scaled:
        factor = sorted(scale for _, scale in scaled)[len(scaled) // 2]
        warn_of(
            f"{source}: {len(scaled)} poses scale by about {factor:.4g}; the scale is divided out",
            [n for n, _ in scaled],
        )
    if rounded:
        warn_of(f"{source}: {len(rounded)} poses are rounded; the nearest rotations are taken", rounded)
    return torch.stack(poses)


def _without_factor(matrix: Tensor, where: str, suggestion: str) -> Tensor:
    """The matrix divided by its last element."""
    last = float(matrix[3, 3])
    if last == 0.0 or float((matrix[3, :3] / last).abs().max()) > EXACT:
        raise InputError(f"{where}: the last row of its pose is {matrix[3].tolist()}, expected 0, 0, 0, 1; {suggestion}.")
    pose = matrix / last
    pose[3] = torch.tensor([0.0, 0.0, 0.0, 1.0], dtype=pose.dtype)
    return pose


def _skewness(pose: Tensor, where: str, suggestion: str) -> float:
    """The largest element of |R R^T - 1|, the scale divided out."""
    determinant = float(torch.linalg.det(pose[:3, :3]))
    if determinant == 0.0:
        raise InputError(f"{where}: its pose is singular, expected a rotation and a translation; {suggestion}.")
    unit = pose[:3, :3] / scale_of(pose)
    skewness = float((unit @ unit.T - torch.eye(3, dtype=unit.dtype)).abs().max())
    if skewness > REPAIRABLE:
        raise InputError(
            f"{where}: its pose is not a rotation and a translation: it shears or stretches its axes differently; {suggestion}."
        )
    if determinant < 0.0:
        raise InputError(
            f"{where}: its pose is not a rotation and a translation: it mirrors (determinant below 0); one axis has the wrong "
            f"sign, {suggestion}."
        )
    return skewness
