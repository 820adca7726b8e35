"""Points of a surface, with normals and confidences, from the depths that views agree about."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from neus.kernels.dispatch import kernels_for
from neus.kernels.threads import run_tasks
from neus.stereo.stereo_views import DepthEstimate

# Planes are fitted to windows of so many pixels.
WINDOW = 5
# A depth farther from the plane of those around it, in steps, lies at a jump.
LARGEST_RESIDUAL = 1.0
# Surfaces seen more slantingly than this are known badly.
LEAST_COSINE = 0.2
# Correlations from where confidence begins to where it is whole, and so many views make it so.
SURE_FROM, SURE_OVER, SURE_VIEWS = 0.6, 0.3, 4
# Less sure depths take part in the fit of planes, a little.
LEAST_WEIGHT = 0.05
# A voxel with points of both sides of a sheet has no normal.
LEAST_MEAN_NORMAL = 0.5
# Lattice of voxels: so many along each axis at most, that three indices fit 63 bits.
MOST_VOXELS = 1 << 20


class SurfacePoints(NamedTuple):
    """What is known of a surface.

    Attributes:
        points: (M, 3) float32, scene units.
        normals: (M, 3) float32, unit, towards the views.
        confidences: (M,) float32 in (0, 1].
    """

    points: NDArray
    normals: NDArray
    confidences: NDArray


def surface_points(estimates: list[DepthEstimate], voxel: float = 0.0) -> SurfacePoints:
    """One point for each voxel that holds accepted depths, the mean of those weighted by confidence.

    The confidence is clip((C - 0.6) / 0.3, 0, 1) min(1, n / 4), C the mean correlation and n the number of depths in the
    voxel: about that of the views, for a voxel as wide as a pixel. Works in about 100 bytes for each accepted depth.

    Args:
        estimates: as `refined` gives them.
        voxel: its width, scene units; 0 for the width of a pixel at the median depth.
    """
    parts = [_nothing()] * len(estimates)

    def fit(index: int) -> None:
        parts[index] = _of_view(estimates[index])

    run_tasks(fit, [(index,) for index in range(len(estimates))])
    together = (np.concatenate(column) for column in zip(_nothing(), *parts, strict=True))
    return _thinned(SurfacePoints(*together), voxel or pixel_width(estimates))


class Planes(NamedTuple):
    """Planes q with q.(Y - center) = 1 through the depths around known pixels.

    The inverse depth q.ray is affine in the pixel (a plane in space always is); q points away from the camera along the
    normal.

    Attributes:
        rows, columns: (n,) the pixels.
        planes: (n, 3) q, NaN where too few depths around are known.
        rays: (n, 3) of depth 1.
        weights: (n,) of the pixel in fits, from its correlation.
    """

    rows: NDArray
    columns: NDArray
    planes: NDArray
    rays: NDArray
    weights: NDArray

    def cosines(self) -> NDArray:
        """(n,) between ray and normal."""
        lengths = np.linalg.norm(self.planes, axis=1) * np.linalg.norm(self.rays, axis=1)
        return (self.planes * self.rays).sum(axis=1) / np.maximum(lengths, 1e-12)


def fitted_planes(estimate: DepthEstimate) -> Planes:
    """Planes through the depths around each known pixel of a view."""
    known = np.isfinite(estimate.depths)
    weights = np.where(known, np.clip((estimate.scores - SURE_FROM) / SURE_OVER, LEAST_WEIGHT, 1.0), 0.0)
    inverse = np.where(known, 1.0 / np.where(known, estimate.depths, 1.0), 0.0)
    fit = kernels_for("plane_fit", torch.device("cpu")).planes_of_windows
    y, x = np.nonzero(known)
    a, b, c = fit(inverse, weights, WINDOW)[y, x].T
    planes = np.column_stack([b, c, a - b * x - c * y]) @ estimate.matrix[:, :3]
    rays = np.column_stack([x, y, np.ones(len(x))]) @ np.linalg.inv(estimate.matrix[:, :3]).T
    return Planes(y, x, planes, rays, weights[y, x])


def cosine_image(estimate: DepthEstimate) -> NDArray:
    """(H, W) float32 cosine between a pixel's ray and the normal of the depths there, never less than `LEAST_COSINE`."""
    fit, image = fitted_planes(estimate), np.full(estimate.depths.shape, LEAST_COSINE, np.float32)
    image[fit.rows, fit.columns] = np.fmax(fit.cosines(), LEAST_COSINE)
    return image


def _of_view(estimate: DepthEstimate) -> SurfacePoints:
    """Points on the planes of one view, where its depths are near them, and their normals -q / |q|."""
    fit = fitted_planes(estimate)
    smooth = (fit.planes * fit.rays).sum(axis=1)
    residuals = np.abs(1.0 / estimate.depths[fit.rows, fit.columns] - smooth)
    is_good = (residuals < LARGEST_RESIDUAL * estimate.step) & (smooth > 0)
    is_good &= (fit.cosines() > LEAST_COSINE) & (fit.weights > LEAST_WEIGHT)
    center = -np.linalg.solve(estimate.matrix[:, :3], estimate.matrix[:, 3])
    points = center + fit.rays[is_good] / smooth[is_good][:, None]
    normals = -fit.planes[is_good] / np.linalg.norm(fit.planes[is_good], axis=1, keepdims=True)
    return SurfacePoints(*(part.astype(np.float32) for part in (points, normals, fit.weights[is_good])))


def pixel_width(estimates: list[DepthEstimate]) -> float:
    """Width of a pixel at the median depth of all views, scene units; 1 where nothing is known."""
    widths = []
    for estimate in estimates:
        focal = np.sqrt(abs(np.linalg.det(estimate.matrix[:, :3])))
        widths.append(estimate.depths[np.isfinite(estimate.depths)] / focal)
    together = np.concatenate(widths) if widths else np.empty(0)
    return float(np.median(together)) if len(together) else 1.0


def _nothing() -> SurfacePoints:
    return SurfacePoints(np.empty((0, 3), np.float32), np.empty((0, 3), np.float32), np.empty(0, np.float32))


def _thinned(found: SurfacePoints, voxel: float) -> SurfacePoints:
    """The mean point, mean normal and confidence of each voxel."""
    points, normals, confidences = found
    if not len(points):
        return found
    indices = np.minimum(((points - points.min(axis=0)) / np.float32(voxel)).astype(np.int64), MOST_VOXELS - 1)
    keys = (indices[:, 0] * MOST_VOXELS + indices[:, 1]) * MOST_VOXELS + indices[:, 2]
    order = np.argsort(keys, kind="stable")
    starts = np.flatnonzero(np.diff(keys[order], prepend=-1))
    weights = confidences[order].astype(np.float64)
    total, count = np.add.reduceat(weights, starts), np.diff(starts, append=len(order))
    mean_points = np.add.reduceat(points[order] * weights[:, None], starts) / total[:, None]
    mean_normals = np.add.reduceat(normals[order] * weights[:, None], starts) / total[:, None]
    lengths = np.linalg.norm(mean_normals, axis=1)
    sure = total / count * np.minimum(1.0, count / SURE_VIEWS)
    keeps = lengths > LEAST_MEAN_NORMAL
    thinned = mean_points[keeps], (mean_normals / np.maximum(lengths, 1e-9)[:, None])[keeps], sure[keeps]
    return SurfacePoints(*(part.astype(np.float32) for part in thinned))
