"""What a mesh is: how large, how many pieces, whether it is closed."""

from dataclasses import asdict, dataclass

import numpy as np
import trimesh
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components


@dataclass(frozen=True)
class MeshFacts:
    """Counts and measures of a mesh, in the units of its vertices.

    Attributes:
        vertices, faces: how many.
        components: pieces that no edge connects.
        largest_share: of the area, that the largest piece has.
        is_watertight: whether every edge has two faces.
        volume: enclosed; None for an open mesh, which encloses none.
        area: of the surface.
        size: sides of the box along the axes.
    """

    vertices: int
    faces: int
    components: int
    largest_share: float
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
    areas = component_areas(mesh)
    is_closed = bool(mesh.is_watertight)
    low, high = mesh.bounds
    return MeshFacts(
        vertices=len(mesh.vertices),
        faces=len(mesh.faces),
        components=len(areas),
        largest_share=float(areas.max() / max(areas.sum(), 1e-300)),
        is_watertight=is_closed,
        volume=float(abs(mesh.volume)) if is_closed else None,
        area=float(areas.sum()),
        size=tuple(float(side) for side in high - low),
    )


def component_areas(mesh: trimesh.Trimesh) -> np.ndarray:
    """(c,) areas of the pieces that have faces."""
    n = len(mesh.vertices)
    starts, ends = mesh.faces[:, [0, 1]].ravel(), mesh.faces[:, [1, 2]].ravel()
    edges = coo_matrix((np.ones(len(starts), bool), (starts, ends)), shape=(n, n))
    piece_of_face = connected_components(edges, directed=False)[1][mesh.faces[:, 0]]
    pieces, piece_of_face = np.unique(piece_of_face, return_inverse=True)
    return np.bincount(piece_of_face, weights=mesh.area_faces, minlength=len(pieces))
