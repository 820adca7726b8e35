"""Depth maps of all views: a plane sweep, made smooth by semi-global matching, kept where other views agree."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from neus.kernels.dispatch import kernels_for
from neus.kernels.threads import run_tasks
from neus.stereo.label_choice import chosen_labels
from neus.stereo.stereo_views import DepthEstimate, StereoView, neighbors

# Views that a view is matched with; the better half of them counts at each pixel.
N_MATCHED = 6
# One step of inverse depth moves a point by about one pixel in the median neighbour; windows of 5 pixels bear that. More
# planes than the most cost time, and fewer than the least leave no peak to put a parabola through.
LEAST_PLANES, MOST_PLANES = 48, 192
# Penalties of semi-global matching, of costs from 0 to 255: depths change by one step, or jump. Neither has much effect: from 8 to
# 24 nothing changes; jumps of 60, 110 and 200 leave 59, 61 and 63 % of scan 24 known, equally well.
STEP_PENALTY, JUMP_PENALTY = 14, 200
# Depths are kept where so many of the tested views agree within so many steps. These are closer and further
# apart than those matched, in degrees: they see the same, and err otherwise.
N_COMPARED, LEAST_AGREEING, TOLERANCE = 10, 2, 1.5
LEAST_COMPARED_ANGLE, LARGEST_COMPARED_ANGLE = 2.0, 60.0
# Correlation below which a depth is that of its surroundings rather than its own.
LEAST_SCORE = 0.15
# The object lies in the unit sphere, and surfaces are searched from a little in front of it.
REGION_RADIUS = 1.05
# Not nearer than this, and up to this many times as far as the scene's centre: what lies behind shows the space before it to be free.
NEAREST, BEHIND = 0.1, 4.0
# Beyond a mask so many pixels are matched as well: the windows of those inside.
MARGIN = 4
_CPU = torch.device("cpu")


def open_spans(views: list[StereoView]) -> NDArray:
    """(V, 2) nearest and farthest depth to search without a visual hull: from the region's front, with a mask to its back.

    Without a mask far beyond: what lies behind the region is seen as well.
    """
    centers, axes = (np.array([getattr(view, name) for view in views]) for name in ("center", "forward"))
    distances, ahead = np.linalg.norm(centers, axis=1), -(centers * axes).sum(axis=1)
    near = np.maximum(ahead - REGION_RADIUS, NEAREST * distances)
    far = [
        a + REGION_RADIUS if view.mask is not None else BEHIND * d
        for view, a, d in zip(views, ahead, distances, strict=True)
    ]
    return np.stack([near, far], axis=1)


def hull_spans(views: list[StereoView], hull: NDArray) -> NDArray:
    """(V, 2) nearest and farthest depth at which each view may see the visual hull, values (P, P, P), negative inside."""
    step = 2.0 / (len(hull) - 1)
    # A view's nearest and farthest vertex lie among the first and last of their columns.
    inside = hull < 0
    ends = inside & ~(np.roll(inside, 1, axis=2) & np.roll(inside, -1, axis=2))
    points = np.argwhere(ends) * step - 1.0
    axes, centers = (np.array([getattr(view, name) for view in views]) for name in ("forward", "center"))
    depths = points @ axes.T - (centers * axes).sum(-1)
    near, far = depths.min(axis=0) - step, depths.max(axis=0) + step
    return np.stack([np.maximum(near, NEAREST * np.linalg.norm(centers, axis=-1)), far], axis=-1)


def depth_maps(
    views: list[StereoView], spans: NDArray, on_progress: Callable[[float], None] | None = None
) -> list[DepthEstimate]:
    """A depth map for each view, with NaN where other views do not confirm it.

    Costs on planes parallel to the image (`kernels.sweep_cost`) are summed along paths (`kernels.semi_global`;
    Hirschmueller 2008), so that smooth parts have the depth of what surrounds them. The two largest arrays of each thread
    take 3 bytes for each pixel and plane: 45 MB for 320 x 240 x 192.

    Args:
        views: of one size or several; where there are masks, depths are found inside them only.
        spans: (V, 2) nearest and farthest depth of each view, scene units, 0 < nearest < farthest.
        on_progress: receives the fraction of finished views.
    """
    matched = neighbors(views, N_MATCHED)
    found: list[DepthEstimate | None] = [None] * len(views)

    def match(index: int) -> None:
        others = [views[other] for other in matched[index]]
        found[index] = matched_depths(views[index], others, *spans[index])
        if on_progress:
            on_progress(sum(estimate is not None for estimate in found) / len(found))

    run_tasks(match, [(index,) for index in range(len(views))])
    return agreed(views, [estimate for estimate in found if estimate is not None])


def matched_depths(view: StereoView, others: list[StereoView], near: float, far: float) -> DepthEstimate:
    """The depths at which a view fits its neighbours best, whether sure or not; NaN at the ends of the span and outside of its mask."""
    depths = np.full(view.grey.shape, np.nan, np.float32)
    scores = np.zeros(view.grey.shape, np.float32)
    rows, columns = _bounds(view)
    if not others or rows.start >= rows.stop or not 0.0 < near < far:
        return DepthEstimate(view.matrix, depths, scores, step=1.0)
    inverse_depths = _inverse_depths(view, others, near, far)
    cost = _cost(view, others, inverse_depths, rows, columns)
    planes, found_scores = chosen_labels(cost, view.grey[rows, columns], STEP_PENALTY, JUMP_PENALTY)
    step = (inverse_depths[-1] - inverse_depths[0]) / (len(inverse_depths) - 1)
    found = 1.0 / (inverse_depths[0] + planes * step)
    is_known = np.isfinite(found) if view.mask is None else np.isfinite(found) & view.mask[rows, columns]
    depths[rows, columns] = np.where(is_known, found, np.nan)
    scores[rows, columns] = np.where(is_known, found_scores, 0.0)
    return DepthEstimate(view.matrix, depths, scores, step=float(abs(step)))


def agreed(
    views: list[StereoView], estimates: list[DepthEstimate], tolerance: float = TOLERANCE
) -> list[DepthEstimate]:
    """The estimates without what too few of the views around agree with, to `tolerance` steps; see `consistent`."""
    compared = neighbors(views, N_COMPARED, LEAST_COMPARED_ANGLE, LARGEST_COMPARED_ANGLE)
    return consistent(estimates, compared, tolerance=tolerance)


def consistent(
    estimates: list[DepthEstimate],
    compared: list[list[int]],
    least_agreeing: int = LEAST_AGREEING,
    tolerance: float = TOLERANCE,
    least_score: float = LEAST_SCORE,
) -> list[DepthEstimate]:
    """The estimates, with NaN where their score is low or too few other views have the same depth there.

    Args:
        estimates: one for each view.
        compared: for each view the indices of the others that are compared.
        least_agreeing: so many of them have to agree.
        tolerance: in steps of the other view's inverse depth.
        least_score: of a view's own match.
    """
    agree = kernels_for("depth_agreement", _CPU).agreements
    kept: list[DepthEstimate | None] = [None] * len(estimates)

    def keep(index: int) -> None:
        own = estimates[index]
        back = np.linalg.inv(own.matrix[:, :3])
        count = np.zeros(own.depths.shape, np.int32)
        for other in (estimates[other] for other in compared[index]):
            turn = other.matrix[:, :3] @ back
            to_other = np.column_stack([turn, other.matrix[:, 3] - turn @ own.matrix[:, 3]])
            count += agree(own.depths, to_other, other.depths, tolerance * other.step)
        is_kept = (count >= least_agreeing) & (own.scores > least_score)
        depths, scores = (
            np.where(is_kept, own.depths, np.float32(np.nan)),
            np.where(is_kept, own.scores, np.float32(0.0)),
        )
        kept[index] = DepthEstimate(own.matrix, depths, scores, own.step)

    run_tasks(keep, [(index,) for index in range(len(estimates))])
    return [estimate for estimate in kept if estimate is not None]


def _bounds(view: StereoView) -> tuple[slice, slice]:
    """Rows and columns of the mask, with a margin; all without a mask."""
    if view.mask is None:
        return slice(0, view.grey.shape[0]), slice(0, view.grey.shape[1])
    ends = []
    for axis in (1, 0):
        places = np.flatnonzero(view.mask.any(axis=axis))
        size = view.mask.shape[1 - axis]
        ends.append(
            slice(max(0, places[0] - MARGIN), min(size, places[-1] + 1 + MARGIN)) if len(places) else slice(0, 0)
        )
    return ends[0], ends[1]


def _inverse_depths(view: StereoView, others: list[StereoView], near: float, far: float) -> NDArray:
    """(D,) even steps from near to far, of about a pixel at the view's centre in the median neighbour."""
    height, width = view.grey.shape
    middle = view.backprojection() @ np.array([width / 2, height / 2, 1.0])
    ends = np.stack([near * middle, far * middle], axis=-1) + view.center[:, None]
    moves = []
    for other in others:
        pixels = other.matrix[:, :3] @ ends + other.matrix[:, 3:]
        pixels = pixels[:2] / np.maximum(pixels[2], 1e-6)
        moves.append(np.linalg.norm(pixels[:, 0] - pixels[:, 1]))
    return np.linspace(1.0 / near, 1.0 / far, int(np.clip(np.median(moves), LEAST_PLANES, MOST_PLANES)))


def _cost(view: StereoView, others: list[StereoView], inverse_depths: NDArray, rows: slice, columns: slice) -> NDArray:
    """(h, w, D) uint8 costs in the given part of the view; the same for all depths outside of its mask."""
    shift = np.array([[1.0, 0.0, columns.start], [0.0, 1.0, rows.start], [0.0, 0.0, 1.0]])
    turns = np.stack([other.matrix[:, :3] @ view.backprojection() @ shift for other in others])
    parallaxes = np.stack([other.matrix[:, :3] @ view.center + other.matrix[:, 3] for other in others])
    cost = kernels_for("sweep_cost", _CPU).matching_cost(
        _bytes(view.grey[rows, columns]), [_bytes(other.grey) for other in others], turns, parallaxes, inverse_depths
    )
    if view.mask is not None:
        cost[~view.mask[rows, columns]] = 0
    return cost


def _bytes(grey: NDArray) -> NDArray:
    return np.clip(np.rint(grey), 0, 255).astype(np.uint8)
