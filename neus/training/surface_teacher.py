"""Surface points that views agree about, which teach the signed distances throughout training."""

from typing import Any

import torch
from torch import Generator, Tensor
from torch.nn.functional import smooth_l1_loss

from neus.kernels.async_copy import to_device_async
from neus.rendering.model import Model
from neus.stereo.surface_points import SurfacePoints

# Points of one step.
N_POINTS = 1024
# Weight of the normals' term in that of the distances, which are in scene units.
NORMAL_WEIGHT = 0.01
TINY = 1e-6


class SurfaceTeacher:
    """Draws a few of the points for each step and adds their gradients.

    Attributes:
        points, normals: (M, 3) float32, scene units, unit normals.
        confidences: (M,) float32.
        width: errors of the distance count as their square up to this, scene units.
    """

    def __init__(self, points: Tensor, normals: Tensor, confidences: Tensor, width: float) -> None:
        self.points, self.normals, self.confidences, self.width = points, normals, confidences, width

    @classmethod
    def of(cls, found: SurfacePoints, width: float) -> "SurfaceTeacher | None":
        """The teacher of what stereo found; None if that is nothing."""
        return cls(*(torch.from_numpy(part) for part in found), width) if len(found.points) else None

    def add_gradients(self, model: Model, weight: float, generator: Generator) -> Tensor:
        """Adds the gradients of `weight` times the term of some points; returns the term, () without gradient."""
        chosen = torch.randint(len(self.points), (N_POINTS,), generator=generator)
        points, normals, confidences = (
            to_device_async(part[chosen], model.device) for part in (self.points, self.normals, self.confidences)
        )
        sample = model.sdf_network.evaluate(points)
        term = surface_point_loss(sample.sdf, sample.gradients, normals, confidences, self.width)
        (weight * term).backward()
        return term.detach()

    def state(self) -> dict[str, Any]:
        """What a checkpoint needs."""
        return {
            "points": self.points, "normals": self.normals, "confidences": self.confidences, "width": self.width
        }  # fmt: skip


def surface_point_loss(sdf: Tensor, gradients: Tensor, normals: Tensor, confidences: Tensor, width: float) -> Tensor:
    """Mean of c huber(f / |g|) + nu c (1 - n . g / |g|): the surface passes through M points, facing as they do.

    The distance at known points is Geo-Neus's term (Fu et al. 2022), that of the normals IGR's (Gropp et al. 2020), here by the
    angle alone; c are confidences, nu is `NORMAL_WEIGHT`.

    Args:
        sdf: (M,) signed distances f at the points, scene units.
        gradients, normals: (M, 3) raw gradients g, unit normals n.
        confidences: (M,) c in [0, 1].
        width: of the Huber function, which is a square up to it.

    >>> up = torch.tensor([[0.0, 0.0, 1.0]])
    >>> round(float(surface_point_loss(torch.tensor([0.5]), 2.0 * up, up, torch.ones(1), 0.1)), 4)
    0.2
    """
    norm = gradients.norm(dim=-1).clamp_min(TINY)
    distance = smooth_l1_loss(sdf / norm.detach(), torch.zeros_like(sdf), reduction="none", beta=width)
    facing = 1.0 - (normals * gradients).sum(-1) / norm
    return (confidences * (distance + NORMAL_WEIGHT * facing)).sum() / max(len(sdf), 1)
