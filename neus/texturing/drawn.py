"""A textured mesh as a camera sees it, drawn by the rasteriser."""

from typing import NamedTuple

import cv2
import numpy as np
import torch
import trimesh
from numpy.typing import NDArray

from neus.geometry.cameras import Camera, project
from neus.kernels.dispatch import kernels_for
from neus.kernels.raster_depth.reference import barycentric_weights
from neus.texturing.levels import bytes_of_light, linear
from neus.texturing.textured_mesh import TexturedMesh

# Rows that `cv2.remap` takes at a time.
ROWS = 1 << 14


def drawn(mesh: TexturedMesh, camera: Camera) -> tuple[NDArray, NDArray]:
    """(H, W, 3) uint8 of a textured mesh, black where there is none, and (H, W) bool where it is.

    Texels are interpolated bilinearly at the pixels' centres, from a texture that is halved until a texel is not smaller than half a pixel.

    Args:
        mesh: in the frame of the camera.
        camera: whose pixels are drawn.
    """
    seen = _seen(mesh.surface, camera)
    image = np.zeros((*seen.covers.shape, 3), np.uint8)
    if len(seen.faces):
        uvs = np.einsum("pi,pic->pc", seen.weights, mesh.uvs[mesh.faces[seen.faces]])
        image[seen.covers] = _texels_at(_halved(mesh, seen), uvs)
    return image, seen.covers


def drawn_vertices(mesh: trimesh.Trimesh, camera: Camera) -> tuple[NDArray, NDArray]:
    """The same of a mesh with sRGB colours at its vertices, interpolated in linear light."""
    seen = _seen(mesh, camera)
    image = np.zeros((*seen.covers.shape, 3), np.uint8)
    colors = linear(np.asarray(mesh.visual.vertex_colors)[:, :3] / 255.0)
    image[seen.covers] = bytes_of_light(np.einsum("pi,pic->pc", seen.weights, colors[np.asarray(mesh.faces)[seen.faces]]))
    return image, seen.covers


class _Seen(NamedTuple):
    """What a camera sees of a mesh: `covers` (H, W); for the p pixels where it is True `faces` (p,) and, in space, barycentric
    `weights` (p, 3); and `corners` (m, 3, 2), the pixels of all faces."""

    covers: NDArray
    faces: NDArray
    weights: NDArray
    corners: NDArray


def _seen(mesh: trimesh.Trimesh, camera: Camera) -> _Seen:
    pixels, depth = (x.numpy() for x in project(torch.from_numpy(np.array(mesh.vertices, np.float64)), camera))
    with np.errstate(divide="ignore"):
        corners = np.column_stack([pixels, np.where(depth > 0.0, 1.0 / depth, 0.0)])
    faces = np.ascontiguousarray(mesh.faces, np.int64)
    draw = kernels_for("raster_depth", torch.device("cpu")).foremost_triangles
    numbers = draw(corners, faces, camera.width, camera.height)[1]
    covers = numbers >= 0
    row, column = np.nonzero(covers)
    chosen = numbers[covers]
    # Linear in the image is weight over depth.
    weights = barycentric_weights(corners, faces[chosen], column + 0.5, row + 0.5) * corners[faces[chosen], 2]
    return _Seen(covers, chosen, weights / weights.sum(axis=1, keepdims=True), pixels[faces])


def _halved(mesh: TexturedMesh, view: _Seen) -> NDArray:
    """The texture, halved while two of its texels are smaller than a pixel, in the median of the faces seen."""
    seen, texture = np.unique(view.faces), mesh.texture
    uvs, places = mesh.uvs[mesh.faces[seen]], view.corners[seen]
    areas = []
    for triangles in (uvs, places):
        first, second = triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0]
        areas.append(np.abs(first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]))
    known = (areas[0] > 0) & (areas[1] > 0)
    texels = float(np.sqrt(np.median(areas[0][known] / areas[1][known]))) * len(texture) if known.any() else 1.0
    while texels >= 2.0 and len(texture) > 1:
        texture, texels = cv2.resize(texture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA), texels / 2.0
    return texture


def _texels_at(texture: NDArray, uvs: NDArray) -> NDArray:
    """(p, 3) uint8 of a texture at uvs (p, 2)."""
    size, found = len(texture), np.empty((len(uvs), 3), np.uint8)
    places = (uvs * size - 0.5).astype(np.float32)
    for start in range(0, len(uvs), ROWS):
        x, y = places[start : start + ROWS].T
        part = cv2.remap(texture, x[:, None].copy(), y[:, None].copy(), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        found[start : start + ROWS] = part[:, 0]
    return found
