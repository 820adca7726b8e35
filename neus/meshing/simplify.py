"""Fewer triangles: edges collapsed where it changes the surface least (Garland and Heckbert 1997, by fast-simplification)."""

import fast_simplification
import numpy as np
import trimesh

from neus.errors import InputError
from neus.meshing.measures import connected_numbers

# A closed surface has at least the faces of a tetrahedron.
FEWEST_FACES = 4
# Where two sheets touch, each is moved back by this part of the way to the corners around: a float32 file keeps them apart.
DRAWN_BACK = 1e-2
# Parting one edge may create another one.
MAX_ROUNDS = 8


def simplified(mesh: trimesh.Trimesh, target_faces: int) -> trimesh.Trimesh:
    """A mesh of about `target_faces` triangles, or the mesh itself if it has no more than those.

    Vertices move to where the squared distances to the planes of the faces they represent are least, so flat parts
    become few large triangles and edges stay. A closed mesh stays closed. Normals and colours belong to the old
    vertices and are not handed on. How far the surface moved is measured by
    `neus.evaluation.surface.surface_difference`.

    Args:
        mesh: in any frame.
        target_faces: what is aimed at; where no edge can be collapsed without turning a face over, more remain.

    Raises:
        InputError: fewer faces than a closed surface has.

    >>> ball = trimesh.creation.icosphere(4)
    >>> few = simplified(ball, 500)
    >>> len(few.faces), few.is_watertight
    (500, True)
    """
    if target_faces < FEWEST_FACES:
        raise InputError(
            f"simplification: {target_faces} faces, expected at least {FEWEST_FACES}; give a larger number."
        )
    if len(mesh.faces) <= target_faces:
        return mesh
    # The library weighs squared areas and lengths against fixed thresholds, which millimetres or metres would miss.
    center, size = mesh.bounds.mean(axis=0), float(np.ptp(mesh.bounds, axis=0).max())
    points = np.ascontiguousarray((mesh.vertices - center) / size)
    vertices, faces = fast_simplification.simplify(
        points, np.ascontiguousarray(mesh.faces, np.int32), target_count=target_faces
    )
    vertices, faces = parted(vertices, _without_flaps(faces.astype(np.int64)))
    return trimesh.Trimesh(vertices * size + center, faces, process=False)


def _without_flaps(faces: np.ndarray) -> np.ndarray:
    """The faces (m, 3) without pairs that lie back to back on the same three vertices, and what is left of slivers."""
    first, second, third = faces.T
    faces = faces[(first != second) & (second != third) & (third != first)]
    ordered = np.sort(faces, axis=1)
    # A face is oriented one way or the other: its corners run in the sense of their numbers, or against it.
    is_rising = (np.roll(faces, -1, axis=1) > faces).sum(axis=1) == 2
    _, number = np.unique(ordered, axis=0, return_inverse=True)
    number = number.ravel()
    n_rising, n_falling = np.bincount(number, is_rising), np.bincount(number, ~is_rising)
    return faces[(n_rising != n_falling)[number]]


def parted(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mesh with a vertex of its own for each sheet where sheets touch, so that it is manifold; unused vertices are left out.

    Collapses can make four faces meet in one edge. Corners of faces are joined again only across pairs of faces that
    run along an edge in opposite senses. If both sheets still have both ends in common, pairing them the other way
    parts the fan of faces around each end in two.

    Returns:
        vertices (n, 3) and faces (m, 3).
    """
    starts, ends = faces.ravel(), np.roll(faces, -1, axis=1).ravel()
    next_corners = np.roll(np.arange(len(starts)).reshape(-1, 3), -1, axis=1).ravel()
    partners = _partners(starts, ends)
    for _ in range(MAX_ROUNDS):
        new = _joined_corners(partners, next_corners)
        if not _pair_otherwise(partners, new, new[next_corners]):
            break
    n_new = new.max() + 1
    old = np.empty(n_new, np.int64)
    old[new] = starts
    places = vertices[old]
    is_split = np.bincount(old, minlength=len(vertices))[old] > 1
    sums = np.stack([np.bincount(new, vertices[ends, axis], minlength=n_new) for axis in range(3)], axis=-1)
    around = sums / np.bincount(new, minlength=n_new)[:, None]
    places[is_split] += DRAWN_BACK * (around - places)[is_split]
    return places, new.reshape(-1, 3)


def _partners(starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """(h,) for each directed edge start -> end the number of one that runs back along it, -1 at an open border."""
    side = starts.max() + 1
    along, against = starts * side + ends, ends * side + starts
    by_along, by_against = np.argsort(along, kind="stable"), np.argsort(against, kind="stable")
    sorted_along, sorted_against = along[by_along], against[by_against]
    rank = np.arange(len(along)) - np.searchsorted(sorted_along, sorted_along)
    place = np.searchsorted(sorted_against, sorted_along) + rank
    is_paired = place < np.searchsorted(sorted_against, sorted_along, side="right")
    partners = np.full(len(along), -1)
    partners[by_along[is_paired]] = by_against[place[is_paired]]
    return partners


def _joined_corners(partners: np.ndarray, next_corners: np.ndarray) -> np.ndarray:
    """(h,) the number of the vertex that each corner belongs to, if corners are joined across paired edges."""
    one = np.flatnonzero(partners >= 0)
    other = partners[one]
    starts, ends = np.concatenate([one, next_corners[one]]), np.concatenate([next_corners[other], other])
    return connected_numbers(len(partners), starts, ends).astype(np.int64)


def _pair_otherwise(partners: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> int:
    """Exchanges the partners of two directed edges wherever two run from the same vertex to the same; their number."""
    rising = np.flatnonzero((starts < ends) & (partners >= 0))
    keys = starts[rising] * (ends.max() + 1) + ends[rising]
    order = np.argsort(keys, kind="stable")
    is_pair = keys[order][1:] == keys[order][:-1]
    is_pair[1:] &= ~is_pair[:-1]
    first, second = rising[order[:-1][is_pair]], rising[order[1:][is_pair]]
    # Of edges that meet, one at a time: the second would undo the first.
    rank = np.arange(len(first))
    lowest = np.full(starts.max() + 1, len(first))
    for vertices in (starts[first], ends[first]):
        np.minimum.at(lowest, vertices, rank)
    is_alone = (lowest[starts[first]] == rank) & (lowest[ends[first]] == rank)
    first, second = first[is_alone], second[is_alone]
    partners[first], partners[second] = partners[second], partners[first]
    partners[partners[first]], partners[partners[second]] = first, second
    return len(first)
