"""The surface of a trained model as a coloured mesh."""

from collections.abc import Callable

import torch
from trimesh import Trimesh

from neus.meshing.color import color_vertices
from neus.meshing.extract import extract_mesh
from neus.rendering.model import Model, in_chunks
from neus.rendering.queries import CHUNK, fastest_sdf

def surface_mesh(
    model: Model, resolution: int, threshold: float = 0.0, on_progress: Callable[[int, int], None] | None = None
) -> Trimesh:
    """The coloured mesh of a model in the scene frame, with the field's normals.

    Args:
        model: trained.
        resolution: lattice points along each axis of the object's box.
        threshold: the surface is sdf = -threshold, scene units.
        on_progress: called with (blocks done, blocks in all).

    Raises:
        InputError: no surface in the box.
    """
    mesh = extract_mesh(
        fastest_sdf(model),
        model.box.to(model.device, torch.float32),  # MPS has no float64
        resolution,
        level=threshold,
        gradient=in_chunks(model.gradient, CHUNK),
        on_progress=on_progress,
    )
    return color_vertices(mesh, in_chunks(model.surface_color, CHUNK), model.device)
