"""Where a member of a family stands: rotation, translation, scale; and the shape there as a field."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from neus.fields.base import SurfaceSample
from neus.fields.latent_sdf import LatentField
from neus.geometry.poses import rotation_from_vector
from neus.geometry.similarity import similarity


@dataclass(frozen=True, eq=False)
class Placement:
    """x_observed = scale R x_prior + t.

    Attributes:
        rotation: (3, 3).
        translation: (3,).
        scale: above 0.
    """

    rotation: Tensor
    translation: Tensor
    scale: float = 1.0

    @staticmethod
    def identity() -> "Placement":
        """The prior's own frame."""
        return Placement(torch.eye(3), torch.zeros(3))

    def matrix(self) -> Tensor:
        """(4, 4) float64, from the prior's frame to the observed one."""
        return similarity(self.scale, self.translation.double(), self.rotation.double())

    def to_prior(self, points: Tensor) -> Tensor:
        """Observed points (..., 3) in the prior's frame: R^T (x - t) / c."""
        return (points - self.translation.to(points)) @ self.rotation.to(points) / self.scale

    def turned(self, step: Tensor) -> "Placement":
        """After a step (7,): a rotation vector applied on the left, a translation, and the logarithm of a factor."""
        rotation = rotation_from_vector(step[:3].double()).float() @ self.rotation
        u, _, vh = torch.linalg.svd(rotation)  # many steps do not wear the rotation off
        return Placement(u @ vh, self.translation + step[3:6].float(), self.scale * float(step[6].clamp(-1.0, 1.0).exp()))


def cube_rotations() -> list[Tensor]:
    """The 24 rotations that take a cube to itself, the identity first.

    >>> len(cube_rotations()), cube_rotations()[0].tolist()
    (24, [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    """
    found = []
    for order in ((0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)):
        for signs in np.ndindex(2, 2, 2):
            matrix = np.zeros((3, 3), np.float32)
            matrix[range(3), order] = 1.0 - 2.0 * np.array(signs)
            if np.linalg.det(matrix) > 0:
                found.append(torch.from_numpy(matrix))
    return found


class PlacedField(nn.Module):
    """A prior's shape where it was observed, as a `SurfaceField`: f(x) = c F(z, R^T (x - t) / c)."""

    def __init__(self, field: LatentField, placement: Placement) -> None:
        super().__init__()
        self.field, self.placement = field, placement

    def sdf(self, points: Tensor) -> Tensor:
        """(...) signed distances at points (..., 3)."""
        return self.placement.scale * self.field.sdf(self.placement.to_prior(points))

    def evaluate(self, points: Tensor) -> SurfaceSample:
        """Distance, no features, and gradient R dF/dy at points (..., 3)."""
        sample = self.field.evaluate(self.placement.to_prior(points))
        gradients = sample.gradients @ self.placement.rotation.T.to(points)
        return SurfaceSample(self.placement.scale * sample.sdf, sample.features, gradients)
