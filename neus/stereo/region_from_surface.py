"""The region of interest around the object itself, as coarse depth maps show it: what stands on a table or the ground, without these.

Sparse points lie on the table as well as on the object, and few of them on smooth parts. Depth maps show both surfaces whole: what
rises above the dominant plane, ends within what is seen and is in the middle of the views is the object.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from neus.geometry.similarity import similarity
from neus.scenes.region import MARGIN, Region, smallest_ball
from neus.scenes.region_from_points import MIDDLE, OF_BEST_SEEN
from neus.scenes.scene import Scene
from neus.stereo.depth_maps import depth_maps, open_spans
from neus.stereo.plain_background import plain_background
from neus.stereo.stereo_views import StereoView, stereo_views
from neus.stereo.support_plane import noise_below, support_plane
from neus.stereo.visual_hull import spread_views
from neus.stereo.votes import votes_of_depths

# Added to what the first region was found from, for messages.
AND_DEPTH_MAPS = " and depth maps"
# Depth maps of so small images, pixels along the longer side, of so many views from all around, take a few seconds.
LONGEST_SIDE, MOST_VIEWS = 160, 40
# The first region may have cut the object: surfaces are seen in a ball so many times as large, on so many vertices along each side.
WIDER, RESOLUTION = 1.5, 112
STEP = 2.0 / (RESOLUTION - 1)
# Depths are believed to so many steps of the lattice, and what lies so many reaches behind them is behind a surface.
REACH_IN_STEPS, THICKNESS_IN_REACHES = 1.5, 4.0
# Noise of a support in steps of the lattice: it is measured below the plane, where there is nothing, and never taken for less or more.
LEAST_NOISE, MOST_NOISE = 1.5, 6.0
# A surface is where so many views see one, and no more see through it.
LEAST_NEAR = 2
# Heights above the plane in its noise: from where on something surely rises, and down to where it belongs to that.
SURELY_ABOVE, ABOVE = 2.0, 1.0
# Pieces of the object have this fraction of the vertices of the largest; the best of them is in the middle of so many views.
LEAST_OF_LARGEST, LEAST_IN_MIDDLE = 0.02, 0.6
# An object ends in the ball if no more than this fraction of its vertices lies beyond this radius; so few are strays.
STRAYS, BORDER = 0.01, 0.9
# An object stands out: it rises so high, in radii of the ball around it. Flat things may be a part of what they lie on.
LEAST_HEIGHT = 0.3
# A first region that holds the object stays unless it is so many times as large as it need be.
TOO_LARGE = 1.1


def region_from_surface(scene: Scene) -> Region | None:
    """The sphere around the object, with a margin, in the scene's frame.

    None where depth maps do not show where the object ends, or where the unit sphere is as good.

    Args:
        scene: in the frame of a first region, which holds the object or most of it; at most `MOST_VIEWS` of its images are read.
    """
    scene = scene.subset(spread_views(scene, MOST_VIEWS))
    wide = scene.in_frame(scene.scene_to_world @ similarity(WIDER, torch.zeros(3, dtype=torch.float64)), scene.box)
    points = object_points(stereo_views(wide, LONGEST_SIDE))
    if points is None:
        return None
    points = WIDER * torch.from_numpy(points)
    center, radius = smallest_ball(points)
    # Outlines of depth maps reach beyond the object by a step of the lattice.
    held = 1.0 + WIDER * STEP
    if float(points.norm(dim=-1).max()) <= held and TOO_LARGE * MARGIN * radius >= 1.0:
        return None
    return Region(center, MARGIN * radius, f"{scene.region_from.removesuffix(AND_DEPTH_MAPS)}{AND_DEPTH_MAPS}")


def object_points(views: list[StereoView]) -> NDArray | None:
    """(P, 3) surface of the object in the unit ball, and its footprint on what it stands on; None where it does not end in the ball.

    Without a plane that supports it the object is all that the ball shows. On the vertices of a lattice.
    """
    estimates = depth_maps(views, open_spans(views))
    reach = REACH_IN_STEPS * STEP
    votes = votes_of_depths(views, estimates, RESOLUTION, reach, THICKNESS_IN_REACHES * reach, plain_background(views))
    lattice = np.stack(np.meshgrid(*[np.linspace(-1.0, 1.0, RESOLUTION)] * 3, indexing="ij"), axis=-1)
    from_middle = np.linalg.norm(lattice, axis=-1)
    surface = (votes.near >= LEAST_NEAR) & (votes.near > votes.free) & (np.abs(votes.mean) < STEP) & (from_middle < 1.0)
    plane = support_plane(lattice[surface], views, estimates, STEP)
    heights = None if plane is None else plane.heights(lattice)
    noise = 0.0 if heights is None else max(LEAST_NOISE * STEP, noise_below(heights[surface], MOST_NOISE * STEP))
    above = surface if heights is None else _rising(surface, heights, noise)
    pieces = _pieces_looked_at(above, lattice, views)
    if pieces is None or (from_middle[pieces] > BORDER).mean() > STRAYS:
        return None
    points = lattice[pieces]
    if plane is None:
        return points
    if heights[pieces].max() < LEAST_HEIGHT * smallest_ball(torch.from_numpy(points))[1]:
        return None
    return np.concatenate([points, plane.feet(points[heights[pieces] < 2.0 * SURELY_ABOVE * noise])])


def _rising(surface: NDArray, heights: NDArray, noise: float) -> NDArray:
    """(P, P, P) bool: the surface above a plane, in pieces that rise from it for sure."""
    labels, _ = ndimage.label(surface & (heights > ABOVE * noise), np.ones((3, 3, 3)))
    rises = np.unique(labels[surface & (heights > SURELY_ABOVE * noise)])
    return np.isin(labels, rises[rises > 0])


def _pieces_looked_at(surface: NDArray, lattice: NDArray, views: list[StereoView]) -> NDArray | None:
    """(P, P, P) bool: the pieces of a surface in the middle of the most views, without crumbs; None if no piece is in that of most."""
    labels, n_pieces = ndimage.label(surface, np.ones((3, 3, 3)))
    if n_pieces == 0:
        return None
    sizes = np.bincount(labels[surface], minlength=n_pieces + 1)
    sums = np.bincount(labels[surface], weights=_in_middle(lattice[surface], views), minlength=n_pieces + 1)
    scores = np.where(sizes >= LEAST_OF_LARGEST * sizes.max(), sums / np.maximum(sizes, 1), 0.0)
    if scores.max() < LEAST_IN_MIDDLE:
        return None
    return (scores >= OF_BEST_SEEN * scores.max())[labels] & surface


def _in_middle(points: NDArray, views: list[StereoView]) -> NDArray:
    """(P,) the fraction of the views that have a point in the ellipse of `MIDDLE` times their half sides about their middle."""
    count = np.zeros(len(points))
    for view in views:
        pixels = points @ view.matrix[:, :3].T + view.matrix[:, 3]
        half = np.array(view.grey.shape[::-1]) / 2.0
        depths = np.where(pixels[:, 2] > 0, pixels[:, 2], np.nan)
        count += np.linalg.norm((pixels[:, :2] / depths[:, None] + 0.5 - half) / half, axis=-1) < MIDDLE
    return count / len(views)
