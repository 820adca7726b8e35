"""Do the masks agree? Each is held against the visual hull of all others."""

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from neus.errors import RegionError
from neus.geometry.cameras import projection
from neus.scenes.region import MARGIN, Region
from neus.scenes.region_from_masks import WRONG_FRACTION, fewest_views, reduced, region_from_masks
from neus.scenes.scene import Scene

# Steps of the lattice along each side of the hull's cube, and pixels along the longer side of the reduced masks: a step
# is then about two pixels, and the borders of masks are known that well at best.
STEPS, SIDE = 64, 192
# Of more views than this the lattice is coarser: memory and time stay bounded.
MANY_VIEWS, STEPS_OF_MANY = 120, 40
# Fraction of a mask that may lie outside of the hull of all others: borders and thin parts on a coarse lattice.
MISSED = 0.15
# Fraction of the others' hull beyond a mask, over that of the median view: parts cut off in that mask.
BEYOND = 0.15
# Of fewer views each cuts much from the hull of the others by right, and only what the hull leaves uncovered counts.
VIEWS_FOR_BEYOND = 12
# Masks are taken for inverted if this fraction of the image's border is white in the median view, and black in the complements
# that agree with each other except for a fraction of the views.
WHITE_BORDER, FEW = 0.5, 0.125


@dataclass(frozen=True)
class Silhouettes:
    """How well masks and cameras agree.

    Attributes:
        region: ball around the visual hull, scene units, without the margin of `region_from_masks`.
        hull: (P, 3) float32 points of a lattice that lie in nearly all masks.
        step: distance of neighbouring points of that lattice.
        missed: (V,) fraction of each mask that the hull of all others leaves uncovered. An object lies within the hull of
            any of its masks, so it is zero except for errors; NaN where there is no mask.
        beyond: (V,) fraction of the hull of all others that falls outside of the mask, for points in the frame; NaN likewise.
    """

    region: Region
    hull: NDArray
    step: float
    missed: NDArray
    beyond: NDArray


def compare_silhouettes(scene: Scene, steps: int | None = None) -> Silhouettes:
    """Leave-one-out comparison of every mask with the visual hull of all others, on a lattice of steps^3 points (64, or 40 for many views).

    The hull may miss a fraction of the masks (`WRONG_FRACTION`), so that a few wrong ones do not spoil it for the others.

    Raises:
        MasksDisagree: the masks have no point in common.
        RegionError: there is no point that the cameras look at.
    """
    steps = steps or (STEPS if len(scene) <= MANY_VIEWS else STEPS_OF_MANY)
    found = region_from_masks(scene)
    region = Region(found.center, found.radius / MARGIN)
    points, step = _ball_lattice(region, steps)
    views = [view for view in range(len(scene)) if scene.masks[view].any()]
    outside, seen, columns, rows, masks, cells = _project_all(scene, views, points, step)
    n_wrong, n_visible = outside.sum(axis=0, dtype=np.int32), seen.sum(axis=0, dtype=np.int32)
    is_visible = n_visible >= fewest_views(n_visible, len(views))
    allowed = int(WRONG_FRACTION * len(views))
    missed, beyond = np.full(len(scene), np.nan), np.full(len(scene), np.nan)
    for i, view in enumerate(views):
        of_others = is_visible & (n_wrong - outside[i] <= allowed)
        drawn = np.zeros(masks[i].shape, np.uint8)
        shown = of_others & seen[i]
        drawn[rows[i, shown], columns[i, shown]] = 1
        drawn = cv2.dilate(drawn, np.ones((cells[i], cells[i]), np.uint8)) > 0
        missed[view] = (masks[i] & ~drawn).sum() / max(masks[i].sum(), 1)
        beyond[view] = outside[i, shown].sum() / max(shown.sum(), 1)
    return Silhouettes(region, points[is_visible & (n_wrong <= allowed)], step, missed, beyond)


def disagreeing(silhouettes: Silhouettes) -> NDArray:
    """(V,) bool: the masks that contradict the hull of the others."""
    missed, beyond = silhouettes.missed, silhouettes.beyond
    is_bad = np.nan_to_num(missed) > MISSED
    if np.isfinite(beyond).sum() >= VIEWS_FOR_BEYOND:
        is_bad |= np.nan_to_num(beyond) > np.nanmedian(beyond) + BEYOND
    return is_bad


def complement(scene: Scene) -> Scene:
    """The scene with all masks inverted."""
    return replace(scene, masks=[~mask for mask in scene.masks])


def complement_agrees(scene: Scene, found: Silhouettes | None) -> bool:
    """Whether the masks are inverted: white all around the image, and their complements agree on a smaller object.

    Args:
        scene: with masks.
        found: of the masks as they are, None if they have no point in common.
    """
    borders = [np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]]).mean() for mask in scene.masks]
    if np.median(borders) < WHITE_BORDER:
        return False
    try:
        other = compare_silhouettes(complement(scene))
    except RegionError:
        return False
    is_smaller = found is None or disagreeing(found).any() or other.region.radius < 0.75 * found.region.radius
    return bool(is_smaller and disagreeing(other).mean() <= FEW)


def _ball_lattice(region: Region, steps: int) -> tuple[NDArray, float]:
    axis = np.linspace(-1.0, 1.0, steps)
    cube = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
    step = 2.0 / (steps - 1)
    ball = cube[np.linalg.norm(cube, axis=-1) <= 1.0 + step]
    return (ball * region.radius + region.center.numpy()).astype(np.float32), step * region.radius


def _project_all(scene: Scene, views: list[int], points: NDArray, step: float) -> tuple:
    """Per view and point: outside of the mask, in the frame, column, row; per view: reduced mask, a step in pixels."""
    shape = (len(views), len(points))
    outside, seen = np.zeros(shape, bool), np.zeros(shape, bool)
    columns, rows = np.zeros(shape, np.int16), np.zeros(shape, np.int16)
    masks, cells = [], []
    for i, view in enumerate(views):
        small, mask = reduced(scene.camera(view), scene.masks[view], SIDE)
        matrix = projection(small)
        across, down, depth = matrix[:, :3] @ points.T + matrix[:, 3:]
        safe = np.maximum(depth, np.float32(1e-6))
        column, row = np.rint(across / safe), np.rint(down / safe)
        seen[i] = (depth > 0) & (column >= 0) & (row >= 0) & (column < small.width) & (row < small.height)
        columns[i], rows[i] = np.where(seen[i], column, 0), np.where(seen[i], row, 0)
        ahead = depth[depth > 0]
        cell = step * float(small.intrinsics[0, 0]) / float(np.median(ahead)) if len(ahead) else 1.0
        cell = min(cell, SIDE / 8)  # from within the hull its nearest points cover the whole image
        # A point represents its cell: it is outside only if no part of the cell may be in the mask.
        reach = 2 * int(np.ceil(cell / 2)) + 1
        wide = cv2.dilate((mask > 127).astype(np.uint8), np.ones((reach, reach), np.uint8))
        outside[i] = seen[i] & (wide[rows[i], columns[i]] == 0)
        masks.append(mask > 127)
        cells.append(2 * int(np.ceil(cell)) + 1)
    return outside, seen, columns, rows, masks, cells
