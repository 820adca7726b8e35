"""Extract the mesh of a trained model

example: neus mesh runs/scan65 --resolution 512 --out scan65.ply
         neus mesh runs/scan65 --clean --target-faces 100000 --out scan65.glb
         neus mesh old_neus/ckpt_300000.pth --conf old_neus/config.conf --data data/dtu_scan65 --out scan65.glb
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from neus.cli.options import add_model_arguments, add_unseen_argument, whole_number
from neus.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from neus.geometry.cameras import Camera
    from neus.runs.run import Run
    from neus.scenes.scene import Scene


# Directions by name.
AXES = {"x": (1, 0, 0), "y": (0, 1, 0), "z": (0, 0, 1), "-x": (-1, 0, 0), "-y": (0, -1, 0), "-z": (0, 0, -1)}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `mesh`."""
    add_model_arguments(parser)
    surface = parser.add_argument_group("surface")
    surface.add_argument(
        "--resolution",
        type=whole_number(8),
        default=512,
        help="Lattice points along each axis of the object's box (default 512)",
    )
    surface.add_argument(
        "--threshold",
        type=float,
        default=0.0,
        help="Level set sdf = -threshold, scene units; above 0 shrinks (NeuS's --mcube_threshold)",
    )
    add_unseen_argument(surface)
    finish = parser.add_argument_group("clean-up")
    finish.add_argument(
        "--clean",
        action="store_true",
        help="Removal of floating pieces: those outside the visual hull, and those below a hundredth of the "
        "largest one's area",
    )
    finish.add_argument(
        "--keep", choices=("all", "largest"), default="all", help="Pieces: all (default) or the largest alone"
    )
    finish.add_argument(
        "--clip-to-masks",
        type=whole_number(0),
        metavar="PIXELS",
        help="Clipping by the object masks, dilated by this many pixels; the mesh is open there",
    )
    finish.add_argument(
        "--target-faces",
        type=whole_number(4),
        metavar="N",
        help="Simplification to about N triangles; how far the surface moves is printed",
    )
    finish.add_argument(
        "--bbox",
        type=float,
        nargs=6,
        metavar=("X0", "Y0", "Z0", "X1", "Y1", "Z1"),
        help="Box between two corners in world units to which the mesh is cropped first; the mesh is open there",
    )
    output = parser.add_argument_group("output")
    output.add_argument("--out", type=Path, help="Mesh file: .ply, .obj, .glb or .stl (default: RUN/mesh.ply)")
    output.add_argument(
        "--frame",
        choices=("world", "scene"),
        default="world",
        help="Frame and unit: world, the data set's own, such as millimetres (default), or scene, the unit sphere's",
    )
    output.add_argument(
        "--up",
        choices=("auto", "none", *AXES),
        default="auto",
        help="Vertical of the world for GLB files, which is turned to their +Y: found from the cameras (default), an axis "
        "(write --up=-y for a negative one), or none to leave the axes as they are; other formats are never turned",
    )


