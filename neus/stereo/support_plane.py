"""The plane that an object stands on or hangs at: a table, the ground, a wall, found among surface points of all views."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neus.stereo.stereo_views import DepthEstimate, StereoView

# RANSAC: how often it tries, on how many of the points, and how often the best plane is fitted again to what lies on it.
N_TRIALS, MOST_POINTS, N_FITS = 1000, 20_000, 5
# A support is this much of all that is seen of the region at least, and next to nothing is seen below it: it hides that.
LEAST_FRACTION, MOST_BELOW = 0.15, 0.1
# It goes on beyond the images, which an object that is photographed whole does not: this much of the border's pixels show it, in
# half of the views. The border is so wide, as a fraction of the image's sides.
LEAST_OF_BORDER, OF_VIEWS, BORDER = 0.1, 0.5, 0.05
# Noise reaches as far as this fraction of it.
OF_NOISE = 0.98


@dataclass(frozen=True)
class Plane:
    """The points x with normal . x = offset.

    Attributes:
        normal: (3,) float64, unit, towards the cameras.
        offset: scene units.
    """

    normal: NDArray
    offset: float

    def heights(self, points: NDArray) -> NDArray:
        """(P,) signed distances of points (P, 3), positive on the cameras' side."""
        return points @ self.normal - self.offset

    def feet(self, points: NDArray) -> NDArray:
        """(P, 3) the points of the plane nearest to points (P, 3)."""
        return points - self.heights(points)[:, None] * self.normal


def support_plane(
    points: NDArray, views: Sequence[StereoView], estimates: Sequence[DepthEstimate], tolerance: float
) -> Plane | None:
    """The plane with most of the points on it, if it is a support: all cameras before it, next to nothing behind, no end in the images.

    Args:
        points: (P, 3) of surfaces, evenly over them, scene units.
        views: all of one scene.
        estimates: of the same views; what shows at the images' borders is read from them.
        tolerance: distance to which points lie on a plane, scene units.
    """
    if len(points) < 3:
        return None
    plane = dominant_plane(points, np.array([view.center for view in views]), tolerance)
    if plane is None:
        return None
    heights = plane.heights(points)
    if (np.abs(heights) < tolerance).mean() < LEAST_FRACTION or (heights < -2.0 * tolerance).mean() > MOST_BELOW:
        return None
    shown = [_fraction_of_border(estimate, plane, 2.0 * tolerance) for estimate in estimates]
    return plane if np.mean([fraction >= LEAST_OF_BORDER for fraction in shown]) >= OF_VIEWS else None


def dominant_plane(points: NDArray, centers: NDArray, tolerance: float) -> Plane | None:
    """The plane with most of the points (P, 3) within `tolerance` of it, of those with all cameras (V, 3) on one side; None without any."""
    generator = np.random.default_rng(0)
    sample = points[generator.permutation(len(points))[:MOST_POINTS]]
    corners = sample[generator.integers(0, len(sample), (N_TRIALS, 3))]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    lengths = np.linalg.norm(normals, axis=1)
    normals, corners = normals[lengths > 0] / lengths[lengths > 0, None], corners[lengths > 0, 0]
    offsets = (normals * corners).sum(-1)
    sides = centers @ normals.T - offsets
    normals, offsets = normals * (flip := np.where((sides < 0).all(axis=0), -1.0, 1.0))[:, None], offsets * flip
    is_before = (sides * flip > 0).all(axis=0)
    if not is_before.any():
        return None
    normals, offsets = normals[is_before], offsets[is_before]
    n_on_plane = [(np.abs(sample @ normal - offset) < tolerance).sum() for normal, offset in zip(normals, offsets, strict=True)]
    best = int(np.argmax(n_on_plane))
    plane = Plane(normals[best], float(offsets[best]))
    for _ in range(N_FITS):
        on_plane = sample[np.abs(plane.heights(sample)) < tolerance]
        middle = on_plane.mean(axis=0)
        normal = np.linalg.svd(on_plane - middle, full_matrices=False)[2][2]
        normal = normal * np.sign(normal @ plane.normal)
        plane = Plane(normal, float(normal @ middle))
    return plane


def noise_below(heights: NDArray, most: float) -> float:
    """How far points of a support lie from its plane at most, but for a few: as far as those below, since nothing else is seen there.

    Args:
        heights: (P,) above the plane.
        most: what is farther below was seen beside the support.
    """
    below = -heights[(heights < 0.0) & (heights > -most)]
    return float(np.quantile(below, OF_NOISE)) if len(below) else 0.0


def _fraction_of_border(estimate: DepthEstimate, plane: Plane, tolerance: float) -> float:
    """The fraction of an image's border whose pixels have a depth on the plane."""
    height, width = estimate.depths.shape
    rows, columns = np.indices((height, width)).reshape(2, -1)
    margin = max(1.0, BORDER * min(height, width))
    is_border = np.minimum.reduce([rows, columns, height - 1 - rows, width - 1 - columns]) < margin
    rows, columns = rows[is_border], columns[is_border]
    depths = estimate.depths[rows, columns].astype(np.float64)
    back = np.linalg.inv(estimate.matrix[:, :3])
    points = (np.stack([columns * depths, rows * depths, depths], axis=-1) - estimate.matrix[:, 3]) @ back.T
    # Depths at the border, often far from the middle, are as uncertain as their own step.
    reach = np.maximum(tolerance, estimate.step * depths**2)
    return float((np.abs(plane.heights(points)) < reach).mean())
