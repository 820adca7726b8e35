"""The signed distance to a closed triangle mesh, with the colours of its vertices."""

import numpy as np
import torch
import trimesh
from torch import Tensor

from neus.errors import InputError
from neus.geometry.similarity import similarity
from neus.kernels.dispatch import kernels_for
from neus.lod.teacher import Teacher
from neus.meshing.measures import is_closed

# The farthest vertex from the middle of the mesh's box: room for the band around the surface within the cube.
MESH_RADIUS = 0.9


def teacher_from_mesh(mesh: trimesh.Trimesh, name: str) -> Teacher:
    """The distance to a mesh, moved and scaled into a sphere of radius MESH_RADIUS; with its colours where vertices have some.

    Raises:
        InputError: a mesh without faces, or with open edges, which has no inside.
    """
    vertices, first, numbers = np.unique(np.asarray(mesh.vertices, np.float64), axis=0, return_index=True, return_inverse=True)
    faces = numbers.reshape(-1)[np.asarray(mesh.faces)]
    faces = faces[(faces != np.roll(faces, 1, axis=1)).all(axis=1)]
    if len(faces) == 0 or not is_closed(trimesh.Trimesh(vertices, faces, process=False)):
        raise InputError(
            f"{name}: {len(faces)} faces with open edges, or edges of more than two faces, so nothing tells inside from outside; "
            "give a closed mesh (neus mesh RUN --unseen close), or the run itself."
        )
    center = (vertices.min(axis=0) + vertices.max(axis=0)) / 2
    scale = float(np.linalg.norm(vertices - center, axis=1).max()) / MESH_RADIUS
    distance = MeshDistance((vertices - center) / scale, faces)
    colors = None
    if mesh.visual.kind == "vertex":
        colors = np.asarray(mesh.visual.vertex_colors)[first, :3] / 255.0
    color = None if colors is None else lambda points: distance.interpolated(points, colors)
    return Teacher(distance.sdf, color, similarity(scale, torch.from_numpy(center)), name=name)


class MeshDistance:
    """Signed distances to a closed mesh: to the nearest triangle, with the sign by its pseudo-normals.

    The sign is that of (p - q) . n at the nearest point q, n the angle-weighted mean of the normals of all faces at q: the face
    itself, the two along an edge, or all around a vertex (Baerentzen and Aanaes 2005).
    """

    def __init__(self, vertices: np.ndarray, faces: np.ndarray) -> None:
        self.vertices, self.faces = vertices, faces
        corners = vertices[faces]
        sides = np.roll(corners, -1, axis=1) - corners
        self.face_normals = _unit(np.cross(sides[:, 0], sides[:, 1]))
        directions = _unit(sides)
        # The angle at a corner lies between its own side and the side before, turned round.
        cosines = -(directions * np.roll(directions, 1, axis=1)).sum(axis=-1)
        weighted = np.arccos(cosines.clip(-1.0, 1.0))[..., None] * self.face_normals[:, None]
        self.vertex_normals = np.stack(
            [np.bincount(faces.ravel(), weighted[..., axis].ravel(), minlength=len(vertices)) for axis in range(3)], axis=1
        )
        starts, ends = faces, np.roll(faces, -1, axis=1)
        keys = np.minimum(starts, ends) * len(vertices) + np.maximum(starts, ends)
        _, edges = np.unique(keys, return_inverse=True)
        self.edges = edges.reshape(faces.shape)
        each = np.repeat(self.face_normals, 3, axis=0)
        self.edge_normals = np.stack([np.bincount(edges.ravel(), each[:, axis]) for axis in range(3)], axis=1)

    def sdf(self, points: Tensor) -> Tensor:
        """(M,) signed distances at points (M, 3), negative inside."""
        places = points.double().numpy()
        distances, numbers, weights = self._nearest(places)
        nearest = (weights[..., None] * self.vertices[self.faces[numbers]]).sum(axis=1)
        sides = ((places - nearest) * self._pseudo_normals(numbers, weights)).sum(axis=1)
        return torch.from_numpy(np.where(sides < 0.0, -distances, distances).astype(np.float32))

    def interpolated(self, points: Tensor, values: np.ndarray) -> Tensor:
        """(M, K) values (V, K) of the vertices at the nearest points of the mesh."""
        _, numbers, weights = self._nearest(points.double().numpy())
        return torch.from_numpy((weights[..., None] * values[self.faces[numbers]]).sum(axis=1).astype(np.float32))

    def _nearest(self, places: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        search = kernels_for("nearest_triangle", torch.device("cpu")).nearest_triangles
        distances, numbers = search(places, self.vertices, self.faces)
        return distances, numbers, barycentric_of_nearest(places, self.vertices[self.faces[numbers]])

    def _pseudo_normals(self, numbers: np.ndarray, weights: np.ndarray) -> np.ndarray:
        normals, is_used = self.face_normals[numbers].copy(), weights > 0.0
        on_edge, at_vertex = (is_used.sum(axis=1) == count for count in (2, 1))
        # The edge from corner i to the next is opposite to the corner before i.
        opposite = np.argmin(weights, axis=1)
        normals[on_edge] = self.edge_normals[self.edges[numbers, (opposite + 1) % 3][on_edge]]
        corner = np.argmax(weights, axis=1)
        normals[at_vertex] = self.vertex_normals[self.faces[numbers, corner][at_vertex]]
        return normals


def barycentric_of_nearest(points: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """(M, 3) weights of the corners of triangles (M, 3, 3) at the points nearest to points (M, 3); exactly zero beyond a side.

    The perpendicular's foot where it lies within; else the nearest of the points on the three sides.
    """
    a, b, c = triangles.transpose(1, 0, 2)
    weights = np.empty((len(points), 3))
    nearest = np.full(len(points), np.inf)
    for i, (start, end) in enumerate(((a, b), (b, c), (c, a))):
        side = end - start
        length = np.maximum((side * side).sum(axis=1), np.finfo(np.float64).tiny)
        along = (((points - start) * side).sum(axis=1) / length).clip(0.0, 1.0)
        squared = ((points - start - along[:, None] * side) ** 2).sum(axis=1)
        is_nearer = squared < nearest
        nearest[is_nearer] = squared[is_nearer]
        on_side = np.zeros_like(weights)
        on_side[:, i], on_side[:, (i + 1) % 3] = 1.0 - along, along
        weights[is_nearer] = on_side[is_nearer]
    normal = np.cross(b - a, c - a)
    area = np.maximum((normal * normal).sum(axis=1), np.finfo(np.float64).tiny)
    of_b = (np.cross(points - a, c - a) * normal).sum(axis=1) / area
    of_c = (np.cross(b - a, points - a) * normal).sum(axis=1) / area
    foot = np.stack([1.0 - of_b - of_c, of_b, of_c], axis=1)
    is_within = (foot > 0.0).all(axis=1)
    weights[is_within] = foot[is_within]
    return weights


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), np.finfo(np.float64).tiny)
