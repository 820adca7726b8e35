"""Votes of all depth maps on the vertices of a lattice: which space is free, where surfaces are, and what lies behind them."""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from neus.kernels.dispatch import kernels_for
from neus.kernels.threads import ranges, run_tasks
from neus.stereo.stereo_views import DepthEstimate, StereoView

# Masks are drawn by hand or by networks: the object may reach this far beyond them, in pixels.
MASK_SLACK = 1.5
# Outlines of depth maps are this ragged: space is free as far as the nearest depth in windows of so many pixels.
LIMIT_WINDOW = 3
# Below this sum of weights mean distances fade to 0.
LEAST_WEIGHT = 1e-3
# Planes of the lattice that one task fills: few enough to stay in the cache while all views vote.
SLAB = 2


class Votes(NamedTuple):
    """Votes on the vertices linspace(-1, 1, P) of a lattice, indexed [x, y, z].

    Attributes:
        free: (P, P, P) uint16, views that see through the vertex to something more than a reach behind it.
        near: (P, P, P) uint16, views that see a surface within the reach.
        behind: (P, P, P) uint16, views that see a surface a little before the vertex.
        mean: (P, P, P) float32, weighted mean distance before the surface of the near votes, scene units; 0 without any.
    """

    free: NDArray
    near: NDArray
    behind: NDArray
    mean: NDArray


def votes_of_depths(
    views: Sequence[StereoView],
    estimates: Sequence[DepthEstimate],
    resolution: int,
    reach: float,
    thickness: float,
    seen_through: Sequence[NDArray] | None = None,
) -> Votes:
    """What all views say of every vertex; see `kernels.depth_votes.reference.add_votes` for the three kinds of votes.

    Pixels outside of a mask, and pixels of a plain background, are seen through as far as one likes. Takes 14 bytes a vertex: 29 MB at
    a resolution of 128, 235 MB at 256. The same with any number of threads.

    Args:
        views: for their masks.
        estimates: of the same views.
        resolution: P.
        reach: distance to which depths are believed, scene units.
        thickness: how far behind a surface vertices count as behind it, scene units.
        seen_through: (H, W) bool of each view, where its pixels show a plain background.
    """
    limits, depths = [], []
    for number, (view, estimate) in enumerate(zip(views, estimates, strict=True)):
        is_open = None if seen_through is None else seen_through[number]
        depth, limit = _depths_and_limits(view, estimate, is_open)
        depths.append(depth)
        limits.append(limit)
    shape = (resolution,) * 3
    free, near, behind = (np.zeros(shape, dtype=np.uint16) for _ in range(3))
    weight, total = (np.zeros(shape, dtype=np.float32) for _ in range(2))

    add_votes = kernels_for("depth_votes", torch.device("cpu")).add_votes

    def vote(start: int, end: int) -> None:
        parts = [votes[start:end] for votes in (free, near, behind, weight, total)]
        for estimate, depth, limit in zip(estimates, depths, limits, strict=True):
            add_votes(estimate.matrix, depth, limit, start, reach, thickness, *parts)
        parts[4] /= np.maximum(parts[3], LEAST_WEIGHT)

    run_tasks(vote, ranges(resolution, SLAB))
    return Votes(free, near, behind, total)


def _depths_and_limits(view: StereoView, estimate: DepthEstimate, is_open: NDArray | None) -> tuple[NDArray, NDArray]:
    """(H, W) float32 both: depths of surfaces, and depths up to which space is free."""
    depths = np.ascontiguousarray(estimate.depths, dtype=np.float32)
    known = ~np.isnan(depths)
    window = np.ones((LIMIT_WINDOW, LIMIT_WINDOW), np.uint8)
    limits = cv2.erode(np.where(known, depths, np.float32(np.inf)), window, borderType=cv2.BORDER_REPLICATE)
    limits = np.where(known, limits, np.float32(np.nan))
    if is_open is not None:
        limits[is_open & ~known] = np.inf
    if view.mask is not None:
        outside = beyond_mask(view.mask, MASK_SLACK)
        limits[outside] = np.inf
        depths = np.where(outside, np.float32(np.nan), depths)
    return depths, limits


def beyond_mask(mask: NDArray, slack: float) -> NDArray:
    """(H, W) bool: pixels further than `slack` pixels outside of a mask (H, W); none if the mask is empty, which says nothing."""
    if not mask.any():
        return np.zeros(mask.shape, dtype=bool)
    distances = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return distances > slack
