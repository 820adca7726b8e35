"""The surface of a trained model as a coloured mesh: extracted, finished, then given normals and colours."""

from collections.abc import Callable

import torch
from trimesh import Trimesh

from neus.meshing.color import color_vertices
from neus.meshing.extract import extract_mesh, vertex_normals_from_gradient
from neus.rendering.model import Model, in_chunks
from neus.rendering.queries import CHUNK, is_fused, surface_functions

# Samples for the bound on the slope: where they cost milliseconds, so many that hardly any steeper point is missed.
BOUND_SAMPLES_FUSED = 2**16


def surface_mesh(
    model: Model,
    resolution: int,
    threshold: float = 0.0,
    on_progress: Callable[[int, int], None] | None = None,
    finish: Callable[[Trimesh], Trimesh] | None = None,
    close_at_border: bool = True,
) -> Trimesh:
    """The coloured mesh of a model in the scene frame, with the normals of its distances, `Model.correction` included.

    Args:
        model: trained.
        resolution: lattice points along each axis of the object's box.
        threshold: the surface is sdf = -threshold, scene units.
        on_progress: called with (blocks done, blocks in all).
        finish: from the shape as extracted to the one that is wanted; normals and colours are evaluated for that.
        close_at_border: as in `extract.extract_mesh`.

    Raises:
        InputError: no surface in the box, or nothing left of it.
    """
    sdf, gradient = surface_functions(model)
    mesh = extract_mesh(
        sdf,
        model.box.to(model.device, torch.float32),  # MPS has no float64
        resolution,
        level=threshold,
        gradient=gradient,
        close_at_border=close_at_border,
        on_progress=on_progress,
        **({"bound_samples": BOUND_SAMPLES_FUSED} if is_fused(model) else {}),
    )
    if finish is not None:
        mesh = finish(mesh)
        mesh.vertex_normals = vertex_normals_from_gradient(mesh, gradient, model.device, CHUNK)
    return color_vertices(mesh, in_chunks(model.surface_color, CHUNK), model.device)
