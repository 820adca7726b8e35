"""A surface matched anew along the rays of every view that sees it: depths to a fraction of a pixel."""

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from neus.kernels.dispatch import kernels_for
from neus.kernels.threads import run_tasks
from neus.stereo.label_choice import chosen_labels
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
# Motion per inverse depth of views that see no parallax: then steps are large, and nothing is found.
LEAST_MOTION = 1e-9


def sweep_surface(
    views: list[StereoView],
    depths: list[NDArray],
    n_offsets: int = 6,
    pixels_per_step: float = 0.5,
    window: int = 7,
    lists: list[list[int]] | None = None,
) -> list[DepthEstimate]:
    """Depths of a surface found again by matching it at offsets along each view's rays.

    Args:
        views: as they are matched, all with cameras of one scene.
        depths: (H, W) each, the surface as its view sees it, NaN where it does not.
        n_offsets: steps to each side.
        pixels_per_step: motion of a pixel in the median neighbour, for one step.
        window: odd side of the windows, pixels.
        lists: for each view the numbers of those it is matched with, none for a view that is not swept; None for its neighbours.

    Returns:
        One estimate for each view, NaN where the images do not say where the surface is.
    """
    lists = neighbors(views, N_NEIGHBORS) if lists is None else lists
    found: list[DepthEstimate | None] = [None] * len(views)

    def sweep(index: int) -> None:
        others, others_rendered = ([items[other] for other in lists[index]] for items in (views, depths))
        found[index] = _swept(views[index], depths[index], others, others_rendered, n_offsets, pixels_per_step, window)

    run_tasks(sweep, [(index,) for index in range(len(views))])
    return [estimate for estimate in found if estimate is not None]


def _swept(
    view: StereoView, rendered: NDArray, others: list[StereoView], others_rendered: list[NDArray],
    n_offsets: int, pixels_per_step: float, window: int,
) -> DepthEstimate:  # fmt: skip
    """The estimate of one view."""
    depths, scores = np.full(view.grey.shape, np.nan, np.float32), np.zeros(view.grey.shape, np.float32)
    radius = window // 2
    queried = _queried(view, rendered, radius)
    if not queried.any() or not others:
        return DepthEstimate(view.matrix, depths, scores, step=1.0)
    rows, columns = _bounds(queried, radius)
    queried, grey = queried[rows, columns], view.grey[rows, columns]
    inverse = carried_on(rendered[rows, columns], radius)
    corner = np.array([[1.0, 0.0, columns.start], [0.0, 1.0, rows.start], [0.0, 0.0, 1.0]])
    turns, shifts = _pair_geometry(view, others, corner)
    step = _step(turns, shifts, queried, inverse, pixels_per_step)
    match = kernels_for("surface_match", torch.device("cpu")).costs_of_offsets
    costs = match(grey, inverse, queried, *_stacked(others, others_rendered), turns, shifts, step, n_offsets, window)
    labels, found_scores = chosen_labels(costs, grey, P1, P2)
    offsets = labels - n_offsets
    moved = inverse + offsets * np.float32(step)
    is_good = queried & (moved > 0) & (found_scores > LEAST_SCORE)
    is_good &= (found_scores > LEAST_SCORE_AT_JUMPS) | ~_jumps(inverse, step, window)
    depths[rows, columns] = np.where(is_good, 1.0 / np.where(is_good, moved, 1.0), np.nan)
    scores[rows, columns] = np.where(is_good, found_scores, 0.0)
    return DepthEstimate(view.matrix, depths, scores, step)


def _queried(view: StereoView, rendered: NDArray, radius: int) -> NDArray:
    """(H, W) bool: the pixels of the surface, inside the mask, whose windows lie in the image."""
    queried = np.zeros(rendered.shape, dtype=bool)
    inner = (slice(radius, rendered.shape[0] - radius), slice(radius, rendered.shape[1] - radius))
    queried[inner] = np.isfinite(rendered[inner])
    return queried if view.mask is None else queried & view.mask


