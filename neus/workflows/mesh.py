"""The mesh of a trained model: extracted, cleaned, simplified, coloured, in world units; in memory, or in a file."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from trimesh import Trimesh

from neus.errors import InputError
from neus.files import check_can_write
from neus.geometry.cameras import Camera
from neus.geometry.similarity import scale_of
from neus.meshing.files import SUFFIXES, in_world, write_mesh
from neus.meshing.measures import is_closed
from neus.meshing.of_model import surface_mesh
from neus.meshing.unseen import chosen_unseen
from neus.rendering.model import Model
from neus.runs.build import in_frame_of
from neus.runs.console import QUIET, Console
from neus.runs.run import Run
from neus.runs.run_folder import places_of_mesh
from neus.scenes.scene import Scene
from neus.training.checkpoint import checkpoints_in
from neus.workflows.finish import Finish, seen_line

RESOLUTION = 512
# Verticals by name; `auto` finds it from the cameras, `none` leaves the axes as they are.
AXES = {"x": (1, 0, 0), "y": (0, 1, 0), "z": (0, 0, 1), "-x": (-1, 0, 0), "-y": (0, -1, 0), "-z": (0, 0, -1)}


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
        scene: for its views; it is brought into the frame of the model, or taken for it where the model does not know its frame.
        on_progress: called with (blocks done, blocks in all).

    Raises:
        InputError: no surface, another frame, a model that does not know its world, or cutting without a scene.
    """
    _check_frame(frame)
    # Requested first: extraction may take minutes.
    scene_to_world = model.known_world() if frame == "world" else None
    scene = None if scene is None else in_frame_of(model, scene)
    cameras = [] if scene is None else [scene.camera(view) for view in range(len(scene))]
    chosen = chosen_unseen(unseen, cameras)
    needed = cameras if chosen == "cut" else []
    finish = Finish(
        clean=clean, target_faces=target_faces, cameras=needed, unseen=chosen, has_background=model.has_background
    )
    mesh = surface_mesh(model, resolution, 0.0, on_progress, finish, finish.closes_at_border)
    return mesh if scene_to_world is None else in_world(mesh, scene_to_world)


def write_mesh_of_run(
    run: Run,
    out: Path | None = None,
    resolution: int = RESOLUTION,
    threshold: float = 0.0,
    clean: bool = False,
    keep_largest: bool = False,
    clip_px: int | None = None,
    box: Sequence[Sequence[float]] | None = None,
    target_faces: int | None = None,
    frame: str = "world",
    up: str = "auto",
    unseen: str = "auto",
    device: str = "auto",
    console: Console = QUIET,
) -> Path:
    """Writes the mesh of a run to a file and returns its path; one line for what was made of it goes to the console.

    Args:
        run: whose model; its scene is needed for masks, for `unseen="cut"`, and where the model does not know its world.
        out: file ending in .ply, .obj, .glb or .stl, not RUN/mesh.ply for the scene frame; None is `default_mesh_path`.
        resolution: lattice points along each axis of the object's box.
        threshold: the surface is sdf = -threshold, scene units.
        clean: drop floating pieces, by masks where the scene has them, and by size.
        keep_largest: drop all pieces but the largest.
        clip_px: cut off what lies outside the masks, grown by so many pixels; None does not.
        box: two corners in the world to which the mesh is cropped; None does not.
        target_faces: simplify to about so many triangles; None does not.
        frame: `world` for the data set's own unit, or `scene`.
        up: the vertical of the world, which GLB files have along +Y: `auto`, `none` or one of AXES; other formats are not turned.
        unseen: what becomes of surface that fewer than two views have seen, as in `extract_mesh`.
        device: as `--device`.
        console: where messages and progress go.

    Raises:
        InputError: no surface, a file that cannot be written, or a scene that is needed and not there.
    """
    _check_frame(frame)
    out = out or default_mesh_path(run, frame)
    if out.suffix.lower() not in SUFFIXES:
        raise InputError(f"--out {out}: unknown mesh format; name the file {', '.join(SUFFIXES)}.")
    box = None if box is None else np.asarray(box, np.float64)
    if box is not None and not (box[0] < box[1]).all():
        raise InputError(f"--bbox {' '.join(f'{x:g}' for x in box.flat)}: expected the lower corner, then the upper one.")
    if frame == "scene" and out.resolve() in {path.resolve() for path in places_of_mesh(run.path)}:
        raise InputError(
            f"--out {out}: the run's mesh in world units lies there, which --frame scene must not replace; choose another name."
        )
    check_can_write(out)
    model, needs_masks, is_world = run.model(device), clean or clip_px is not None, frame == "world"
    is_lost = model.scene_to_world is None and (is_world or box is not None)
    scene, reason = _scene_of(run, is_needed=needs_masks or is_lost or unseen == "cut")
    if model.scene_to_world is None and scene is not None:
        model.scene_to_world, model.box = scene.scene_to_world, scene.box
    if scene is None and unseen == "auto":
        console.message(f"the views are not known, so what they have not seen is closed over ({reason})")
    cameras = [] if scene is None else training_cameras(run, scene)
    finish = Finish(
        scene=scene if needs_masks else None,
        clip_px=clip_px,
        clean=clean,
        keep_largest=keep_largest,
        target_faces=target_faces,
        cameras=cameras,
        unseen=chosen_unseen(unseen, cameras),
        has_background=model.has_background,
        box=box,
        to_box_frame=model.scene_to_world,
    )
    with console.bar("mesh", " blocks") as progress:
        mesh = surface_mesh(model, resolution, threshold, progress, finish, finish.closes_at_border)
    to_frame = model.scene_to_world if is_world else None
    vertical = None
    if out.suffix.lower() == ".glb" and up != "none":
        vertical = _vertical(up, scene, model, is_world)
        if vertical is None:
            console.message(f"the vertical is not known, so the axes stay as they are ({reason}); give --up")
    origin = write_mesh(mesh, out, to_frame, vertical, resolution, finish.facts(), frame)
    for line in _about(mesh, out, finish, origin, scale_of(model.scene_to_world) if is_world else 1.0, f"{frame} units"):
        console.message(line)
    return out


