"""Points of a surface, with normals and confidences, from the depths that views agree about."""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from neus.kernels.threads import run_tasks
from neus.stereo.stereo_views import DepthEstimate

# Planes are fitted to windows of so many pixels, of which as many must be known.
WINDOW, LEAST_KNOWN = 5, 8
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


def inverse_depth_planes(inverse: NDArray, weights: NDArray) -> tuple[NDArray, NDArray, NDArray]:
    """(H, W) each: a, b, c of the planes a + b dx + c dy of weighted least squares about each pixel.

    A plane in space has an inverse depth that is affine in the pixel. NaN where fewer than `LEAST_KNOWN` are known, or
    all on one line.

    Args:
        inverse: (H, W) inverse depths, anything where nothing is known.
        weights: (H, W), 0 where nothing is known.
    """
    along = np.arange(WINDOW, dtype=np.float64) - WINDOW // 2
    one = np.ones(WINDOW)
    known = (weights > 0).astype(np.float64)
    weights = weights.astype(np.float64)
    values = np.where(known > 0, inverse, 0.0) * weights

    def total(image: NDArray, row: NDArray, column: NDArray) -> NDArray:
        return cv2.sepFilter2D(image, cv2.CV_64F, row, column, borderType=cv2.BORDER_CONSTANT)

    s, sx, sy = total(weights, one, one), total(weights, along, one), total(weights, one, along)
    sxx, sxy, syy = total(weights, along**2, one), total(weights, along, along), total(weights, one, along**2)
    t, tx, ty = total(values, one, one), total(values, along, one), total(values, one, along)
    # Cramer's rule on the normal equations.
    minor_s, minor_x, minor_y = sxx * syy - sxy * sxy, sx * syy - sxy * sy, sx * sxy - sxx * sy
    determinant = s * minor_s - sx * minor_x + sy * minor_y
    count = total(known, one, one)
    scale = np.maximum(s, 1e-9) ** 3
    determinant = np.where((count >= LEAST_KNOWN) & (determinant > 1e-3 * scale), determinant, np.nan)
    a = (t * minor_s - tx * minor_x + ty * minor_y) / determinant
    b = (-t * minor_x + tx * (s * syy - sy * sy) - ty * (s * sxy - sx * sy)) / determinant
    c = (t * minor_y - tx * (s * sxy - sx * sy) + ty * (s * sxx - sx * sx)) / determinant
    return a, b, c


def planes_of(estimate: DepthEstimate) -> tuple[NDArray, NDArray, NDArray]:
    """Planes q with q.(Y - center) = 1 through the depths around each pixel (H, W, 3), NaN where too few are known.

    Also (H, W, 3) the rays of depth 1 and (H, W) the weights of the fit, from the correlations. The inverse depth q.ray is
    affine in the pixel; q points away from the camera along the normal.
    """
    confidence = np.clip((estimate.scores - SURE_FROM) / SURE_OVER, LEAST_WEIGHT, 1.0)
    known = np.isfinite(estimate.depths)
    weights = np.where(known, confidence, 0.0)
    a, b, c = inverse_depth_planes(np.where(known, 1.0 / np.where(known, estimate.depths, 1.0), 0.0), weights)
    y, x = np.mgrid[: known.shape[0], : known.shape[1]]
    planes = np.stack([b, c, a - b * x - c * y], axis=-1) @ estimate.matrix[:, :3]
    rays = np.stack([x, y, np.ones_like(x)], axis=-1) @ np.linalg.inv(estimate.matrix[:, :3]).T
    return planes, rays, weights


def _of_view(estimate: DepthEstimate) -> SurfacePoints:
    """Points on the planes of one view, where its depths are near them, and their normals -q / |q|."""
    planes, rays, weights = planes_of(estimate)
    smooth = (planes * rays).sum(axis=-1)
    with np.errstate(invalid="ignore"):
        is_good = (np.abs(1.0 / estimate.depths - smooth) < LARGEST_RESIDUAL * estimate.step) & (smooth > 0)
        cosines = smooth / np.linalg.norm(planes, axis=-1) / np.linalg.norm(rays, axis=-1)
        is_good &= (cosines > LEAST_COSINE) & (weights > LEAST_WEIGHT)
    planes, rays, weights = planes[is_good], rays[is_good], weights[is_good]
    center = -np.linalg.solve(estimate.matrix[:, :3], estimate.matrix[:, 3])
    normals = -planes / np.linalg.norm(planes, axis=1, keepdims=True)
    found = center + rays / smooth[is_good][:, None], normals, weights
    return SurfacePoints(*(part.astype(np.float32) for part in found))


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
