"""What becomes of surface that no two views have seen: cut off, left, or closed over."""

from collections.abc import Sequence

import numpy as np
import trimesh
from numpy.typing import NDArray
from scipy.sparse import coo_matrix, csr_matrix

from neus.errors import InputError
from neus.geometry.cameras import Camera
from neus.meshing.clean import FLOATER_FRACTION, with_faces, without_floaters
from neus.meshing.measures import connected_numbers, piece_areas, piece_of_vertex
from neus.meshing.visibility import LEAST_COSINE, LEAST_VIEWS, median_edge, vertex_areas

# `cut` leaves what two views have seen; `keep` is the surface as found, open where it leaves the box; `close` is that surface
# closed along the box's faces; `auto` cuts in captures that do not go all round.
CHOICES = ("auto", "cut", "keep", "close")
# A capture goes all round if a ball in the middle of the region would be seen by two views on this fraction of its area. A ring of
# cameras up to 40 degrees above the horizon reaches it (what the object stands on stays unseen), DTU's one-sided 49 views have 0.78.
ROUND_FRACTION = 0.85
# Sampled directions of the ball.
N_DIRECTIONS = 2000
# Rounds in which each vertex takes the side of most of its neighbours: the border is smooth over so many edges.
ROUNDS = 4
# Unseen islands in seen surface that are smaller than a square with sides of so many edges stay: pits and grazing angles.
ISLAND_EDGES = 24.0


def seen_fraction_of_ball(cameras: Sequence[Camera]) -> float:
    """The fraction of the directions n from the region's centre to which at least two cameras c turn: n . c > LEAST_COSINE.

    >>> ring = [[np.cos(a), np.sin(a), 0.0] for a in np.linspace(0, 2 * np.pi, 90)]
    >>> round(_fraction_facing(np.array(ring)), 2)  # all but caps of 6 degrees about both poles, and those are 0.5 %
    0.99
    """
    centers = np.stack([np.asarray(camera.center, np.float64) for camera in cameras])
    return _fraction_facing(centers / np.maximum(np.linalg.norm(centers, axis=1, keepdims=True), 1e-12))


def _fraction_facing(directions: NDArray) -> float:
    if len(directions) < LEAST_VIEWS:
        return 0.0
    # A Fibonacci sphere: all its points represent the same area.
    heights = 1.0 - (2.0 * np.arange(N_DIRECTIONS) + 1.0) / N_DIRECTIONS
    turns = np.arange(N_DIRECTIONS) * np.pi * (3.0 - np.sqrt(5.0))
    widths = np.sqrt(1.0 - heights**2)
    ball = np.column_stack([widths * np.cos(turns), widths * np.sin(turns), heights])
    return float(((ball @ directions.T > LEAST_COSINE).sum(axis=1) >= LEAST_VIEWS).mean())


def chosen_unseen(asked: str, cameras: Sequence[Camera] | None) -> str:
    """`cut`, `keep` or `close`, for `asked`, one of CHOICES: `auto` cuts unless the cameras (V) go all round, or are not known.

    Raises:
        InputError: another word, or cutting without cameras.
    """
    if asked not in CHOICES:
        raise InputError(f"unseen {asked!r}: expected one of {', '.join(CHOICES)}.")
    if asked == "cut" and not cameras:
        raise InputError("unseen cut: the views are not known, so nor is what they see; give the scene, or unseen keep or close.")
    if asked != "auto":
        return asked
    return "close" if not cameras or seen_fraction_of_ball(cameras) >= ROUND_FRACTION else "cut"


def without_unseen(mesh: trimesh.Trimesh, n_views: NDArray) -> trimesh.Trimesh:
    """The part of a mesh that at least LEAST_VIEWS views have seen, without crumbs; open where it was cut.

    Every vertex takes the side of most of its neighbours, ROUNDS times, which smooths the border; unseen islands within seen
    surface stay if they are smaller than ISLAND_EDGES edges squared; a face stays if all its corners do. Then pieces go that are
    small beside the largest, as in `clean.without_floaters`, or smaller than such an island.

    Args:
        mesh: any.
        n_views: (n,) by how many views each vertex is seen.

    Raises:
        InputError: nothing is left.
    """
    neighbours = _neighbours(mesh)
    degrees = np.asarray(neighbours.sum(axis=1)).ravel()
    is_seen = n_views >= LEAST_VIEWS
    for _ in range(ROUNDS):
        votes = neighbours @ is_seen.astype(np.float32)
        is_seen = np.where(2.0 * votes == degrees, is_seen, 2.0 * votes > degrees)
    areas, least_area = vertex_areas(mesh), (ISLAND_EDGES * median_edge(mesh)) ** 2
    is_seen |= _islands(neighbours, is_seen, areas, least_area)
    keeps = is_seen[mesh.faces].all(axis=1)
    if not keeps.any():
        raise InputError(
            f"unseen cut: no part of the {len(mesh.faces)} faces is seen by {LEAST_VIEWS} views; expected the mesh and the cameras "
            "of the same scene. Check the poses, or keep what is unseen (--unseen keep)."
        )
    seen = with_faces(mesh, keeps)
    largest = float(piece_areas(seen, piece_of_vertex(seen)).max())
    return without_floaters(seen, min_fraction=min(max(FLOATER_FRACTION, least_area / largest), 1.0))


def within_unit_sphere(mesh: trimesh.Trimesh) -> trimesh.Trimesh:
    """The faces whose corners all lie in the unit sphere: where a background network renders the rest, no ray evaluated the field there.

    Raises:
        InputError: nothing is left.
    """
    is_inside = np.linalg.norm(np.asarray(mesh.vertices), axis=1) <= 1.0
    keeps = is_inside[mesh.faces].all(axis=1)
    if not keeps.any():
        raise InputError(
            f"unseen cut: none of the {len(mesh.faces)} faces lies within the unit sphere; the training lost the object. Check the "
            "region of interest, or keep what is unseen (--unseen keep)."
        )
    return with_faces(mesh, keeps)


def _neighbours(mesh: trimesh.Trimesh) -> csr_matrix:
    """(n, n) ones where an edge joins two vertices."""
    faces = np.asarray(mesh.faces)
    starts, ends = faces.ravel(), np.roll(faces, -1, axis=1).ravel()
    pairs = np.concatenate([starts, ends]), np.concatenate([ends, starts])
    joined = coo_matrix((np.ones(len(pairs[0]), np.float32), pairs), shape=(len(mesh.vertices),) * 2).tocsr()
    joined.data[:] = 1.0
    return joined


def _islands(neighbours: csr_matrix, is_seen: NDArray, areas: NDArray, least_area: float) -> NDArray:
    """(n,) bool: vertices of unseen pieces below an area that touch seen surface."""
    pairs = neighbours.tocoo()
    within = ~is_seen[pairs.row] & ~is_seen[pairs.col]
    pieces = connected_numbers(len(is_seen), pairs.row[within], pairs.col[within])
    across = ~is_seen[pairs.row] & is_seen[pairs.col]
    touches = np.zeros(pieces.max() + 1, bool)
    touches[pieces[pairs.row[across]]] = True
    sizes = np.bincount(pieces, areas, minlength=len(touches))
    return ~is_seen & (touches & (sizes < least_area))[pieces]
