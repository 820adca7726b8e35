"""How far around the object the cameras go, and between which of them there is most room."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from neus.geometry.cameras import Camera

# Cameras higher or lower than this see the object from above or below rather than from a side, degrees.
STEEPEST = 60.0


@dataclass(frozen=True)
class Gap:
    """The widest gap of a ring of cameras.

    Attributes:
        degrees: of azimuth.
        between: the views on both sides of it.
    """

    degrees: float
    between: tuple[int, int]


def widest_gap(cameras: Sequence[Camera], up: Tensor) -> Gap | None:
    """The widest gap in azimuth about the origin between cameras that are not steeply above or below; None with fewer than two of them.

    Args:
        cameras: in a frame whose origin is the middle of the object.
        up: (3,) the unit vertical of that frame.
    """
    centers = torch.stack([camera.center for camera in cameras])
    elevations = torch.rad2deg(torch.asin((centers @ up / centers.norm(dim=-1)).clamp(-1.0, 1.0)))
    views = torch.nonzero(elevations.abs() <= STEEPEST)[:, 0]
    if len(views) < 2:
        return None
    axis = torch.zeros_like(up)
    axis[up.abs().argmin()] = 1.0
    ahead = torch.nn.functional.normalize(torch.linalg.cross(axis, up), dim=0)
    aside = torch.linalg.cross(up, ahead)
    azimuths, order = torch.atan2(centers[views] @ aside, centers[views] @ ahead).sort()
    gaps = torch.cat([azimuths[1:], azimuths[:1] + 2.0 * math.pi]) - azimuths
    widest = int(gaps.argmax())
    pair = int(views[order[widest]]), int(views[order[(widest + 1) % len(order)]])
    return Gap(math.degrees(float(gaps[widest])), pair)
