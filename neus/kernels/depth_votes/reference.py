"""What one depth map says of the vertices of a lattice, plainly: all vertices of a slab at once."""

import numpy as np
from numpy.typing import NDArray

# Between pixels whose depths differ by no more than this many reaches lies one surface, which is interpolated.
SMOOTH_REACHES = 1.0


def add_votes(
    matrix: NDArray,
    depths: NDArray,
    limits: NDArray,
    first: int,
    reach: float,
    thickness: float,
    free: NDArray,
    near: NDArray,
    behind: NDArray,
    weight: NDArray,
    total: NDArray,
) -> None:
    """Adds one view's votes on the vertices of a slab, in place.

    A vertex at depth z projects to a pixel whose depth is s; d = s - z is its distance before the surface along the camera's z.
    It is near if |d| <= reach; then w = 1 - |d| / reach is added to its weight and w d to its total: total / weight is the mean
    distance (Curless and Levoy 1996), to which depths that are off count little. It is behind if -thickness < d < -reach / 2, and
    free if the pixel's limit, the depth up to which the view sees through, exceeds z by more than the reach. Pixels are the nearest
    ones; where the four about a near vertex are one surface, s is bilinear.

    Args:
        matrix: (3, 4) float32, scene to homogeneous pixels, pixel centres at integers; the third row gives depth.
        depths: (H, W) float32, NaN where unknown.
        limits: (H, W) float32, depth up to which space is free, NaN where unknown, inf where nothing occludes.
        first: x index of the slab's first plane; vertices are linspace(-1, 1, P) along each axis.
        reach, thickness: scene units.
        free, near, behind: (B, P, P) uint16 counts, indexed [x - first, y, z].
        weight, total: (B, P, P) float32; the total in scene units.
    """
    n_planes, size = free.shape[:2]
    axis = np.linspace(-1.0, 1.0, size).astype(np.float32)
    x, y, z = np.meshgrid(axis[first : first + n_planes], axis, axis, indexing="ij")
    across, down, depth = (row[0] * x + row[1] * y + row[2] * z + row[3] for row in np.asarray(matrix, np.float32))
    height, width = depths.shape
    in_front = depth > 1e-6
    safe = np.where(in_front, depth, np.float32(1.0))
    u, v = across / safe, down / safe
    seen = in_front & (u > -0.5) & (v > -0.5) & (u < width - 0.5) & (v < height - 0.5)
    columns, rows = (np.where(seen, np.floor(part + np.float32(0.5)), 0).astype(np.int64) for part in (u, v))
    here = np.where(seen, depths[rows, columns], np.float32(np.nan))
    free += np.where(seen, limits[rows, columns], np.float32(np.nan)) - depth > reach
    here = np.where(
        np.abs(here - depth) <= 2 * reach, _interpolated(depths, u, v, here, seen, SMOOTH_REACHES * reach), here
    )
    before = here - depth
    is_near = np.abs(before) <= reach
    near += is_near
    near_weight = np.where(is_near, np.float32(1.0) - np.abs(before) / np.float32(reach), np.float32(0.0))
    weight += near_weight
    total += np.where(is_near, near_weight * before, np.float32(0.0))
    behind += (before < -0.5 * reach) & (before > -thickness)


def _interpolated(depths: NDArray, u: NDArray, v: NDArray, nearest: NDArray, seen: NDArray, smooth: float) -> NDArray:
    """Bilinear depths at pixels (u, v) where the four about them differ from each other by at most `smooth`, else the nearest."""
    height, width = depths.shape
    inner = seen & (u >= 0) & (v >= 0) & (u < width - 1) & (v < height - 1)
    u, v = np.where(inner, u, 0), np.where(inner, v, 0)
    left, top = u.astype(np.int64), v.astype(np.int64)
    right, bottom = np.minimum(left + 1, width - 1), np.minimum(top + 1, height - 1)
    corners = np.stack([depths[top, left], depths[top, right], depths[bottom, left], depths[bottom, right]])
    is_surface = inner & (corners.max(axis=0) - corners.min(axis=0) <= smooth)
    u, v = u - left.astype(np.float32), v - top.astype(np.float32)
    upper = corners[0] + u * (corners[1] - corners[0])
    lower = corners[2] + u * (corners[3] - corners[2])
    return np.where(is_surface, upper + v * (lower - upper), nearest)