def run(options: argparse.Namespace) -> int:
    """Extracts, colours and writes the mesh; prints its path last."""
    import numpy as np

    from neus.files import check_can_write
    from neus.geometry.similarity import scale_of
    from neus.meshing.files import SUFFIXES, write_mesh
    from neus.meshing.measures import is_closed
    from neus.meshing.of_model import surface_mesh
    from neus.runs.console import TERMINAL
    from neus.runs.run import Run
    from neus.workflows.finish import Finish, seen_line

    run = Run(options.run_folder, options.data, options.conf, options.overrides)
    out = options.out or _place(run)
    if out.suffix.lower() not in SUFFIXES:
        raise InputError(f"--out {out}: unknown mesh format; name the file {', '.join(SUFFIXES)}.")
    box = None if options.bbox is None else np.reshape(options.bbox, (2, 3))
    if box is not None and not (box[0] < box[1]).all():
        raise InputError(f"--bbox {' '.join(f'{x:g}' for x in options.bbox)}: expected the lower corner, then the upper one.")
    check_can_write(out)
    model = run.model(options.device)
    scene = None
    in_world = options.frame == "world"
    needs_masks = options.clip_to_masks is not None or options.clean
    if needs_masks or ((in_world or box is not None) and model.scene_to_world is None):
        scene = run.scene()
    if scene is not None and model.scene_to_world is None:
        model.scene_to_world, model.box = scene.scene_to_world, scene.box
    cameras, unseen = _views(run, scene, options.unseen)
    finish = Finish(
        scene=scene if needs_masks else None,
        clip_px=options.clip_to_masks,
        clean=options.clean,
        keep_largest=options.keep == "largest",
        target_faces=options.target_faces,
        cameras=cameras,
        unseen=unseen,
        has_background=model.has_background,
        box=box,
        to_box_frame=model.scene_to_world,
    )
    with TERMINAL.bar("mesh", " blocks") as progress:
        mesh = surface_mesh(
            model,
            options.resolution,
            options.threshold,
            progress,
            finish,
            finish.closes_at_border,
        )
    up = _up(options.up, out, scene, run, model.scene_to_world if in_world else None)
    origin = write_mesh(mesh, out, model.scene_to_world if in_world else None, up, options.resolution, finish.facts())
    if origin is not None:
        where = "kept as its node's translation" if out.suffix.lower() == ".glb" else "which STL cannot hold: add it yourself"
        print(f"coordinates are relative to {', '.join(f'{x:.3f}' for x in origin)}, {where}")
    unit = "world units" if in_world else "scene units"
    if finish.moved is not None:
        mean, greatest = (scale_of(model.scene_to_world) * moved if in_world else moved for moved in finish.moved)
        print(f"simplifying moved the surface by {mean:.3g} on average, {greatest:.3g} at most, in {unit}")
    print(
        f"{len(mesh.vertices)} vertices, {len(mesh.faces)} faces, watertight: {'yes' if is_closed(mesh) else 'no'}, in {unit}"
        f"{seen_line(finish)}"
    )
    print(out)
    return 0


def _views(
    run: "Run", scene: "Scene | None", asked: str
) -> "tuple[list[Camera], str]":
    """The views that have seen the surface, those of the training, and what becomes of what they have not; none if not known."""
    from neus.meshing.unseen import chosen_unseen

    try:
        scene = scene or run.scene()
    except InputError as error:
        if asked == "cut":
            raise
        if asked == "auto":
            print(f"the views are not known, so what they have not seen is closed over ({error})")
        return [], chosen_unseen(asked, [])
    facts = run.facts if run.is_own else {}
    held_out = {facts["view_names"][view] for view in facts.get("held_out_views", ()) if "view_names" in facts}
    cameras = [scene.camera(view) for view, name in enumerate(scene.names) if name not in held_out]
    return cameras, chosen_unseen(asked, cameras)


def _place(run: "Run") -> Path:
    """Default path of a run's mesh; that of an older checkpoint must not replace it."""
    from neus.training.checkpoint import checkpoints_in

    if run.checkpoint not in checkpoints_in(run.folder.checkpoints)[:-1]:
        return run.path / "mesh.ply"
    return run.path / "meshes" / f"{int(run.content['iter_step']):08d}.ply"


def _up(
    asked: str, out: Path, scene: "Scene | None", run: "Run", to_frame: "Tensor | None"
) -> "np.ndarray | None":
    """(3,) the vertical in the frame that is written, or None where none is requested or known."""
    import numpy as np

    from neus.rendering.paths import common_up

    if out.suffix.lower() != ".glb" or asked == "none":
        return None
    if asked != "auto":
        return np.asarray(AXES[asked], np.float64)
    try:
        scene = scene or run.scene()
    except InputError as error:
        print(f"the vertical is not known, so the axes stay as they are ({error}); give --up")
        return None
    up = common_up([scene.camera(view) for view in range(len(scene))]).numpy()
    return up if to_frame is None else to_frame[:3, :3].cpu().numpy() @ up
