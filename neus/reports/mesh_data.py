"""A mesh as few bytes for a page: quantised, ordered so that neighbours are adjacent, differences, gzip.

Layout of the bytes, all little planes first (a number of two bytes is a plane of its low bytes, then one of its high bytes):

    codes      4 planes of 3 m bytes: corner c of the faces refers to vertex `high - code`, where `high` counts the codes of 0 so far
    positions  x, y, z each: 2 planes of n bytes: zigzag differences modulo 2^16 of steps from `low`
    normals    2 planes of n bytes: octahedral coordinates, 8 bits each (Cigolle et al. 2014)
    colors     3 planes of n bytes, differences modulo 2^8; where `has_colors`
    uv         u, v each: as positions; where `has_uv`
    frusta     5 points of 3 float32 for each camera, from the middle of the mesh's box: the centre, then the image's corners
"""

import gzip
from dataclasses import dataclass
from typing import Any

import numpy as np
import trimesh

from neus.meshing.color_transfer import texture_of, vertex_colors_of

# Steps along the longest side of the box: a 65535th of a statue of 2 m is 0.03 mm.
STEPS = 2**16 - 1
# Cells along each axis for ordering faces; 10 bits are finer than the faces of a mesh that a page can hold.
ORDER_BITS = 10


@dataclass(frozen=True)
class PackedMesh:
    """A mesh and cameras as a page holds them.

    Attributes:
        header: counts and the numbers that lead back from steps to world units.
        data: the bytes of the layout above, compressed with gzip.
    """

    header: dict[str, Any]
    data: bytes


def packed_mesh(mesh: trimesh.Trimesh, frusta: np.ndarray | None = None) -> PackedMesh:
    """The faces of a mesh, and cameras as frusta (C, 5, 3), in the mesh's frame; vertices without faces are left out.

    Positions are off by half a `step` at most along each axis; faces keep the sense in which they run.
    """
    faces, used = _ordered(mesh)
    vertices = mesh.vertices.view(np.ndarray)[used]
    low, high = vertices.min(axis=0), vertices.max(axis=0)
    step = max(float((high - low).max()) / STEPS, 1e-300)
    steps = np.rint((vertices - low) / step).astype(np.int64)
    texture, colors = texture_of(mesh), vertex_colors_of(mesh)
    parts = [_planes(_codes(faces), 4), *(_differences(axis) for axis in steps.T)]
    parts += [np.ascontiguousarray(_octahedral(np.asarray(mesh.vertex_normals)[used]).T)]
    header = {"vertices": len(used), "faces": len(faces), "low": low.tolist(), "step": step, "high": high.tolist()}
    header |= {"has_colors": texture is None and colors is not None, "has_uv": texture is not None}
    if texture is not None:
        uv = texture[1][used]
        uv_low, uv_step = uv.min(axis=0), np.maximum(np.ptp(uv, axis=0) / STEPS, 1e-12)
        parts += [_differences(axis) for axis in np.rint((uv - uv_low) / uv_step).astype(np.int64).T]
        header |= {"uv_low": uv_low.tolist(), "uv_step": uv_step.tolist()}
    elif colors is not None:
        parts += [np.diff(colors[used], axis=0, prepend=0).astype(np.uint8).T.copy()]
    middle = (low + high) / 2
    relative = np.zeros((0, 5, 3)) if frusta is None else frusta - middle
    header["cameras"] = len(relative)
    parts += [relative.astype("<f4")]
    # Without a time in its head the same mesh gives the same page.
    return PackedMesh(header, gzip.compress(b"".join(part.tobytes() for part in parts), 9, mtime=0))


def _ordered(mesh: trimesh.Trimesh) -> tuple[np.ndarray, np.ndarray]:
    """Faces (m, 3) of renumbered vertices, near ones adjacent, and the old numbers (n,) of the new vertices, by first appearance."""
    faces, vertices = mesh.faces.view(np.ndarray), mesh.vertices.view(np.ndarray)
    centers = vertices[faces].mean(axis=1)
    low, size = centers.min(axis=0), max(float(np.ptp(centers, axis=0).max()), 1e-300)
    cells = ((centers - low) / size * (2**ORDER_BITS - 1)).astype(np.int64)
    key = np.zeros(len(faces), np.int64)
    for bit in range(ORDER_BITS):  # Morton's order
        for axis in range(3):
            key |= ((cells[:, axis] >> bit) & 1) << (3 * bit + axis)
    corners = faces[np.argsort(key, kind="stable")].ravel()
    old, first, inverse = np.unique(corners, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    return rank[inverse.ravel()].reshape(-1, 3), old[order]


def _codes(faces: np.ndarray) -> np.ndarray:
    """(3 m,) how far before the next new vertex each corner lies; 0 is that vertex itself."""
    corners = faces.ravel()
    seen = np.maximum.accumulate(corners)
    high = np.concatenate([[0], seen[:-1] + 1])
    return high - corners


def _differences(steps: np.ndarray) -> np.ndarray:
    """(2 n,) uint8: zigzag differences modulo 2^16 of whole numbers below 2^16."""
    delta = np.diff(steps, prepend=0).astype(np.uint16).view(np.int16).astype(np.int32)
    return _planes((delta << 1) ^ (delta >> 31), 2)


def _planes(numbers: np.ndarray, n_bytes: int) -> np.ndarray:
    return np.concatenate([(numbers >> (8 * byte) & 255).astype(np.uint8) for byte in range(n_bytes)])


def _octahedral(normals: np.ndarray) -> np.ndarray:
    """(n, 2) uint8: the sphere folded onto a square."""
    lengths = np.abs(normals).sum(axis=1, keepdims=True)
    flat = np.where(lengths > 0.0, normals, (0.0, 0.0, 1.0)) / np.where(lengths > 0.0, lengths, 1.0)
    signs = np.where(flat[:, :2] >= 0.0, 1.0, -1.0)
    folded = np.where(flat[:, 2:] < 0.0, (1.0 - np.abs(flat[:, 1::-1])) * signs, flat[:, :2])
    return np.rint((folded + 1.0) * 127.5).astype(np.uint8)
