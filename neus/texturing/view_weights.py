"""How much each view counts at each vertex: the best few, smooth over the surface, without what contradicts the others."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix, csr_matrix, diags

# So many views are blended: fewer show their borders, more blur what poses and shape leave in error.
BEST = 4
# With fewer views of a vertex it cannot be known which of them errs.
LEAST_VIEWS = 4
# A colour counts in full up to the first of these numbers of standard deviations from the median of all views, and not from the second.
FROM_DEVIATIONS, TO_DEVIATIONS = 2.0, 3.0
# Standard deviation over the median of the absolute deviations, of a normal distribution.
NORMAL = 1.4826
# Noise, interpolation and light leave colours apart by so many levels of 255 at least, the standard deviation that is assumed.
LEAST_DEVIATION = 6.0
# Vertices whose colours are compared at a time.
CHUNK = 1 << 14
# Rounds in which the weights of a vertex become the mean of its own and its neighbours': a view fades over as many edges.
ROUNDS = 6


class ViewWeights(NamedTuple):
    """Weights of views at vertices.

    Attributes:
        weights: (V, n) float32, of sum 1 at each vertex that any view sees, and 0 elsewhere.
        n_rejected: colours that contradicted those of other views.
        n_seen: colours in all.
    """

    weights: NDArray
    n_rejected: int
    n_seen: int


def view_weights(qualities: NDArray, colors: NDArray, faces: NDArray) -> ViewWeights:
    """The weights of the views by their qualities and colours.

    At each vertex the squared quality counts, less that of the best view that is not among the best BEST, so that a view comes and goes
    without a step; then weights are averaged over neighbours.

    Args:
        qualities: (V, n) float32, 0 where a view does not see a vertex; overwritten.
        colors: (V, n, 3) uint8 there, exposures leveled.
        faces: (m, 3).
    """
    n_seen, n_rejected = int(np.count_nonzero(qualities)), 0
    for start in range(0, qualities.shape[1], CHUNK):
        part = slice(start, start + CHUNK)
        trust = trust_of(colors[:, part], qualities[:, part] > 0)
        n_rejected += int(((trust == 0) & (qualities[:, part] > 0)).sum())
        qualities[:, part] = best_of(qualities[:, part] * trust)
    smooth = neighbour_means(faces, qualities.shape[1])
    for view in range(len(qualities)):
        for _ in range(ROUNDS if qualities[view].any() else 0):
            qualities[view] = smooth @ qualities[view]
    qualities /= np.maximum(qualities.sum(axis=0), 1e-12)
    return ViewWeights(qualities, n_rejected, n_seen)


def trust_of(colors: NDArray, is_seen: NDArray) -> NDArray:
    """(V, n) float32 from 1 for colours (V, n, 3) uint8 near the median of those that are seen (V, n), to 0 for outliers.

    Where fewer than LEAST_VIEWS see a vertex, all are trusted.
    """
    seen = np.where(is_seen[..., None], colors.astype(np.float32), np.nan)
    is_known = is_seen.sum(axis=0) >= LEAST_VIEWS
    trust = np.ones(is_seen.shape, np.float32)
    if not is_known.any():
        return trust
    away = np.abs(seen[:, is_known] - np.nanmedian(seen[:, is_known], axis=0))
    deviation = np.maximum(NORMAL * np.nanmedian(away, axis=0), LEAST_DEVIATION)
    farthest = np.nan_to_num((away / deviation).max(axis=-1), nan=0.0)
    trust[:, is_known] = np.clip((TO_DEVIATIONS - farthest) / (TO_DEVIATIONS - FROM_DEVIATIONS), 0.0, 1.0)
    return trust


def best_of(qualities: NDArray) -> NDArray:
    """(V, n) float32 weights of sum 1 (0 where nothing is seen) of the BEST largest qualities (V, n)."""
    if len(qualities) > BEST:
        limit = -np.partition(-qualities, BEST, axis=0)[BEST]
        squares = np.maximum(qualities**2 - limit**2, 0.0)
        # All equally good: any of them.
        ties = (squares.sum(axis=0) <= 1e-6 * limit**2) & (limit > 0)
        squares[:, ties] = qualities[:, ties] >= limit[ties]
    else:
        squares = qualities**2
    return (squares / np.maximum(squares.sum(axis=0), 1e-30)).astype(np.float32)


def neighbour_means(faces: NDArray, n: int) -> csr_matrix:
    """(n, n) float32: of values at vertices the mean over each one and those that share a face with it."""
    starts, ends = faces.ravel(), np.roll(faces, -1, axis=1).ravel()
    loops = np.arange(n)
    rows, columns = np.concatenate([starts, ends, loops]), np.concatenate([ends, starts, loops])
    joined = coo_matrix((np.ones(len(rows), np.float32), (rows, columns)), shape=(n, n)).tocsr()
    joined.data[:] = 1.0
    return (diags(1.0 / np.asarray(joined.sum(axis=1)).ravel()) @ joined).astype(np.float32).tocsr()


def vertex_normals(vertices: NDArray, faces: NDArray) -> NDArray:
    """(n, 3) unit normals of vertices, faces weighted by their areas; those of a vertex without faces are up."""
    corners = vertices[faces]
    crosses = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals = np.stack(
        [np.bincount(faces.ravel(), np.repeat(crosses[:, axis], 3), minlength=len(vertices)) for axis in range(3)], axis=-1
    )
    lengths = np.linalg.norm(normals, axis=1, keepdims=True)
    return np.where(lengths > 0, normals / np.where(lengths > 0, lengths, 1.0), (0.0, 0.0, 1.0))
