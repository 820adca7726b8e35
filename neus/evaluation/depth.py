"""How far the depth of a mesh, as cameras see it, is from given depth maps."""

from collections.abc import Sequence

import numpy as np
import torch

from neus.geometry.cameras import Camera
from neus.geometry.rays import pixel_centers
from neus.geometry.similarity import transform_points


def is_in_unit_sphere(depth: np.ndarray, camera: Camera) -> np.ndarray:
    """(H, W) bool: whether what is seen at a depth (H, W), scene units, lies in the unit sphere, which bounds the object."""
    pixels = pixel_centers(camera.width, camera.height).double()
    homogeneous = torch.cat([pixels, torch.ones_like(pixels[..., :1])], dim=-1)
    rays = homogeneous @ torch.linalg.inv(camera.intrinsics.double()).T
    points = transform_points(camera.camera_to_scene.double(), rays * torch.from_numpy(depth)[..., None])
    return (points.norm(dim=-1) < 1.0).numpy()


def depth_scores(depth: np.ndarray, truth: np.ndarray, counts: np.ndarray, thresholds: Sequence[float]) -> dict:
    """Statistics of |depth - truth| over the pixels that count, in the unit of both.

    Pixels at which the mesh is missing are within no threshold; the means are over those where it is there.

    Args:
        depth: (H, W), infinite where nothing is seen.
        truth: (H, W).
        counts: (H, W) bool, where the truth is known and evaluated.
        thresholds: for `within`.

    >>> seen, true = np.array([[1.5, np.inf]]), np.array([[1.0, 1.0]])
    >>> depth_scores(seen, true, true > 0, [0.5])
    {'n_pixels': 2, 'covered': 0.5, 'mean': 0.5, 'median': 0.5, 'rmse': 0.5, 'within': [0.5]}
    """
    is_visible = np.isfinite(depth) & counts
    errors = np.abs(depth[is_visible] - truth[is_visible])
    n, known = int(counts.sum()), len(errors) > 0
    return {
        "n_pixels": n,
        "covered": len(errors) / n if n else 0.0,
        "mean": float(errors.mean()) if known else None,
        "median": float(np.median(errors)) if known else None,
        "rmse": float(np.sqrt(np.square(errors).mean())) if known else None,
        "within": [float((errors <= threshold).sum()) / n if n else 0.0 for threshold in thresholds],
    }