def _bounds(known: NDArray, margin: int) -> tuple[slice, slice]:
    """The rectangle about what is True, with a margin that lies in the image."""
    rows, columns = np.flatnonzero(known.any(axis=1)), np.flatnonzero(known.any(axis=0))
    return slice(rows[0] - margin, rows[-1] + margin + 1), slice(columns[0] - margin, columns[-1] + margin + 1)


def carried_on(depths: NDArray, radius: int) -> NDArray:
    """(H, W) float32 inverse depths, carried on by so many pixels beyond where they are known; 0 farther away."""
    known = np.isfinite(depths)
    inverse = np.where(known, 1.0 / np.where(known, depths, 1.0), 0.0).astype(np.float32)
    for _ in range(radius):
        count = cv2.boxFilter(
            (inverse > 0).astype(np.float32), -1, (3, 3), normalize=False, borderType=cv2.BORDER_CONSTANT
        )
        total = cv2.boxFilter(inverse, -1, (3, 3), normalize=False, borderType=cv2.BORDER_CONSTANT)
        inverse = np.where((inverse > 0) | (count < 0.5), inverse, total / np.maximum(count, 1.0))
    return inverse


def _pair_geometry(view: StereoView, others: list[StereoView], corner: NDArray) -> tuple[NDArray, NDArray]:
    """(N, 3, 3) A and (N, 3) e of a pixel's way in the others: A u + w e, u counted from a corner (3, 3)."""
    inverse = view.backprojection() @ corner
    turns = np.stack([other.matrix[:, :3] @ inverse for other in others])
    shifts = np.stack([other.matrix[:, :3] @ view.center + other.matrix[:, 3] for other in others])
    return turns, shifts


def _step(turns: NDArray, shifts: NDArray, queried: NDArray, inverse: NDArray, pixels_per_step: float) -> float:
    """The change of inverse depth that moves the middle of the surface by so many pixels in the median neighbour."""
    y, x = np.nonzero(queried)
    middle = np.array([x.mean(), y.mean(), 1.0])
    w = float(np.median(inverse[queried]))
    here, there = turns @ middle + shifts * w, turns @ middle + shifts * w * (1.0 + PROBE)
    motion = np.linalg.norm(there[:, :2] / there[:, 2:] - here[:, :2] / here[:, 2:], axis=1) / (PROBE * w)
    return float(pixels_per_step / max(np.median(motion), LEAST_MOTION))


def _stacked(others: list[StereoView], depths: list[NDArray]) -> tuple[NDArray, NDArray, NDArray]:
    """Images and depths of different sizes in the upper left corners of one array each, and their sizes."""
    sizes = np.array([other.grey.shape for other in others])
    images = np.zeros((len(others), *sizes.max(axis=0)), np.uint8)
    rendered = np.full(images.shape, np.nan, np.float32)
    for i, (other, depth) in enumerate(zip(others, depths, strict=True)):
        images[i, : sizes[i, 0], : sizes[i, 1]], rendered[i, : sizes[i, 0], : sizes[i, 1]] = other.grey, depth
    return images, rendered, sizes


def _jumps(inverse: NDArray, step: float, window: int) -> NDArray:
    """(H, W) bool, where the depths within the window differ too much for one surface."""
    ones = np.ones((window, window), np.uint8)
    known = np.where(inverse > 0, inverse, np.nan)
    largest = cv2.dilate(inverse, ones)
    least = cv2.erode(np.where(inverse > 0, inverse, np.float32(1e9)), ones)
    depth = 1.0 / known
    with np.errstate(invalid="ignore", divide="ignore"):
        spread = 1.0 / least - 1.0 / largest
        return spread > JUMP * depth + JUMP_STEPS * (1.0 / np.maximum(known - step, 1e-6) - depth)
