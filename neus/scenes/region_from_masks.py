"""The visual hull of masks on a coarse grid: where in the world the object can be."""

import cv2
import numpy as np
import torch
from torch import Tensor

from neus.errors import RegionError
from neus.geometry.cameras import Camera, project
from neus.scenes.region import (
    FROM_MASKS,
    MARGIN,
    NEAREST_CAMERA_FRACTION,
    Region,
    in_frame,
    no_region,
    point_nearest_to_axes,
    smallest_ball,
)
from neus.scenes.scene import Scene

# Cells along each side of the grid, and how often the grid shrinks onto what is left of it.
N_CELLS, N_ROUNDS = 32, 4
# A sphere needs no finer masks than this many pixels along the longer side.
MASK_SIDE = 256
# A few masks may be wrong, and an object may reach out of the frame of some views: `fewest_views`.
WRONG_FRACTION, VISIBLE_FRACTION, ENOUGH_OF_MOST = 0.05, 0.75, 0.8
# Views are processed so many at a time.
VIEW_STRIDE = 7


class MasksDisagree(RegionError):
    """The masks have no point in space in common."""


def region_from_masks(scene: Scene) -> Region:
    """The sphere around the visual hull, with a margin: everything whose projection lies in (nearly) all masks.

    The hull is found on a grid that first reaches to the cameras and then shrinks onto the cells left in it. A
    cell stays if its bounding ball touches the mask in each view that has it in its frame: thin parts are not lost.

    Raises:
        MasksDisagree: the masks have no point in common.
        RegionError: as `point_nearest_to_axes`.
    """
    center = point_nearest_to_axes(scene)
    half_side = (scene.camera_to_scene[:, :3, 3] - center).norm(dim=-1).median()
    lower, upper = center - half_side, center + half_side
    views = [_distance_map(scene.camera(v), mask) for v, mask in enumerate(scene.masks) if mask.any()]
    everywhere = _cell_centers(lower, (upper - lower) / N_CELLS)
    fewest = fewest_views(
        sum(in_frame(*project(everywhere, camera), camera).float() for camera, _ in views), len(views)
    )
    for _ in range(N_ROUNDS):
        cell = (upper - lower) / N_CELLS
        points = _cell_centers(lower, cell)
        hull = points[_touches_masks(points, float(cell.norm()) / 2, views, fewest)]
        if len(hull) == 0:
            raise no_region(
                scene,
                "the masks have no point in common, so they or the poses are wrong; check that masks "
                "and cameras belong to the same images, or give the centre and the radius of the region of interest.",
                MasksDisagree,
            )
        lower, upper = hull.amin(0) - cell, hull.amax(0) + cell
    center, radius = smallest_ball(hull)
    nearest = float((scene.camera_to_scene[:, :3, 3] - center).norm(dim=-1).min())
    return Region(center, min(MARGIN * radius, NEAREST_CAMERA_FRACTION * nearest), FROM_MASKS)


def reduced(camera: Camera, mask: np.ndarray, longest: int) -> tuple[Camera, np.ndarray]:
    """A camera of the same view whose longer side has at most `longest` pixels, and (H, W) uint8 coverage by the mask."""
    small = camera.scaled(min(1.0, longest / max(camera.width, camera.height)))
    size = (small.width, small.height)
    return small, cv2.resize(mask.astype(np.uint8) * 255, size, interpolation=cv2.INTER_AREA)


def _distance_map(camera: Camera, mask: np.ndarray) -> tuple[Camera, Tensor]:
    """A smaller camera, and for its pixels (H, W) the distance to the nearest pixel of the object, in pixels."""
    small, shrunk = reduced(camera, mask, MASK_SIDE)
    outside = (shrunk <= 127).astype(np.uint8)
    return small, torch.from_numpy(cv2.distanceTransform(outside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE))


def _cell_centers(lower: Tensor, cell: Tensor) -> Tensor:
    steps = torch.arange(N_CELLS, dtype=lower.dtype) + 0.5
    return lower + cell * torch.cartesian_prod(steps, steps, steps)


def _touches_masks(points: Tensor, reach: float, views: list[tuple[Camera, Tensor]], fewest: float) -> Tensor:
    """(P,) bool: whether the balls of radius `reach` about points (P, 3) meet the masks of nearly all views.

    And at least `fewest` views have the point in their frame.
    """
    n_visible, n_wrong = torch.zeros(len(points)), torch.zeros(len(points))
    left = torch.arange(len(points))  # those that may still be in the hull; most are not after a few views
    # From all around at first, not from one side after the other.
    for camera, distance_map in (
        views[i] for start in range(VIEW_STRIDE) for i in range(start, len(views), VIEW_STRIDE)
    ):
        pixels, depth = project(points[left], camera)
        is_visible = in_frame(pixels, depth, camera)
        columns, rows = pixels[is_visible].long().unbind(-1)
        reach_in_pixels = reach * camera.intrinsics[0, 0] / depth[is_visible]
        seen = left[is_visible]
        n_visible[seen] += 1.0
        # Half a pixel's diagonal more, because the map is read at the centre of the pixel and not at the point.
        n_wrong[seen] += (distance_map[rows, columns] > reach_in_pixels + 0.71).float()
        left = left[n_wrong[left] <= WRONG_FRACTION * len(views)]
    return (n_visible >= fewest) & (n_wrong <= WRONG_FRACTION * n_visible)


def fewest_views(n_visible: Tensor | np.ndarray, n_views: int) -> float:
    """How many views must have a point in their frame for it to count: three quarters of them.

    Where no point is seen by so many (captures from close by, part by part), four fifths of the most that see any.

    Args:
        n_visible: (P,) of points all over the scene, by how many views each is seen.
        n_views: of how many.

    >>> fewest_views(torch.tensor([8.0, 3.0]), 8), fewest_views(torch.tensor([4.0, 3.0]), 8)
    (6.0, 3.2)
    """
    most = float(n_visible.max())
    return VISIBLE_FRACTION * n_views if most >= VISIBLE_FRACTION * n_views else ENOUGH_OF_MOST * most
