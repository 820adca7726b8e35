"""What is done to an extracted shape before it is coloured: clipped, cleaned, simplified."""

from dataclasses import dataclass

from trimesh import Trimesh

from neus.errors import InputError
from neus.evaluation.surface import surface_difference
from neus.meshing.clean import clip_to_masks, largest_component, without_floaters
from neus.meshing.simplify import simplified
from neus.scenes.scene import Scene


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
