"""A mesh drawn from six sides: parallel projection, light from beside the camera."""

import cv2
import numpy as np
import torch
import trimesh
from numpy.typing import NDArray

from neus.kernels.dispatch import kernels_for
from neus.kernels.raster_depth.reference import barycentric_weights

# Around the object as an onlooker goes, then from above and from below.
SIDES = ("front", "right", "back", "left", "top", "bottom")
# Drawn so many times larger than shown, then averaged: edges come out smooth.
OVERSAMPLING = 2
# Fraction of the image that the object takes on the side where it is longest.
FILL = 0.94
# Where light comes from in the camera's axes (right, up, towards the viewer), how strong, and what is there without any.
LIGHTS, AMBIENT = (((-0.5, 0.7, 0.6), 0.62), ((0.8, 0.1, 0.5), 0.16)), 0.07
# Plaster outside; the inside, seen through a hole, is red.
OUTSIDE, INSIDE = (0.93, 0.92, 0.89), (0.80, 0.32, 0.26)


def six_sides(
    mesh: trimesh.Trimesh, up: NDArray, front: NDArray, size: int = 300, extent: NDArray | None = None
) -> dict[str, NDArray]:
    """An image (size, size, 4) uint8 RGBA of each of SIDES, all at one scale, transparent where nothing is.

    Args:
        mesh: in any frame; its vertex normals are used as they are.
        up, front: (3,) in the mesh's frame: the vertical, and from the object to an onlooker before it.
        size: pixels each way.
        extent: (2, 3) corners that the images show, from `upright_extent`, to draw several meshes alike; the mesh's own if None.
    """
    views = side_axes(np.asarray(up, np.float64), np.asarray(front, np.float64))
    upright = views["front"]
    placed = np.asarray(mesh.vertices) @ upright.T
    corners = placed if extent is None else extent
    low, high = corners.min(axis=0), corners.max(axis=0)
    scale = FILL * size * OVERSAMPLING / max(float((high - low).max()), 1e-12)
    vertices = (placed - (low + high) / 2) * scale
    normals, faces = np.asarray(mesh.vertex_normals) @ upright.T, np.ascontiguousarray(mesh.faces, np.int64)
    turns = {side: axes @ upright.T for side, axes in views.items()}
    return {side: _drawn(vertices @ turn.T, normals @ turn.T, faces, size) for side, turn in turns.items()}


def oblique_view(
    mesh: trimesh.Trimesh, up: NDArray, toward: NDArray, size: int = 300, radius: float = 1.0
) -> NDArray:
    """An image (size, size, 4) uint8 RGBA of a mesh from one direction, such that a ball about the origin fills it.

    Args:
        mesh: in any frame; its vertex normals are used as they are.
        up: (3,) the vertical, upwards in the image.
        toward: (3,) from the object to the onlooker; need not be perpendicular to `up`.
        size: pixels each way.
        radius: of that ball, in the mesh's units.
    """
    toward = np.asarray(toward, np.float64) / np.linalg.norm(toward)
    right = np.cross(np.asarray(up, np.float64), toward)
    right /= np.linalg.norm(right)
    axes = np.stack([right, np.cross(toward, right), toward])
    scale = FILL * size * OVERSAMPLING / (2.0 * radius)
    vertices, normals = np.asarray(mesh.vertices) @ axes.T * scale, np.asarray(mesh.vertex_normals) @ axes.T
    return _drawn(vertices, normals, np.ascontiguousarray(mesh.faces, np.int64), size)


def upright_extent(mesh: trimesh.Trimesh, up: NDArray, front: NDArray) -> NDArray:
    """(2, 3) the corners of a mesh along the axes of the onlooker before it, as `six_sides` takes them."""
    placed = np.asarray(mesh.vertices) @ side_axes(np.asarray(up, np.float64), np.asarray(front, np.float64))["front"].T
    return np.stack([placed.min(axis=0), placed.max(axis=0)])


def prepare_drawing() -> None:
    """Compiles what draws, once; later calls find it compiled."""
    six_sides(trimesh.creation.box(), np.array([0.0, 0.0, 1.0]), np.array([0.0, -1.0, 0.0]), 8)


def side_axes(up: NDArray, front: NDArray) -> dict[str, NDArray]:
    """Rows right, up and towards the viewer, (3, 3), of the onlooker at each of SIDES.

    >>> axes = side_axes(np.array([0.0, 0.0, 2.0]), np.array([0.0, -1.0, 0.3]))
    >>> axes["front"].tolist()
    [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]]
    """
    up = up / np.linalg.norm(up)
    ahead = front - (front @ up) * up
    if np.linalg.norm(ahead) < 1e-6 * max(np.linalg.norm(front), 1e-12):  # seen from above: any side is the front
        ahead = np.cross(up, np.eye(3)[np.abs(up).argmin()])
    ahead = ahead / np.linalg.norm(ahead)
    right = np.cross(up, ahead)
    views = {
        "front": (right, up, ahead),
        "right": (-ahead, up, right),
        "back": (-right, up, -ahead),
        "left": (ahead, up, -right),
        "top": (right, -ahead, up),
        "bottom": (right, ahead, -up),
    }
    return {side: np.stack(views[side]) + 0.0 for side in SIDES}


def _drawn(vertices: NDArray, normals: NDArray, faces: NDArray, size: int) -> NDArray:
    """One image of vertices (n, 3), in large pixels along (right, up, towards the viewer) about the middle."""
    large = size * OVERSAMPLING
    points = vertices * (1.0, -1.0, 1.0) + (large / 2, large / 2, 1.0 - vertices[:, 2].min())
    _, number = kernels_for("raster_depth", torch.device("cpu")).foremost_triangles(points, faces, large, large)
    rows, columns = np.nonzero(number >= 0)
    seen = faces[number[rows, columns]]
    weights = barycentric_weights(points, seen, columns + 0.5, rows + 0.5)
    sides = points[seen[:, 1:], :2] - points[seen[:, :1], :2]
    # y points down: the outside turns the other way.
    is_inside = sides[:, 0, 0] * sides[:, 1, 1] > sides[:, 0, 1] * sides[:, 1, 0]
    premultiplied = np.zeros((large, large, 4), np.float32)
    premultiplied[rows, columns, :3] = _lit((weights[..., None] * normals[seen]).sum(axis=1), is_inside)
    premultiplied[rows, columns, 3] = 1.0
    small = cv2.resize(premultiplied, (size, size), interpolation=cv2.INTER_AREA)
    small[..., :3] = np.sqrt(
        small[..., :3] / np.maximum(small[..., 3:], 1e-6)
    )  # light adds up linearly, screens do not
    return (small.clip(0.0, 1.0) * 255.0).round().astype(np.uint8)


def _lit(normal: NDArray, is_inside: NDArray) -> NDArray:
    """(p, 3) linear colours of points with normals (p, 3), (p,) bool: whether their inside is seen."""
    normal, is_inside = np.where(is_inside[:, None], -normal, normal), is_inside[:, None]
    normal = normal / np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-12)
    light = np.full((len(normal), 1), AMBIENT)
    for direction, strength in LIGHTS:
        toward = np.asarray(direction) / np.linalg.norm(direction)
        light += strength * np.maximum(normal @ toward, 0.0)[:, None]
    return np.where(is_inside, INSIDE, OUTSIDE) * np.minimum(light, 1.0)
