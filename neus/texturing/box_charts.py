"""Charts by the six main directions: slower to look at than xatlas' own, but made of any surface in a moment."""

import numpy as np
import torch
from numpy.typing import NDArray

from neus.kernels.dispatch import kernels_for
from neus.meshing.measures import connected_numbers

# Cells along the longer side of a chart in which a second layer of faces is looked for.
CELLS = 1024
# A surface that lies over itself more often than this is taken apart face by face.
MOST_LAYERS = 16


def box_charts(vertices: NDArray, faces: NDArray) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    """Charts of faces that look the same way: each face is projected along the axis that its normal is nearest to.

    A chart is a connected part of the faces of one of the six directions; where it lies over itself (a winding ramp), what is on top
    becomes a chart of its own.

    Args:
        vertices: (n, 3).
        faces: (m, 3).

    Returns:
        sources (k,), faces (m, 3), uvs (k, 2) in units of length, and numbers (m,), as in `charts.Charts`.
    """
    corners = vertices[faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    axis = np.abs(normals).argmax(axis=1)
    is_back = np.take_along_axis(normals, axis[:, None], axis=1)[:, 0] < 0
    direction = 2 * axis + is_back
    numbers = _without_layers(vertices, faces, direction, _connected(faces, direction))
    # Corners of one vertex are one in each chart.
    keys, local = np.unique(faces.ravel() + len(vertices) * np.repeat(numbers, 3), return_inverse=True)
    sources = keys % max(len(vertices), 1)
    first = np.zeros(len(keys), np.int64)
    first[local.ravel()] = np.repeat(direction, 3)
    return sources, local.reshape(-1, 3), _projected(vertices[sources], first), numbers


def _projected(points: NDArray, directions: NDArray) -> NDArray:
    """(k, 2) of points (k, 3): the two other axes, mirrored for backs so that all triangles run alike."""
    axes = directions // 2
    u, v = (np.take_along_axis(points, ((axes + step) % 3)[:, None], axis=1)[:, 0] for step in (1, 2))
    return np.stack([np.where(directions % 2 == 1, -u, u), v], axis=-1)


def _connected(faces: NDArray, labels: NDArray) -> NDArray:
    """(m,) number of the connected part of faces (m, 3) with the same label; parts meet at edges."""
    ends = np.sort(np.stack([faces, np.roll(faces, -1, axis=1)], axis=-1).reshape(-1, 2), axis=1)
    of_face = np.repeat(np.arange(len(faces)), 3)
    order = np.lexsort((np.repeat(labels, 3), ends[:, 1], ends[:, 0]))
    one, other = order[:-1], order[1:]
    meets = (ends[one] == ends[other]).all(axis=1) & (labels[of_face[one]] == labels[of_face[other]])
    return connected_numbers(len(faces), of_face[one[meets]], of_face[other[meets]]).astype(np.int64)


def _without_layers(vertices: NDArray, faces: NDArray, direction: NDArray, numbers: NDArray) -> NDArray:
    """Chart numbers (m,) in which no chart covers a place twice: what is removed from one makes the next, layer by layer."""
    draw = kernels_for("raster_depth", torch.device("cpu")).foremost_triangles
    result, n_charts = numbers.copy(), int(numbers.max(initial=-1)) + 1
    for chart in range(n_charts):
        rest = np.flatnonzero(numbers == chart)
        for layer in range(MOST_LAYERS):
            kept, removed = rest, []
            while len(kept) > 1:
                corners = _projected(vertices[faces[kept].ravel()], np.repeat(direction[kept], 3)).reshape(-1, 3, 2)
                hidden = _hidden(corners, draw)
                if not hidden.any():
                    break
                removed.append(kept[hidden])
                kept = kept[~hidden]
            if layer:
                result[kept] = n_charts
                n_charts += 1
            if not removed:
                break
            rest = np.concatenate(removed)
        else:
            result[rest] = n_charts + np.arange(len(rest))
            n_charts += len(rest)
    return result


def _hidden(corners: NDArray, draw: object) -> NDArray:
    """(m,) bool: triangles (m, 3, 2) that are the last of several to cover a cell; some of those that cover anything twice."""
    low = corners.reshape(-1, 2).min(axis=0)
    size = max(float(np.ptp(corners.reshape(-1, 2), axis=0).max()), 1e-300)
    cells = int(np.clip(4 * np.sqrt(len(corners)), 16, CELLS))
    places = (corners - low) * (cells / size)
    # A little smaller: neighbours share an edge, and only what lies over the inside of another counts.
    middle = places.mean(axis=1, keepdims=True)
    shrunk = (middle + (places - middle) * 0.98).reshape(-1, 2)
    flat = np.column_stack([shrunk, np.ones(len(shrunk))])
    triangles = np.arange(len(flat)).reshape(-1, 3)
    forward, backward = (draw(flat, order, cells, cells)[1] for order in (triangles, triangles[::-1].copy()))
    backward = np.where(backward >= 0, len(corners) - 1 - backward, -1)
    differs = forward != backward
    found = np.zeros(len(corners), bool)
    found[backward[differs]] = True
    return found
