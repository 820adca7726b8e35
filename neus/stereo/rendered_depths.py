"""A surface as views see it: depths of its foremost triangle at each pixel."""

import numpy as np
import torch
import trimesh
from numpy.typing import NDArray

from neus.kernels.dispatch import kernels_for
from neus.kernels.threads import run_tasks
from neus.meshing.cubes import marching_cubes
from neus.stereo.stereo_views import StereoView

# Cells along each side of the blocks that are tested for surface: most hold none.
BLOCK = 32
# Depth below which a vertex counts as behind the camera, scene units.
LEAST_DEPTH = 1e-6


def rendered_depths(surface: NDArray | trimesh.Trimesh, views: list[StereoView]) -> list[NDArray]:
    """(H, W) float32 depths of a surface in each view, NaN where it does not appear.

    Triangles with a corner behind the camera are left out.

    Args:
        surface: (P, P, P) signed distances at vertices linspace(-1, 1, P), indexed [x, y, z], or a mesh in scene units.
        views: any.
    """
    vertices, faces = triangles_of(surface)
    draw = kernels_for("raster_depth", torch.device("cpu")).foremost_triangles
    found: list[NDArray] = [np.empty(0)] * len(views)

    def see(index: int) -> None:
        height, width = views[index].grey.shape
        matrix = views[index].matrix
        projected = vertices @ matrix[:, :3].T + matrix[:, 3]
        nearness = np.where(projected[:, 2] > LEAST_DEPTH, 1.0 / np.maximum(projected[:, 2], LEAST_DEPTH), 0.0)
        # The kernel has pixel centres at +0.5.
        corners = np.column_stack([projected[:, :2] * nearness[:, None] + 0.5, nearness])
        rendered, _ = draw(corners, faces, width, height)
        with np.errstate(divide="ignore"):
            found[index] = np.where(rendered > 0.0, 1.0 / rendered, np.nan).astype(np.float32)

    run_tasks(see, [(index,) for index in range(len(views))])
    return found


def triangles_of(surface: NDArray | trimesh.Trimesh) -> tuple[NDArray, NDArray]:
    """Vertices (n, 3) float64, scene units, and faces (m, 3) of a lattice's zeros or of a mesh.

    A vertex on a face between two blocks of the lattice stands there twice: these are triangles, not a closed mesh.
    """
    if isinstance(surface, trimesh.Trimesh):
        return np.asarray(surface.vertices, np.float64), np.asarray(surface.faces, np.int64)
    vertices, faces, n_vertices = [np.empty((0, 3))], [np.empty((0, 3), np.int64)], 0
    for corner, values in _blocks(surface):
        v, f = marching_cubes(values)
        vertices.append(v + corner)
        faces.append(f.astype(np.int64) + n_vertices)
        n_vertices += len(v)
    return np.concatenate(vertices) * (2.0 / (len(surface) - 1)) - 1.0, np.concatenate(faces)


def _blocks(values: NDArray) -> list[tuple[NDArray, NDArray]]:
    """Lower corners and values of the blocks that hold surface."""
    starts = range(0, len(values) - 1, BLOCK)
    blocks = []
    for x in starts:
        for y in starts:
            for z in starts:
                block = values[x : x + BLOCK + 1, y : y + BLOCK + 1, z : z + BLOCK + 1]
                if block.min() < 0.0 < block.max():
                    # A zero has no side: it counts as just outside.
                    block = np.where(block == 0.0, np.finfo(np.float32).tiny, block).astype(np.float64)
                    blocks.append((np.array([x, y, z], np.float64), block))
    return blocks
