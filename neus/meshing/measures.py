"""Measures of a mesh: areas, connected pieces, whether it is closed, volume; without the copies that trimesh would keep."""

from dataclasses import asdict, dataclass

import numpy as np
import trimesh
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

# Triangles handled together, so that memory does not grow with the mesh.
FACES_AT_A_TIME = 2**18


@dataclass(frozen=True)
class MeshFacts:
    """Counts and measures of a mesh, in the units of its vertices.

    Attributes:
        vertices, faces: how many.
        components: pieces that no edge connects.
        largest_fraction: of the area, that the largest piece has.
        is_watertight: whether every edge is shared by two faces that are wound alike.
        volume: enclosed; None for an open mesh, which encloses none.
        area: of the surface.
        size: sides of the box along the axes.
    """

    vertices: int
    faces: int
    components: int
    largest_fraction: float
    is_watertight: bool
    volume: float | None
    area: float
    size: tuple[float, float, float]

    def as_dict(self) -> dict:
        """Plain numbers, for JSON."""
        return asdict(self)


def mesh_facts(mesh: trimesh.Trimesh) -> MeshFacts:
    """Counts and measures of a mesh with at least one face.

    >>> facts = mesh_facts(trimesh.creation.box((1.0, 2.0, 3.0)))
    >>> facts.vertices, facts.components, facts.is_watertight, round(facts.volume, 6), facts.size
    (8, 1, True, 6.0, (1.0, 2.0, 3.0))
    """
    pieces = piece_of_vertex(mesh)
    areas = piece_areas(mesh, pieces)[np.unique(pieces[mesh.faces[:, 0]])]  # a vertex without faces is no piece
    watertight = is_closed(mesh)
    low, high = mesh.bounds
    return MeshFacts(
        vertices=len(mesh.vertices),
        faces=len(mesh.faces),
        components=len(areas),
        largest_fraction=float(areas.max() / max(areas.sum(), 1e-300)),
        is_watertight=watertight,
        volume=abs(signed_volume(mesh)) if watertight else None,
        area=float(areas.sum()),
        size=tuple(float(side) for side in high - low),
    )


def face_crosses(mesh: trimesh.Trimesh, chosen: np.ndarray | slice = slice(None)) -> np.ndarray:
    """(k, 3) cross products (b - a) x (c - a) of some triangles: along their normals, twice their areas long."""
    a, b, c = np.moveaxis(mesh.vertices.view(np.ndarray)[mesh.faces.view(np.ndarray)[chosen]], 1, 0)
    return np.cross(b - a, c - a)


def face_areas(mesh: trimesh.Trimesh) -> np.ndarray:
    """(m,) areas of the triangles."""
    areas = np.empty(len(mesh.faces))
    for start in range(0, len(areas), FACES_AT_A_TIME):
        part = slice(start, start + FACES_AT_A_TIME)
        areas[part] = np.linalg.norm(face_crosses(mesh, part), axis=1) / 2
    return areas


def signed_volume(mesh: trimesh.Trimesh) -> float:
    """The volume that a closed mesh encloses, negative if its faces are turned inwards.

    Tetrahedra from the middle of its box to the faces are summed, so the result does not depend on its position.

    >>> round(signed_volume(trimesh.creation.box().apply_translation([5e6, 0.0, 0.0])), 6)
    1.0
    """
    vertices, middle = mesh.vertices.view(np.ndarray), mesh.bounds.mean(axis=0)
    volume = 0.0
    for start in range(0, len(mesh.faces), FACES_AT_A_TIME):
        part = slice(start, start + FACES_AT_A_TIME)
        starts = vertices[mesh.faces.view(np.ndarray)[part, 0]] - middle
        volume += float((starts * face_crosses(mesh, part)).sum()) / 6
    return volume


def connected_numbers(n: int, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """(n,) for each of n things the number of its connected component, if starts (e,) and ends (e,) are joined in pairs.

    >>> connected_numbers(4, np.array([0, 3]), np.array([2, 1])).tolist()
    [0, 1, 0, 1]
    """
    graph = coo_matrix((np.ones(len(starts), bool), (starts, ends)), shape=(n, n))
    return connected_components(graph, directed=False)[1]


def piece_of_vertex(mesh: trimesh.Trimesh) -> np.ndarray:
    """(n,) the number of the connected component of each vertex."""
    return connected_numbers(len(mesh.vertices), mesh.faces.ravel(), np.roll(mesh.faces, -1, axis=1).ravel())


def piece_areas(mesh: trimesh.Trimesh, pieces: np.ndarray) -> np.ndarray:
    """(c,) areas of the connected components, numbered as in `piece_of_vertex`; zero for a vertex without faces."""
    return np.bincount(pieces[mesh.faces[:, 0]], weights=face_areas(mesh), minlength=pieces.max() + 1)


def is_closed(mesh: trimesh.Trimesh) -> bool:
    """Whether every edge is shared by two faces that run along it in opposite senses: watertight and wound alike.

    >>> is_closed(trimesh.creation.box()), is_closed(trimesh.Trimesh([[0, 0, 0], [1, 0, 0], [0, 1, 0]], [[0, 1, 2]]))
    (True, False)
    """
    # trimesh's own `is_watertight` takes and keeps a gigabyte for five million faces.
    faces, n_vertices = mesh.faces.view(np.ndarray), len(mesh.vertices)
    starts, ends = faces.ravel(), np.roll(faces, -1, axis=1).ravel()
    along = np.sort(starts * n_vertices + ends)
    return bool((np.diff(along) > 0).all()) and np.array_equal(along, np.sort(ends * n_vertices + starts))
