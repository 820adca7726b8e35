"""Which face each texel of a texture lies in."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from neus.kernels.dispatch import kernels_for

# Points of an edge in each texel that it runs through, about.
STEPS_OF_TEXEL = 2.0
# Weights of x and y that tell one place from another.
_MIXED = np.array([1.0, np.pi])


class Texels(NamedTuple):
    """The texels whose centres lie in faces, in the order of the faces.

    Attributes:
        indices: (p,) int64, row * size + column.
        starts: (m + 1,) where the texels of each face begin, and the end.
        size: of the texture.
    """

    indices: NDArray
    starts: NDArray
    size: int


def texels_of(corners: NDArray, size: int) -> Texels:
    """The texels of faces; and those that the border of a chart runs through, for slivers may cover no centre all along.

    Args:
        corners: (m, 3, 2) of the faces in the texture, in texels, the first one's centre at (0.5, 0.5).
        size: of the texture.
    """
    draw = kernels_for("raster_depth", torch.device("cpu")).foremost_triangles
    flat = np.column_stack([corners.reshape(-1, 2), np.ones(3 * len(corners))])
    numbers = draw(flat, np.arange(len(flat)).reshape(-1, 3), size, size)[1].ravel()
    places, owners = _borders(corners, size)
    is_free = numbers[places] < 0
    numbers[places[is_free]] = owners[is_free]
    covered = np.flatnonzero(numbers >= 0)
    faces = numbers[covered].astype(np.int32)
    order = np.argsort(faces, kind="stable")
    starts = np.concatenate([[0], np.cumsum(np.bincount(faces, minlength=len(corners)))])
    return Texels(covered[order], starts, size)


def _borders(corners: NDArray, size: int) -> tuple[NDArray, NDArray]:
    """Texels (q,) that edges of one face alone run through, some more than once, and (q,) the face."""
    starts, ends = corners.reshape(-1, 2), np.roll(corners, -1, axis=1).reshape(-1, 2)
    # The same two ends give the same sum, in whichever order they come.
    keys = starts @ _MIXED + ends @ _MIXED
    _, first, counts = np.unique(keys, return_index=True, return_counts=True)
    edges = first[counts == 1]
    n_steps = np.ceil(STEPS_OF_TEXEL * np.linalg.norm(ends[edges] - starts[edges], axis=1)).astype(np.int64) + 1
    edge = np.repeat(edges, n_steps)
    step = np.arange(len(edge)) - np.repeat(np.cumsum(n_steps) - n_steps, n_steps)
    part = (step / np.repeat(np.maximum(n_steps - 1, 1), n_steps))[:, None]
    place = (starts[edge] * (1.0 - part) + ends[edge] * part).astype(np.int64).clip(0, size - 1)
    return place[:, 1] * size + place[:, 0], edge // 3


def barycentric_of(texels: Texels, corners: NDArray) -> tuple[NDArray, NDArray]:
    """(p,) the face of each texel and (p, 3) float32 its barycentric coordinates there, for corners (m, 3, 2); of a texel beside
    its face those of a point within it."""
    faces = np.repeat(np.arange(len(corners)), np.diff(texels.starts))
    x, y = texels.indices % texels.size + 0.5, texels.indices // texels.size + 0.5
    a, b, c = np.moveaxis(corners, 1, 0)
    b, c = b - a, c - a
    area = b[:, 0] * c[:, 1] - b[:, 1] * c[:, 0]
    inverse = 1.0 / np.where(area == 0.0, 1.0, area)
    x, y = x - a[faces, 0], y - a[faces, 1]
    of_b = (x * c[faces, 1] - y * c[faces, 0]) * inverse[faces]
    of_c = (y * b[faces, 0] - x * b[faces, 1]) * inverse[faces]
    parts = np.maximum(np.stack([1.0 - of_b - of_c, of_b, of_c], axis=-1), 0.0)
    return faces, (parts / parts.sum(axis=1, keepdims=True)).astype(np.float32)
