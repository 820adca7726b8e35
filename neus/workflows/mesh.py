"""The mesh of a trained model: extracted, cleaned, simplified, coloured, in world units."""

from collections.abc import Callable

from trimesh import Trimesh

from neus.errors import InputError
from neus.meshing.files import in_world
from neus.meshing.of_model import surface_mesh
from neus.meshing.unseen import chosen_unseen
from neus.rendering.model import Model
from neus.scenes.scene import Scene
from neus.workflows.finish import Finish

RESOLUTION = 512


def extract_mesh(
    model: Model,
    resolution: int = RESOLUTION,
    clean: bool = True,
    frame: str = "world",
    target_faces: int | None = None,
    unseen: str = "auto",
    scene: Scene | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Trimesh:
    """The surface of a model as a mesh with the field's normals and colours.

    Args:
        model: trained.
        resolution: lattice points along each axis of the object's box.
        clean: drop floating pieces, by size.
        frame: `world` for the data set's own unit, or `scene`.
        target_faces: simplify to about so many triangles; None does not.
        unseen: what becomes of surface that fewer than two views have seen: `cut` removes it, `keep` leaves it, open where it leaves
            the box, `close` closes it there; `auto` cuts unless the views go all round. Without a scene `auto` closes.
        scene: in the frame of the model (`Run.scene`), for its views.
        on_progress: called with (blocks done, blocks in all).

    Raises:
        InputError: no surface, another frame, a model that does not know its world, or cutting without a scene.
    """
    if frame not in ("world", "scene"):
        raise InputError(f"frame {frame!r}: expected world or scene.")
    # Requested first: extraction may take minutes.
    scene_to_world = model.known_world() if frame == "world" else None
    cameras = [] if scene is None else [scene.camera(view) for view in range(len(scene))]
    chosen = chosen_unseen(unseen, cameras)
    needed = cameras if chosen == "cut" else []
    finish = Finish(
        clean=clean, target_faces=target_faces, cameras=needed, unseen=chosen, has_background=model.has_background
    )
    mesh = surface_mesh(model, resolution, 0.0, on_progress, finish, finish.closes_at_border)
    return mesh if scene_to_world is None else in_world(mesh, scene_to_world)
