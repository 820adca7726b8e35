"""Vertex colours from a colour field, each vertex seen along its normal."""

from collections.abc import Callable

import numpy as np
import torch
import trimesh
from torch import Tensor

from neus.errors import InputError


def color_vertices(
    mesh: trimesh.Trimesh,
    color: Callable[[Tensor, Tensor], Tensor],
    device: torch.device | str = "cpu",
    chunk: int = 2**16,
) -> trimesh.Trimesh:
    """The same mesh with a colour at each vertex: what is seen from straight in front of the surface.

    Args:
        mesh: scene frame; its vertex normals are the field's if `extract_mesh` was given a gradient.
        color: points (M, 3) and unit normals (M, 3), float32, to RGB (M, 3) in [0, 1]; the view goes along -normal.
        device: where the points are made.
        chunk: points in one call.

    Raises:
        InputError: a colour that is not a number.
    """
    # Once: with every look at its normals trimesh hashes the whole mesh to see whether they still hold.
    vertices, vertex_normals = mesh.vertices.view(np.ndarray), np.asarray(mesh.vertex_normals)
    colors = np.full((len(vertices), 4), 255, np.uint8)
    for first in range(0, len(colors), chunk):
        part = slice(first, first + chunk)
        points, normals = (
            torch.from_numpy(np.asarray(array[part], np.float32)).to(device) for array in (vertices, vertex_normals)
        )
        rgb = color(points, normals).detach()
        if not torch.isfinite(rgb).all():
            raise InputError(
                "vertex colours: the colour on the surface is NaN or infinite, expected RGB in [0, 1]; "
                "the training diverged: go back to an earlier checkpoint."
            )
        colors[part, :3] = (rgb.clamp(0.0, 1.0) * 255.0).round().byte().cpu().numpy()
    # Vertices, faces and normals are not changed after this, so both meshes may use them.
    colored = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
    colored.vertex_normals = vertex_normals
    colored.visual.vertex_colors = colors
    return colored
