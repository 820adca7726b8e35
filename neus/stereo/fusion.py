"""One shape from the depth maps of all views: votes on a lattice, the smallest surface that agrees with them, and its distances."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from neus.errors import InputError
from neus.kernels.dispatch import kernels_for
from neus.stereo.minimal_surface import minimal_surface
from neus.stereo.pieces import without_crumbs
from neus.stereo.plain_background import plain_background
from neus.stereo.silhouettes import with_silhouettes
from neus.stereo.stereo_views import DepthEstimate, StereoView
from neus.stereo.votes import Votes, votes_of_depths

# Depths are believed to this distance, in scene units, about the noise of a plane sweep, and never less than in steps of the lattice.
# A wider reach rounds edges: twice as wide, distances to reference points are 5 to 15 % larger.
REACH, REACH_IN_STEPS = 0.02, 1.5
# Vertices count as behind a surface up to so many reaches: thinner parts are seldom seen from both sides at once.
THICKNESS_IN_REACHES = 4.0
# Cost of a layer as thick as the reach for each vote against it, in areas of that layer: two votes outweigh their surface.
COST_PER_VOTE, MOST_VOTES = 0.5, 6.0
# One vote may be a mistake.
LEAST_VOTES = 2.0
# Views that see a surface near a vertex make surface cheaper there, up to so many of them.
MOST_NEAR = 6.0
# What no view knows of the hull's inside is solid: a cost that beats no surface thinner than the object.
UNKNOWN_COST = -0.02
# Outside of the hull nothing may be, and its own surface needs no other evidence.
OUTSIDE_COST, HULL_WEIGHT = 10.0, 0.02
# Something was seen at a vertex if so many views see a surface near it, or so many see through it.
SEEN_NEAR, SEEN_THROUGH = 2, 3


class FusedShape(NamedTuple):
    """A shape on the vertices linspace(-1, 1, P) of a lattice, indexed [x, y, z].

    Attributes:
        distances: (P, P, P) float32, signed, scene units, negative inside.
        is_visible: (P, P, P) bool, whether views saw a surface there, or through it; elsewhere the shape is a guess.
    """

    distances: NDArray
    is_visible: NDArray


def fused_shape(
    views: Sequence[StereoView], estimates: Sequence[DepthEstimate], resolution: int, hull: NDArray | None = None
) -> FusedShape:
    """The shape that agrees best with all depth maps, closed by minimal surfaces where they say nothing.

    Without a hull neither inside nor outside is assumed where nothing is known. With one, nothing remains outside of it, and what is
    unknown inside is solid: without any depths the shape is the hull. The peak of memory is about 80 bytes a vertex.

    Args:
        views: their masks, if any, say what is free; without masks a plain background does.
        estimates: of the same views.
        resolution: P, at least 8.
        hull: (P, P, P), negative where the object can be, from `visual_hull.hull_values`; for scenes with masks.

    Raises:
        InputError: a resolution below 8, an empty hull, or nothing is known of any surface.
    """
    if resolution < 8:
        raise InputError(f"fused shape: resolution {resolution}; expected at least 8 vertices along each axis.")
    if hull is not None:
        check_hull(hull, f"{len(views)} views")
    step = 2.0 / (resolution - 1)
    reach = max(REACH, REACH_IN_STEPS * step)
    has_masks = any(view.mask is not None for view in views)
    seen_through = None if has_masks else plain_background(views)
    votes = votes_of_depths(views, estimates, resolution, reach, THICKNESS_IN_REACHES * reach, seen_through)
    if hull is None and not (votes.near >= SEEN_NEAR).any():
        raise InputError(
            f"nothing could be matched between the {len(views)} images: no point inside the region of interest was seen by two views; "
            "check that cameras and images belong together and that the region of interest holds the object."
        )
    inside = minimal_surface(*costs_and_weights(votes, step, reach, hull))
    values = _values(inside, votes, step, reach, hull)
    values = without_crumbs(values, votes, [view.center for view in views], reach, hull)
    if hull is not None:
        values = with_silhouettes(values, hull, views)
    if not (values < 0).any() or not (values >= 0).any():
        raise InputError(
            f"nothing could be matched between the {len(views)} images that encloses an object; check the cameras and the region of "
            "interest, or give masks."
        )
    is_visible = (votes.near >= SEEN_NEAR) | (votes.free >= SEEN_THROUGH)
    return FusedShape(kernels_for("zero_distances", torch.device("cpu")).distances_to_zeros(values, step), is_visible)


def check_hull(hull: NDArray, source: str) -> None:
    """InputError if a visual hull (P, P, P) is empty; `source` is named first."""
    if not (hull < 0).any():
        raise InputError(
            f"{source}: the masks have no point in common inside the unit sphere; check that masks and cameras belong to the same images, "
            "or train without masks (--conf womask.conf)."
        )


def costs_and_weights(votes: Votes, step: float, reach: float, hull: NDArray | None) -> tuple[NDArray, NDArray]:
    """(P, P, P) float32 both: costs c of being inside and weights g of surface, for `minimal_surface`.

    c = k clip(n_free - n_inside, -6, 6), where near votes count on the side of the surface where the vertex lies by their mean
    distance, and 0 below two votes. g = 1 / (1 + min(n_near, 6)): a surface runs where views saw it.
    """
    near = votes.near.astype(np.float32)
    fraction = np.clip(votes.mean / np.float32(reach), -1.0, 1.0)
    free = votes.free + np.maximum(fraction, 0.0) * near
    solid = votes.behind + np.maximum(-fraction, 0.0) * near
    cost_per_vote = np.float32(COST_PER_VOTE * step / reach)
    costs = cost_per_vote * np.clip(free - solid, -MOST_VOTES, MOST_VOTES).astype(np.float32)
    is_unknown = np.maximum(free, solid) < LEAST_VOTES
    costs[is_unknown] = 0.0 if hull is None else UNKNOWN_COST
    weights = 1.0 / (1.0 + np.minimum(near, np.float32(MOST_NEAR)))
    if hull is not None:
        costs[hull >= 0] = OUTSIDE_COST
        weights[_beside(hull < 0)] = HULL_WEIGHT
    return costs, weights


def _beside(inside: NDArray) -> NDArray:
    """Vertices with an edge, or the diagonal of a cell, to the other side: differences there are those across the boundary."""
    block = np.ones((3, 3, 3), dtype=bool)
    return ndimage.binary_dilation(inside, block) & ~ndimage.binary_erosion(inside, block, border_value=1)


def _values(inside: NDArray, votes: Votes, step: float, reach: float, hull: NDArray | None) -> NDArray:
    """(P, P, P) float32, negative inside, with zeros between vertices as exact as what is known of them.

    Where several views saw the surface, their mean distance replaces the relaxation's value if it has the same sign, or if the surface
    passes within a step.
    """
    values = (0.5 - inside) * np.float32(2.0 * reach)
    is_known = (votes.near >= SEEN_NEAR) & (votes.free < 2 + votes.near.astype(np.int32))
    is_known &= (np.sign(votes.mean) == np.sign(values)) | (np.abs(votes.mean) < step)
    values = np.where(is_known, votes.mean, values)
    if hull is None:
        return values
    # The intersection with the hull; what its outside alone decides has its values.
    return np.where((hull >= 0) & ~is_known, hull, np.maximum(values, hull)).astype(np.float32)
