"""Rays through pixels, and where along them the scene's unit sphere lies."""

import torch
from torch import Tensor


def pixel_centers(width: int, height: int, device: torch.device | None = None) -> Tensor:
    """(H, W, 2) float64 coordinates x, y of all pixel centres, on a device or on the CPU.

    >>> pixel_centers(2, 1)
    tensor([[[0.5000, 0.5000],
             [1.5000, 0.5000]]], dtype=torch.float64)
    """
    y, x = torch.meshgrid(
        torch.arange(height, dtype=torch.float64, device=device) + 0.5,
        torch.arange(width, dtype=torch.float64, device=device) + 0.5,
        indexing="ij",
    )
    return torch.stack([x, y], dim=-1)


def rays_from_pixels(pixels: Tensor, intrinsics: Tensor, camera_to_scene: Tensor) -> tuple[Tensor, Tensor]:
    """The rays through given pixels: d = R normalise(K^-1 (x, y, 1)), o = camera centre (NeuS sec. 3.1).

    Args:
        pixels: (..., 2) x, y; centres at +0.5.
        intrinsics: (3, 3) or (..., 3, 3), one per pixel.
        camera_to_scene: (4, 4) or (..., 4, 4), one per pixel.

    Returns:
        origins (..., 3) and unit directions (..., 3), in the scene frame.
    """
    homogeneous = torch.cat([pixels, torch.ones_like(pixels[..., :1])], dim=-1)
    in_camera = (torch.linalg.inv(intrinsics) @ homogeneous.unsqueeze(-1)).squeeze(-1)
    in_camera = torch.nn.functional.normalize(in_camera, dim=-1)
    directions = (camera_to_scene[..., :3, :3] @ in_camera.unsqueeze(-1)).squeeze(-1)
    return camera_to_scene[..., :3, 3].expand_as(directions), directions


def near_far_around_center(origins: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
    """The stretch of each ray within distance 1 of its point nearest to the scene's centre: NeuS's near and far.

    It contains the ray's part in the unit sphere. For a camera inside the sphere `near` may lie behind it.

    Args:
        origins, directions: (N, 3), unit directions.

    Returns:
        near, far: (N,).
    """
    middle = -(origins * directions).sum(-1) / directions.square().sum(-1)
    return middle - 1.0, middle + 1.0


def intersect_sphere(origins: Tensor, directions: Tensor, radius: float = 1.0) -> tuple[Tensor, Tensor, Tensor]:
    """Where rays enter and leave a sphere about the scene's centre.

    Returns:
        enters, leaves (N,), not before the origin (enters >= 0), and hits (N,) bool: whether the ray meets the sphere.

    >>> enters, leaves, hits = intersect_sphere(torch.tensor([[0.0, 0.0, -3.0]]), torch.tensor([[0.0, 0.0, 1.0]]))
    >>> enters, leaves, hits
    (tensor([2.]), tensor([4.]), tensor([True]))
    """
    along = -(origins * directions).sum(-1)
    nearest_squared = origins.square().sum(-1) - along.square()
    half_chord = (radius**2 - nearest_squared).clamp_min(0.0).sqrt()
    hits = (nearest_squared < radius**2) & (along + half_chord > 0)
    return (along - half_chord).clamp_min(0.0), along + half_chord, hits
