"""What is done to an extracted shape before it is coloured: cut to what is seen, clipped, cleaned, simplified."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor
from trimesh import Trimesh

from neus.errors import InputError
from neus.evaluation.surface import surface_difference
from neus.geometry.cameras import Camera
from neus.meshing.clean import clip_to_masks, cropped, largest_component, without_floaters
from neus.meshing.simplify import simplified
from neus.meshing.unseen import within_unit_sphere, without_unseen
from neus.meshing.visibility import SeenFacts, n_views_of_vertices, seen_facts
from neus.scenes.scene import Scene


@dataclass
class Finish:
    """What is done to a shape before it is coloured, in this order; call it with the mesh.

    Attributes:
        cameras: views that count as having seen something, in the frame of the mesh; none: visibility is not tested.
        unseen: `cut`, `keep` or `close`, from `unseen.chosen_unseen`; `cut` needs cameras.
        has_background: whether a background network renders what lies beyond the unit sphere; `cut` leaves nothing there.
        box: (2, 3) corners in the world to which the mesh is cropped; None does not.
        to_box_frame: (4, 4) from the mesh's frame to that of the box.
        scene: its masks are used, in the frame of the mesh; None if not needed.
        clip_px: cut off what lies outside the masks, grown by so many pixels; None does not.
        clean: drop floating pieces, by the masks if there are any, and by size.
        keep_largest: drop all pieces but the largest.
        target_faces: simplify to about so many; None does not.
        seen: after a call with cameras, how much of the surface as found they have seen.
        moved: after a call, mean and greatest distance by which simplifying moved the surface; None if it did not.
    """

    scene: Scene | None = None
    clip_px: int | None = None
    clean: bool = False
    keep_largest: bool = False
    target_faces: int | None = None
    cameras: Sequence[Camera] = ()
    unseen: str = "close"
    has_background: bool = False
    box: np.ndarray | None = None
    to_box_frame: Tensor | None = None
    seen: SeenFacts | None = None
    moved: tuple[float, float] | None = None

    @property
    def closes_at_border(self) -> bool:
        """Whether the mesh is to be closed along the faces of the region's box."""
        return self.unseen == "close"

    def facts(self) -> dict[str, Any]:
        """What was done with what is unseen and how much was seen, for JSON."""
        return {"unseen": self.unseen} | ({} if self.seen is None else self.seen.as_dict())

    def __call__(self, mesh: Trimesh) -> Trimesh:
        """The finished shape.

        Raises:
            InputError: nothing is left, or clipping without masks.
        """
        if self.unseen == "cut" and self.has_background:
            mesh = within_unit_sphere(mesh)
        if self.cameras:
            n_views = n_views_of_vertices(mesh, self.cameras)
            self.seen = seen_facts(mesh, n_views)
            if self.unseen == "cut":
                mesh = without_unseen(mesh, n_views)
        if self.box is not None:
            mesh = cropped(mesh, self.box, self.to_box_frame)
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


def seen_line(finish: Finish) -> str:
    """For the line about a mesh: how much of the surface two views have seen, and what became of the rest; empty if not known."""
    if finish.seen is None:
        return ""
    rest = {"cut": "the rest is cut", "keep": "the rest is kept", "close": "the rest is closed over"}[finish.unseen]
    return f", {100 * finish.seen.fraction_seen:.0f} % seen by two views ({rest})"