def default_mesh_path(run: Run, frame: str = "world") -> Path:
    """RUN/mesh.ply; for an older checkpoint RUN/meshes/ITERATION.ply, in the scene frame NAME_scene.ply: neither must replace it."""
    end = "" if frame == "world" else "_scene"
    if run.checkpoint not in checkpoints_in(run.folder.checkpoints)[:-1]:
        return run.path / f"mesh{end}.ply"
    return run.path / "meshes" / f"{int(run.content['iter_step']):08d}{end}.ply"


def training_cameras(run: Run, scene: Scene) -> list[Camera]:
    """The cameras of the views that trained: what others show has not been seen."""
    facts = run.facts if run.is_own else {}
    held_out = {facts["view_names"][view] for view in facts.get("held_out_views", ()) if "view_names" in facts}
    return [scene.camera(view) for view, name in enumerate(scene.names) if name not in held_out]


def _check_frame(frame: str) -> None:
    if frame not in ("world", "scene"):
        raise InputError(f"frame {frame!r}: expected world or scene.")


def _scene_of(run: Run, is_needed: bool) -> tuple[Scene | None, str]:
    """The scene, or None and why it cannot be read; InputError if it is needed."""
    try:
        return run.scene(), ""
    except InputError as error:
        if is_needed:
            raise
        return None, str(error)


def _vertical(up: str, scene: Scene | None, model: Model, is_world: bool) -> np.ndarray | None:
    """(3,) the vertical in the frame that is written, None where it is not known."""
    if up != "auto":
        return np.asarray(AXES[up], np.float64)
    if scene is None:
        return None
    found = scene.vertical().numpy()
    return model.scene_to_world[:3, :3].cpu().numpy() @ found if is_world else found


def _about(
    mesh: Trimesh, out: Path, finish: Finish, origin: np.ndarray | None, unit_scale: float, unit: str
) -> list[str]:
    """Lines on a mesh that was written: what became of its coordinates, its shape, and what has been seen of it."""
    lines = []
    if origin is not None:
        where = "kept as its node's translation" if out.suffix.lower() == ".glb" else "which STL cannot hold: add it yourself"
        lines.append(f"coordinates are relative to {', '.join(f'{x:.3f}' for x in origin)}, {where}")
    if finish.moved is not None:
        mean, greatest = (unit_scale * moved for moved in finish.moved)
        lines.append(f"simplifying moved the surface by {mean:.3g} on average, {greatest:.3g} at most, in {unit}")
    closed = "yes" if is_closed(mesh) else "no"
    shape = f"{len(mesh.vertices)} vertices, {len(mesh.faces)} faces, watertight: {closed}, in {unit}"
    return [*lines, shape + seen_line(finish)]
