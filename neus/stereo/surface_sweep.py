"""A surface matched anew along the rays of every view that sees it: depths to a fraction of a pixel."""

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from neus.kernels.dispatch import kernels_for
from neus.kernels.threads import run_tasks
from neus.stereo.stereo_views import DepthEstimate, StereoView, neighbors

# Each view is matched with so many others.
N_NEIGHBORS = 5
# Smoothness over pixels, relative to the surface: one step, and more than one where the image has no edge.
P1, P2 = 16, 90
# Cross correlation at the winner that is believed; more beside depth jumps, where windows hold two surfaces.
LEAST_SCORE, LEAST_SCORE_AT_JUMPS = 0.45, 0.7
# A jump: depths within the window differ by more than this fraction and so many steps.
JUMP, JUMP_STEPS = 0.05, 4.0
# Change of inverse depth by which the motion of pixels is measured.
PROBE = 0.01

# Labels are filled up to whole vector registers, with costs that never win: four times faster.
LANES = 16


def sweep_surface(
    views: list[StereoView], depths: list[NDArray], n_offsets: int = 6, pixels_per_step: float = 0.5, window: int = 7
) -> list[DepthEstimate]:
    """Depths of a surface found again by matching it at offsets along each view's rays.

    Args:
        views: as they are matched, all with cameras of one scene.
        depths: (H, W) each, the surface as its view sees it, NaN where it does not.
        n_offsets: steps to each side.
        pixels_per_step: motion of a pixel in the median neighbour, for one step.
        window: odd side of the windows, pixels.

    Returns:
        One estimate for each view, NaN where the images do not say where the surface is.
    """
    lists = neighbors(views, N_NEIGHBORS)
    found: list[DepthEstimate | None] = [None] * len(views)

    def sweep(index: int) -> None:
        found[index] = _swept(index, views, depths, lists[index], n_offsets, pixels_per_step, window)

    run_tasks(sweep, [(index,) for index in range(len(views))])
    return [estimate for estimate in found if estimate is not None]


def _swept(index, views, depths, chosen, n_offsets, pixels_per_step, window) -> DepthEstimate:
    view, known = views[index], np.isfinite(depths[index])
    if view.mask is not None:
        known &= view.mask
    radius = window // 2
    inner = np.zeros_like(known)
    inner[radius:-radius, radius:-radius] = True
    known &= inner
    nothing = DepthEstimate(view.matrix, np.full(known.shape, np.nan, np.float32), np.zeros(known.shape, np.float32), 1e-9)
    if not known.any() or not chosen:
        return nothing
    rows, columns = _bounds(known, radius)
    known, grey = known[rows, columns], view.grey[rows, columns]
    inverse = carried_on(depths[index][rows, columns], radius)
    others = [views[j] for j in chosen]
    turns, shifts = _pair_geometry(view, others)
    step = _step(turns, shifts, known, inverse, (rows.start, columns.start), pixels_per_step)
    corner = np.array([[1.0, 0.0, columns.start], [0.0, 1.0, rows.start], [0.0, 0.0, 1.0]])
    images, drawn, sizes = _stacked(others, [depths[j] for j in chosen])
    match = kernels_for("surface_match", torch.device("cpu")).costs_of_offsets
    costs = match(grey, inverse, known, images, drawn, sizes, turns @ corner, shifts, step, n_offsets, window)
    offsets, scores = _winners(costs, grey)
    moved = inverse + offsets * np.float32(step)
    is_good = known & np.isfinite(moved) & (moved > 0) & (scores > LEAST_SCORE)
    is_good &= (scores > LEAST_SCORE_AT_JUMPS) | ~_jumps(inverse, step, window)
    with np.errstate(divide="ignore", invalid="ignore"):
        nothing.depths[rows, columns] = np.where(is_good, 1.0 / moved, np.nan)
    nothing.scores[rows, columns] = np.where(is_good, scores, 0.0)
    return DepthEstimate(view.matrix, nothing.depths, nothing.scores, step)


