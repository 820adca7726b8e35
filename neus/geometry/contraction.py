"""The space outside the unit sphere folded into a bounded one."""

import torch
from torch import Tensor


def inverted_sphere(points: Tensor) -> Tensor:
    """NeRF++'s coordinates (x/r, 1/r) of points outside the unit sphere, r = max(|x|, 1) (Zhang et al. 2020, sec. 4).

    Args:
        points: (..., 3), scene units.

    Returns:
        (..., 4); the first three lie on the unit sphere (inside it for points within), the last falls from 1 to 0.

    >>> inverted_sphere(torch.tensor([0.0, 0.0, 4.0]))
    tensor([0.0000, 0.0000, 1.0000, 0.2500])
    """
    radius = points.norm(dim=-1, keepdim=True).clamp(1.0, 1e10)
    return torch.cat([points / radius, 1.0 / radius], dim=-1)


def contracted_ball(inverted: Tensor) -> Tensor:
    """Points of the ball of radius 1 for inverted-sphere points: (1 - w / 2) u for (u, w), mip-NeRF 360 eq. 10 halved.

    Args:
        inverted: (..., 4), from `inverted_sphere`.

    Returns:
        (..., 3): the unit sphere becomes the sphere of radius 1/2, infinity that of radius 1.

    >>> contracted_ball(torch.tensor([[0.0, 0.0, 1.0, 1.0], [0.0, 0.0, 1.0, 0.25]]))
    tensor([[0.0000, 0.0000, 0.5000],
            [0.0000, 0.0000, 0.8750]])
    """
    return (1.0 - inverted[..., 3:] / 2.0) * inverted[..., :3]
