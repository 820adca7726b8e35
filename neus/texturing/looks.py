"""What one view sees of a surface: depths, and how far each pixel lies from whatever may be wrong there."""

from typing import NamedTuple

import cv2
import numpy as np
import torch
import trimesh
from numpy.typing import NDArray

from neus.geometry.cameras import Camera, project
from neus.meshing.visibility import mesh_depth

# Depths are drawn at most this wide and high: occlusions are known to a pixel or two of the images.
LONGEST_SIDE = 1024
# A step in depth counts from so many pixel widths on; within a plane nearness is linear, however slanted.
JUMP_PIXELS = 5.0
# Within so many pixels of a jump, of the mask's border and of the image's, colours may be those of something else; from there on the
# weight grows over so many.
MARGIN, FADE = 2.0, 16.0
# Where no view sees better, what lies within the margin is better than nothing: so much of its weight remains.
REMAINS = 1e-3
# Of the depth: rounding, and the bend of the surface within a pixel.
TOLERANCE = 2e-3
# Seen at a more grazing angle than 75 degrees (Waechter et al. 2014) a pixel covers four times its width.
LEAST_COSINE = 0.26


class Look(NamedTuple):
    """A view of a surface.

    Attributes:
        camera: of the image, at its full size.
        depths: (h, w) float32 of the foremost surface on a raster of at most LONGEST_SIDE; infinite for none.
        clear: (h, w) float32, from REMAINS at whatever may be wrong to 1; 0 outside of the mask, and in the
            pixel beside it, which mixes both.
    """

    camera: Camera
    depths: NDArray
    clear: NDArray


def look(mesh: trimesh.Trimesh, camera: Camera, mask: NDArray | None) -> Look:
    """What a camera sees of a mesh, its object mask (H, W) given or not."""
    small = camera.scaled(min(1.0, LONGEST_SIDE / max(camera.width, camera.height)))
    depths = mesh_depth(mesh, small).astype(np.float32)
    with np.errstate(divide="ignore"):
        nearness = 1.0 / depths
    is_doubtful = _bends(nearness) > JUMP_PIXELS / float(small.intrinsics[0, 0]) * nearness
    is_doubtful[[0, -1]] = is_doubtful[:, [0, -1]] = True
    outside = np.zeros_like(is_doubtful)
    if mask is not None:
        soft = cv2.resize(mask.astype(np.uint8) * 255, (small.width, small.height), interpolation=cv2.INTER_AREA)
        outside = soft <= 127
    away = cv2.distanceTransform((~(is_doubtful | outside)).astype(np.uint8), cv2.DIST_L2, 5)
    rising = np.clip((away - MARGIN) / FADE, 0.0, 1.0)
    beside = cv2.dilate(outside.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    clear = np.where(beside, 0.0, np.maximum(rising * rising * (3.0 - 2.0 * rising), REMAINS))
    return Look(camera, depths, clear.astype(np.float32))


def _bends(nearness: NDArray) -> NDArray:
    """(h, w) the largest second difference along rows and columns: 0 within a plane."""
    bends = np.zeros_like(nearness)
    rows = np.abs(nearness[2:] - 2.0 * nearness[1:-1] + nearness[:-2])
    columns = np.abs(nearness[:, 2:] - 2.0 * nearness[:, 1:-1] + nearness[:, :-2])
    bends[1:-1] = rows
    bends[:, 1:-1] = np.maximum(bends[:, 1:-1], columns)
    return bends


class SeenVertices(NamedTuple):
    """What a view sees at the vertices of a surface.

    Attributes:
        quality: (n,) float32, pixels of the image on a unit of area times the cosine, times `clear`; 0 for what is not seen.
        x, y: (n,) where they fall into the raster of the depths, pixels with centres at +0.5.
    """

    quality: NDArray
    x: NDArray
    y: NDArray


def seen_vertices(seen: Look, vertices: NDArray, normals: NDArray) -> SeenVertices:
    """How well a view sees vertices (n, 3) with unit normals (n, 3)."""
    height, width = seen.depths.shape
    camera = seen.camera
    pixels, depth = (values.numpy() for values in project(torch.from_numpy(vertices), camera))
    x, y = pixels[:, 0] * (width / camera.width), pixels[:, 1] * (height / camera.height)
    towards = np.asarray(camera.center, np.float64) - vertices
    cosine = np.einsum("ij,ij->i", towards, normals) / np.maximum(np.linalg.norm(towards, axis=1), 1e-12)
    with np.errstate(invalid="ignore"):
        counts = (depth > 0) & (cosine > LEAST_COSINE) & (x >= 0) & (y >= 0) & (x < width) & (y < height)
    x, y = np.where(counts, x, 0.0), np.where(counts, y, 0.0)
    column, row = np.floor(x - 0.5).astype(int), np.floor(y - 0.5).astype(int)
    left, right = np.maximum(column, 0), np.minimum(column + 1, width - 1)
    top, bottom = np.maximum(row, 0), np.minimum(row + 1, height - 1)
    around = np.max([seen.depths[r, c] for r in (top, bottom) for c in (left, right)], axis=0)
    counts &= depth <= around * (1.0 + TOLERANCE)
    focal = float(camera.intrinsics[[0, 1], [0, 1]].mean())
    density = (focal / np.where(counts, depth, 1.0)) ** 2 * cosine
    clear = seen.clear[y.astype(int), x.astype(int)]
    return SeenVertices(np.where(counts, density * cosine * clear, 0.0).astype(np.float32), x, y)