def _bounds(known: NDArray, margin: int) -> tuple[slice, slice]:
    rows, columns = np.flatnonzero(known.any(axis=1)), np.flatnonzero(known.any(axis=0))
    return slice(rows[0] - margin, rows[-1] + margin + 1), slice(columns[0] - margin, columns[-1] + margin + 1)


def carried_on(depths: NDArray, radius: int) -> NDArray:
    """(H, W) float32 inverse depths, carried on by so many pixels beyond where they are known; 0 farther away."""
    known = np.isfinite(depths)
    inverse = np.where(known, 1.0 / np.where(known, depths, 1.0), 0.0).astype(np.float32)
    for _ in range(radius):
        count = cv2.boxFilter((inverse > 0).astype(np.float32), -1, (3, 3), normalize=False, borderType=cv2.BORDER_CONSTANT)
        total = cv2.boxFilter(inverse, -1, (3, 3), normalize=False, borderType=cv2.BORDER_CONSTANT)
        inverse = np.where((inverse > 0) | (count < 0.5), inverse, total / np.maximum(count, 1.0))
    return inverse


def _pair_geometry(view, others):
    """(N, 3, 3) A and (N, 3) e of a pixel's way in the others: A u + w e."""
    inverse = view.backprojection()
    turns = np.stack([other.matrix[:, :3] @ inverse for other in others])
    shifts = np.stack([other.matrix[:, :3] @ view.center + other.matrix[:, 3] for other in others])
    return turns, shifts


def _step(turns, shifts, known, inverse, start, pixels_per_step) -> float:
    """The change of inverse depth that moves the middle of the surface by so many pixels in the median neighbour."""
    y, x = np.nonzero(known)
    middle = np.array([x.mean() + start[1], y.mean() + start[0], 1.0])
    w = float(np.median(inverse[known]))
    here, there = turns @ middle + shifts * w, turns @ middle + shifts * w * (1.0 + PROBE)
    motion = np.linalg.norm(there[:, :2] / there[:, 2:] - here[:, :2] / here[:, 2:], axis=1) / (PROBE * w)
    return float(pixels_per_step / max(np.median(motion), 1e-9))


def _stacked(others, depths):
    """Images and depths of different sizes in the upper left corners of one array each, and their sizes."""
    sizes = np.array([other.grey.shape for other in others])
    images = np.zeros((len(others), *sizes.max(axis=0)), np.uint8)
    drawn = np.full(images.shape, np.nan, np.float32)
    for i, (other, depth) in enumerate(zip(others, depths, strict=True)):
        images[i, : sizes[i, 0], : sizes[i, 1]], drawn[i, : sizes[i, 0], : sizes[i, 1]] = other.grey, depth
    return images, drawn, sizes


def _jumps(inverse, step, window):
    """(H, W) bool, where the depths within the window differ too much for one surface."""
    ones = np.ones((window, window), np.uint8)
    known = np.where(inverse > 0, inverse, np.nan)
    largest = cv2.dilate(inverse, ones)
    least = cv2.erode(np.where(inverse > 0, inverse, np.float32(1e9)), ones)
    depth = 1.0 / known
    with np.errstate(invalid="ignore", divide="ignore"):
        spread = 1.0 / least - 1.0 / largest
        return spread > JUMP * depth + JUMP_STEPS * (1.0 / np.maximum(known - step, 1e-6) - depth)


def _winners(costs: NDArray, grey: NDArray) -> tuple[NDArray, NDArray]:
    """(H, W) float32 offsets in steps, NaN where the best is the first or the last, and the scores there."""
    n = costs.shape[2]
    kernels = kernels_for("semi_global", torch.device("cpu"))
    padded = np.full((*grey.shape, -(-n // LANES) * LANES), 255, np.uint8)
    padded[..., :n] = costs
    labels, fractions = kernels.subpixel_minimum(kernels.aggregate(padded, grey, P1, P2))
    scores = 1.0 - np.take_along_axis(padded, labels[..., None], axis=2)[..., 0].astype(np.float32) / 255
    is_between = (labels > 0) & (labels < n - 1)
    return np.where(is_between, labels + fractions - n // 2, np.float32(np.nan)), scores
