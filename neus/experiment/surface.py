"""The surface of a trained model as a coloured mesh: extracted, cleaned, simplified, then given normals and colours."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from trimesh import Trimesh

from neus.datasets.scene import Scene
from neus.errors import InputError
from neus.evaluation.surface import surface_difference
from neus.meshing.clean import clip_to_masks, largest_component, without_floaters
from neus.meshing.color import color_vertices
from neus.meshing.extract import extract_mesh, vertex_normals_from_gradient
from neus.meshing.simplify import simplified
from neus.rendering.model import Model, in_chunks
from neus.rendering.queries import CHUNK, fastest_sdf, is_fused

# Samples for the bound on the slope: where they cost milliseconds, so many that hardly any steeper place is missed.
BOUND_SAMPLES_FUSED = 2**16


@dataclass
class Finish:
    """What is done to a shape before it is coloured, in this order; call it with the mesh.

    Attributes:
        scene: its masks are used, in the frame of the mesh; None if nothing asks for them.
        clip_px: cut off what lies outside the masks, grown by so many pixels; None does not.
        clean: drop floating pieces, by the masks if there are any, and by size.
        keep_largest: drop all pieces but the largest.
        target_faces: simplify to about so many; None does not.
        moved: after a call, mean and greatest distance by which simplifying moved the surface; None if it did not.
    """

    scene: Scene | None = None
    clip_px: int | None = None
    clean: bool = False
    keep_largest: bool = False
    target_faces: int | None = None
    moved: tuple[float, float] | None = None

    def __call__(self, mesh: Trimesh) -> Trimesh:
        """The finished shape.

        Raises:
            InputError: nothing is left, or clipping without masks.
        """
        views, masks = [], []
        if self.scene is not None and self.scene.masks is not None:
            views, masks = [self.scene.camera(v) for v in range(len(self.scene))], self.scene.masks
        if self.clip_px is not None:
            if not views:
                raise InputError(
                    f"--clip-to-masks: the scene{f' in {self.scene.source}' if self.scene else ''} has no masks."
                )
            mesh = clip_to_masks(mesh, views, masks, self.clip_px)
        if self.clean:
            mesh = without_floaters(mesh, views, masks)
        if self.keep_largest:
            mesh = largest_component(mesh)
        return mesh if self.target_faces is None else self._simplified(mesh)

    def _simplified(self, mesh: Trimesh) -> Trimesh:
        few = simplified(mesh, self.target_faces)
        self.moved = None if few is mesh else surface_difference(mesh, few)
        return few


def surface_mesh(
    model: Model,
    resolution: int,
    threshold: float = 0.0,
    on_progress: Callable[[int, int], None] | None = None,
    finish: Callable[[Trimesh], Trimesh] | None = None,
) -> Trimesh:
    """The coloured mesh of a model in the scene frame, with the field's normals.

    Args:
        model: trained.
        resolution: lattice points along each axis of the object's box.
        threshold: the surface is sdf = -threshold, scene units.
        on_progress: called with (blocks done, blocks in all).
        finish: from the shape as extracted to the one that is wanted; normals and colours are looked up for that.

    Raises:
        InputError: no surface in the box, or nothing left of it.
    """
    gradient = in_chunks(model.gradient, CHUNK)
    mesh = extract_mesh(
        fastest_sdf(model),
        model.box.to(model.device, torch.float32),  # MPS has no float64
        resolution,
        level=threshold,
        gradient=gradient,
        on_progress=on_progress,
        **({"bound_samples": BOUND_SAMPLES_FUSED} if is_fused(model) else {}),
    )
    if finish is not None:
        mesh = finish(mesh)
        mesh.vertex_normals = vertex_normals_from_gradient(mesh, gradient, model.device, CHUNK)
    return color_vertices(mesh, in_chunks(model.surface_color, CHUNK), model.device)
