"""Colours where no view sees the surface, and between the charts: nothing in a texture is left black."""

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, diags
from scipy.sparse.linalg import cg
from scipy.spatial import cKDTree

from neus.meshing.measures import connected_numbers
from neus.texturing.texels import Texels
from neus.texturing.view_weights import neighbour_means

# Texels around charts that continue their border's colour exactly; farther out colours become smooth, for mip maps.
DILATED = 8
# What views see with less weight than this, of 1, fades into the fill: only what lies at jumps of depth has less.
LEAST_WEIGHT = 2e-4
# Accuracy of the diffusion, relative, and its most rounds: a colour's last bit is 1/255 of it.
ACCURACY, MOST_ROUNDS = 1e-3, 400


def filled_texels(
    baked: NDArray, faces_of: NDArray, parts: NDArray, faces: NDArray, vertices: NDArray, base: NDArray | None
) -> tuple[NDArray, NDArray]:
    """Linear colours (p, 3) of all texels, and (n, 3) of all vertices.

    Vertices take the mean of the texels around them. Where there are none, they take the colour of the field, shifted by how much that
    differs from the views' at the border of what they see (its harmonic continuation over the mesh); without a field the colour itself
    is continued. Texels that are not seen interpolate between vertices.

    Args:
        baked: (p, 4) linear colours and weights.
        faces_of: (p,) the face of each texel.
        parts: (p, 3) its barycentric coordinates there.
        faces: (m, 3).
        vertices: (n, 3).
        base: (n, 3) linear colours of the field at the vertices, or None.
    """
    colors, is_known = _vertex_colors(baked, faces_of, parts, faces, len(vertices))
    base = np.zeros_like(colors) if base is None else base
    if is_known.any():
        shift = continued(colors - base, is_known, faces, vertices)
        low, high = colors[is_known].min(axis=0), colors[is_known].max(axis=0)
        colors = np.where(is_known[:, None], colors, np.clip(base + shift, low, high))
    elif base.any():
        colors = base
    else:
        colors = np.full_like(colors, 0.2)  # mid grey: nothing is known
    result = baked[:, :3].copy()
    dim = np.flatnonzero(baked[:, 3] < LEAST_WEIGHT)
    fill = np.einsum("pi,pic->pc", parts[dim], colors[faces[faces_of[dim]]].astype(np.float32))
    share = baked[dim, 3:] / LEAST_WEIGHT
    result[dim] = share * baked[dim, :3] + (1.0 - share) * fill
    return result, colors


def continued(values: NDArray, is_known: NDArray, faces: NDArray, vertices: NDArray) -> NDArray:
    """(n, c) values at all vertices: the known ones, and where they are not known the mean of the neighbours', everywhere.

    Pieces of the mesh without a known vertex take the mean of all known values.
    """
    result = values.copy()
    pieces = connected_numbers(len(vertices), faces.ravel(), np.roll(faces, -1, axis=1).ravel())
    reached = np.isin(pieces, pieces[is_known])
    result[~reached] = values[is_known].mean(axis=0)
    free = np.flatnonzero(~is_known & reached)
    if not len(free):
        return result
    means: csr_matrix = neighbour_means(faces, len(vertices)).astype(np.float64)
    matrix = (diags(np.ones(len(free))) - means[free][:, free]).tocsr()
    # The rows divided by their number of neighbours: multiplied again, the matrix is symmetric.
    degrees = 1.0 / means.diagonal()[free]
    matrix = diags(degrees) @ matrix
    known = np.flatnonzero(is_known)
    right = degrees[:, None] * (means[free][:, known] @ values[known])
    nearest = cKDTree(vertices[known]).query(vertices[free])[1]
    jacobi = diags(1.0 / matrix.diagonal())
    for channel in range(values.shape[1]):
        start = values[known[nearest], channel]
        result[free, channel] = cg(matrix, right[:, channel], start, rtol=ACCURACY, maxiter=MOST_ROUNDS, M=jacobi)[0]
    return result


def _vertex_colors(baked: NDArray, faces_of: NDArray, parts: NDArray, faces: NDArray, n: int) -> tuple[NDArray, NDArray]:
    """(n, 3) mean colours of the well-seen texels around vertices, weighted by barycentric coordinates; (n,) whether there are any."""
    seen = np.flatnonzero(baked[:, 3] >= LEAST_WEIGHT)
    owners, weights = faces[faces_of[seen]].ravel(), parts[seen] ** 2
    totals = np.bincount(owners, weights.ravel(), minlength=n)
    sums = [np.bincount(owners, (weights * baked[seen, channel, None]).ravel(), minlength=n) for channel in range(3)]
    is_known = totals > 0
    return np.stack(sums, axis=-1) / np.where(is_known, totals, 1.0)[:, None], is_known


def padded_texture(texels: Texels, colors: NDArray) -> NDArray:
    """(size, size, 3) uint8: the texels' sRGB colours (p, 3), continued by DILATED texels, and the rest filled smoothly.

    The rest is push and pull (Gortler et al. 1996): means over 2 x 2 texels of those that have a colour, again and again, taken from
    where they have none.
    """
    size = texels.size
    texture, is_empty = np.zeros((size, size, 3), np.uint8), np.ones((size, size), np.uint8)
    texture.reshape(-1, 3)[texels.indices] = colors
    is_empty.reshape(-1)[texels.indices] = 0
    away, labels = cv2.distanceTransformWithLabels(is_empty, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    covered = np.flatnonzero(is_empty.ravel() == 0)
    of_label = np.zeros((len(covered) + 1, 3), np.uint8)
    of_label[labels.ravel()[covered]] = texture.reshape(-1, 3)[covered]
    near = (away > 0) & (away <= DILATED)
    texture[near] = of_label[labels[near]]
    return _pulled(texture, away <= DILATED)


def _pulled(texture: NDArray, is_known: NDArray) -> NDArray:
    sides = []
    values, weights = texture.astype(np.float32) * is_known[..., None], is_known.astype(np.float32)
    while len(values) > 1:
        sides.append((values, weights))
        half = (len(values) // 2,) * 2
        values, weights = (cv2.resize(x, half, interpolation=cv2.INTER_AREA) for x in (values, weights))
        values /= np.maximum(weights, 1e-12)[..., None]
        weights = (weights > 0).astype(np.float32)
        values *= weights[..., None]
    for finer, known in reversed(sides):
        up = cv2.resize(values.reshape(len(values), -1, 3), finer.shape[1::-1], interpolation=cv2.INTER_LINEAR)
        values = np.where(known[..., None] > 0, finer, up)
    return values.round().astype(np.uint8)
