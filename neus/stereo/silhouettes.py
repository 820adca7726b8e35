"""Silhouettes of a shape against masks: what was removed of the visual hull comes back where masks miss it."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from neus.kernels.threads import run_tasks
from neus.stereo.stereo_views import StereoView

# Removed space comes back if it falls onto bare pixels of so many views: along one ray of a mask lies much that is free.
LEAST_BARE = 3


def with_silhouettes(values: NDArray, hull: NDArray, views: Sequence[StereoView]) -> NDArray:
    """(P, P, P) float32 `values`, with the vertices of the hull back inside that the masks miss.

    A thin part may be taken for what is seen beside it. Then pixels of the masks become bare: nothing projects to them any more.
    Removed vertices that fall onto bare pixels of three views take the hull's values again.

    Args:
        values: (P, P, P), negative inside.
        hull: (P, P, P), negative where the object can be.
        views: those without masks say nothing.
    """
    inside = values < 0
    removed = np.argwhere((hull < 0) & ~inside)
    skin = np.argwhere(inside & ~ndimage.binary_erosion(inside))
    masked = [view for view in views if view.mask is not None and view.mask.any()]
    if not len(removed) or not masked:
        return values
    axis = np.linspace(-1.0, 1.0, len(values))
    is_bare = np.zeros((len(masked), len(removed)), dtype=bool)

    def look(index: int) -> None:
        bare = _bare_pixels(masked[index], axis[skin], axis[1] - axis[0])
        rows, columns, in_frame = _pixels(masked[index], axis[removed])
        is_bare[index] = in_frame & bare[rows, columns]

    run_tasks(look, [(index,) for index in range(len(masked))])
    back = tuple(removed[is_bare.sum(axis=0) >= LEAST_BARE].T)
    result = values.copy()
    result[back] = hull[back]
    return result


def _bare_pixels(view: StereoView, points: NDArray, step: float) -> NDArray:
    """(H, W) bool: pixels of the mask onto which no vertex (N, 3) of the surface falls, each as wide as a step of the lattice."""
    assert view.mask is not None
    covered = np.zeros(view.mask.shape, dtype=np.uint8)
    rows, columns, in_frame = _pixels(view, points)
    covered[rows[in_frame], columns[in_frame]] = 1
    depth = max(float(view.matrix[2, 3]), step)
    half = max(1, int(np.ceil(0.5 * view.focal * step / depth)))
    return view.mask & (cv2.dilate(covered, np.ones((2 * half + 1,) * 2, np.uint8)) == 0)


def _pixels(view: StereoView, points: NDArray) -> tuple[NDArray, NDArray, NDArray]:
    """Rows and columns (N,) of the pixels nearest to projected points (N, 3), 0 out of frame, and whether they are in it."""
    height, width = view.grey.shape
    projected = points @ view.matrix[:, :3].T + view.matrix[:, 3]
    depth = np.maximum(projected[:, 2], 1e-6)
    columns, rows = (
        np.rint(np.clip(projected[:, i] / depth, -2, size + 1)).astype(np.int64)
        for i, size in ((0, width), (1, height))
    )
    in_frame = (projected[:, 2] > 1e-6) & (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
    return np.where(in_frame, rows, 0), np.where(in_frame, columns, 0), in_frame
