"""Connected pieces of a shape on a lattice, and hollows in it: which of them views support."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from neus.stereo.votes import Votes

# A piece stays whose surface has at least this fraction of the near votes of the piece that has most.
LEAST_SUPPORT = 0.01
# With masks every piece of the hull explains some pixels: its surface counts like that many near votes.
HULL_SUPPORT = 1


def without_crumbs(
    values: NDArray, votes: Votes, centers: Sequence[NDArray], reach: float, hull: NDArray | None = None
) -> NDArray:
    """(P, P, P) values, negative inside, without pieces that few views support and without hollows that no camera sees.

    The support of a connected piece is the sum of near votes on its surface: pieces that few views saw a little of are mistakes of
    matching. A hollow without a camera and without a way out of the lattice cannot have been seen.

    Args:
        values: (P, P, P), negative inside.
        votes: on the same lattice.
        centers: (3,) of the cameras, scene units; one outside of the lattice counts at its border.
        reach: value of what becomes free, and minus that of what becomes solid, scene units.
        hull: as in `fused_shape`.
    """
    inside = values < 0
    values = np.where(inside & ~_supported(inside, votes, hull), np.float32(reach), values)
    inside = values < 0
    hollow = ~inside & ~_open_to_views(~inside, centers)
    solid = np.full_like(values, -reach) if hull is None else np.minimum(np.maximum(hull, -reach), 0.0)
    return np.where(hollow & (solid < 0), solid, values).astype(np.float32)


def _supported(inside: NDArray, votes: Votes, hull: NDArray | None) -> NDArray:
    """(P, P, P) bool: vertices of pieces with enough support."""
    labels, n_pieces = ndimage.label(inside)
    if n_pieces < 2:
        return inside
    is_surface = inside & ~ndimage.binary_erosion(inside, border_value=1)
    support = votes.near.astype(np.float64)
    if hull is not None:
        support += HULL_SUPPORT * ndimage.binary_dilation(hull >= 0)
    sums = np.bincount(labels[is_surface], weights=support[is_surface], minlength=n_pieces + 1)
    keeps = sums >= LEAST_SUPPORT * sums[1:].max()
    keeps[0] = False
    return keeps[labels]


def _open_to_views(free: NDArray, centers: Sequence[NDArray]) -> NDArray:
    """(P, P, P) bool: free vertices connected to the lattice's border or to a camera in it."""
    labels, n_pieces = ndimage.label(free)
    is_open = np.zeros(n_pieces + 1, dtype=bool)
    for axis in range(3):
        faces = np.moveaxis(labels, axis, 0)
        is_open[np.unique(faces[[0, -1]])] = True
    size = len(free)
    for center in centers:
        place = np.rint((np.asarray(center) + 1.0) * 0.5 * (size - 1)).astype(int)
        if (place >= 0).all() and (place < size).all():
            is_open[labels[tuple(place)]] = True
    is_open[0] = False
    return is_open[labels]
