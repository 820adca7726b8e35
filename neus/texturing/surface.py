"""The surface that is textured: welded, without degenerate faces, and split where faces are large."""

from typing import NamedTuple

import numpy as np
import trimesh
from numpy.typing import NDArray

from neus.errors import InputError
from neus.texturing.charts import triangle_areas

# Faces whose area is below this fraction of the square of the mesh's size have no direction in float32.
LEAST_AREA = 1e-14
# Splitting halves the longest edges; after so many rounds one is a thousandth.
MOST_ROUNDS = 10


def cleaned(mesh: trimesh.Trimesh) -> trimesh.Trimesh:
    """The mesh with vertices at the same place joined, and without faces that have no area or lie on another; colours are kept.

    Raises:
        InputError: no face is left.
    """
    vertices, faces = np.asarray(mesh.vertices, np.float64), np.asarray(mesh.faces, np.int64)
    places, first, joined = np.unique(vertices, axis=0, return_index=True, return_inverse=True)
    faces = joined.ravel()[faces]
    size = max(float(np.ptp(places, axis=0).max(initial=0.0)), 1e-300) if len(places) else 1.0
    has_area = triangle_areas(places[faces]) > LEAST_AREA * size**2
    _, kept = np.unique(np.sort(faces, axis=1), axis=0, return_index=True)
    keeps = np.zeros(len(faces), bool)
    keeps[kept] = True
    faces = faces[keeps & has_area]
    if not len(faces):
        raise InputError(f"mesh: none of its {len(mesh.faces)} faces has an area, expected a surface; extract it again.")
    used, faces = np.unique(faces, return_inverse=True)
    result = trimesh.Trimesh(places[used], faces.reshape(-1, 3), process=False)
    if mesh.visual.kind == "vertex":
        result.visual.vertex_colors = np.asarray(mesh.visual.vertex_colors)[first[used]]
    return result


class Split(NamedTuple):
    """A mesh whose long edges are halved.

    Attributes:
        vertices: (n, 3), those of the mesh first.
        faces: (m, 3).
        parents: (m,) the face of the mesh that each is a part of.
        weights: (m, 3, 3) barycentric coordinates of each corner in that face.
    """

    vertices: NDArray
    faces: NDArray
    parents: NDArray
    weights: NDArray

    def corners_of(self, values: NDArray) -> NDArray:
        """(m, 3, c) at the corners of the parts, of values (f, 3, c) at the corners of the mesh's faces."""
        return np.einsum("fij,fjc->fic", self.weights, values[self.parents])


def split(vertices: NDArray, faces: NDArray, longest: float, most_faces: int) -> Split:
    """The mesh with edges halved until none is longer than `longest`, or the faces would be more than `most_faces`.

    An edge is halved in both of its faces, so no gap opens and what is linear on faces stays continuous.
    """
    parents, weights = np.arange(len(faces)), np.broadcast_to(np.eye(3), (len(faces), 3, 3))
    for _ in range(MOST_ROUNDS):
        starts, ends = faces, np.roll(faces, -1, axis=1)
        is_long = np.linalg.norm(vertices[starts] - vertices[ends], axis=-1) > longest
        if not is_long.any() or len(faces) + is_long.sum() > most_faces:
            break
        keys = np.minimum(starts, ends) * len(vertices) + np.maximum(starts, ends)
        halved, number = np.unique(keys[is_long], return_inverse=True)
        middles = np.full(faces.shape, -1)
        middles[is_long] = len(vertices) + number.ravel()
        between = (weights + np.roll(weights, -1, axis=1)) / 2
        vertices = np.concatenate([vertices, (vertices[halved // len(vertices)] + vertices[halved % len(vertices)]) / 2])
        faces, parents, weights = _parts(vertices, faces, middles, parents, weights, between)
    return Split(vertices, faces, parents, np.ascontiguousarray(weights))


def _parts(
    vertices: NDArray, faces: NDArray, middles: NDArray, parents: NDArray, weights: NDArray, between: NDArray
) -> tuple[NDArray, NDArray, NDArray]:
    """Faces, parents and weights after halving the edges whose middle (m, 3) is not -1."""
    count = (middles >= 0).sum(axis=1)
    # Corners 0, 1, 2 and middles 3 (between 0 and 1), 4, 5; faces are turned so that the first edge is halved, and in those with two
    # halved edges the last one is not.
    turn = np.where(count == 2, (middles < 0).argmax(axis=1) + 1, (middles >= 0).argmax(axis=1)) % 3
    order = (np.arange(3) + turn[:, None]) % 3
    corners = np.concatenate([np.take_along_axis(faces, order, 1), np.take_along_axis(middles, order, 1)], axis=1)
    places = np.concatenate(
        [np.take_along_axis(weights, order[..., None], 1), np.take_along_axis(between, order[..., None], 1)], axis=1
    )
    # Of the quadrangle that two halved edges leave, the shorter diagonal.
    long_way = np.zeros(len(faces), bool)
    two = count == 2
    a, b = vertices[corners[two, 0]] - vertices[corners[two, 4]], vertices[corners[two, 3]] - vertices[corners[two, 2]]
    long_way[two] = np.linalg.norm(a, axis=1) > np.linalg.norm(b, axis=1)
    patterns = [
        (count == 0, [(0, 1, 2)]),
        (count == 1, [(0, 3, 2), (3, 1, 2)]),
        (two & ~long_way, [(3, 1, 4), (0, 3, 4), (0, 4, 2)]),
        (two & long_way, [(3, 1, 4), (0, 3, 2), (3, 4, 2)]),
        (count == 3, [(0, 3, 5), (3, 1, 4), (5, 4, 2), (3, 4, 5)]),
    ]
    made = [(chosen, list(part)) for chosen, parts in patterns for part in parts]
    return (
        np.concatenate([corners[chosen][:, part] for chosen, part in made]),
        np.concatenate([parents[chosen] for chosen, _ in made]),
        np.concatenate([places[chosen][:, part] for chosen, part in made]),
    )
