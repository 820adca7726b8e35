"""Extract the mesh of a trained model

example: neus mesh runs/scan65 --resolution 512 --out scan65.ply
         neus mesh runs/scan65 --clean --target-faces 100000 --out scan65.glb
         neus mesh old_neus/ckpt_300000.pth --conf old_neus/config.conf --data data/dtu_scan65 --out scan65.glb
"""

import argparse
from pathlib import Path

from neus.cli.options import add_model_arguments, whole_number
from neus.errors import InputError


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
    finish = parser.add_argument_group("clean-up")
    finish.add_argument(
        "--clean",
        action="store_true",
        help="Removal of floating pieces: those outside the visual hull of the masks, and those below a hundredth of the "
        "largest one's area",
    )
    finish.add_argument(
        "--keep", choices=("all", "largest"), default="all", help="Pieces: all (default) or the largest alone"
    )
    finish.add_argument(
        "--clip-to-masks",
        type=whole_number(0),
        metavar="PIXELS",
        help="Clipping by the object masks, dilated by so many pixels; the mesh is open there",
    )
    finish.add_argument(
        "--target-faces",
        type=whole_number(4),
        metavar="N",
        help="Simplification to about N triangles; how far the surface moves is printed",
    )
    output = parser.add_argument_group("output")
    output.add_argument("--out", type=Path, help="Mesh file: .ply, .obj or .glb (default: RUN/meshes/mesh.ply)")
    output.add_argument(
        "--frame",
        choices=("world", "scene"),
        default="world",
        help="Frame and unit: world, the data set's own, such as millimetres (default), or scene, the unit sphere's",
    )


def run(options: argparse.Namespace) -> int:
    """Extracts, colours and writes the mesh; prints its path last."""
    from neus.files import check_can_write
    from neus.geometry.similarity import scale_of
    from neus.meshing.clean import is_closed
    from neus.meshing.files import SUFFIXES, write_mesh
    from neus.meshing.of_model import surface_mesh
    from neus.runs.console import TERMINAL
    from neus.runs.films import scene_of_run
    from neus.runs.load import load_model
    from neus.workflows.finish import Finish

    out = (
        options.out
        or (options.run_folder if options.run_folder.is_dir() else options.run_folder.parent) / "meshes" / "mesh.ply"
    )
    if out.suffix.lower() not in SUFFIXES:
        raise InputError(f"--out {out}: unknown mesh format; name the file .ply, .obj or .glb.")
    check_can_write(out)
    model = load_model(options.run_folder, options.conf, options.device)
    scene = None
    in_world = options.frame == "world"
    needs_masks = options.clip_to_masks is not None or options.clean
    if needs_masks or options.data is not None or (in_world and model.scene_to_world is None):
        scene = scene_of_run(options.run_folder, options.data, options.conf)
        model.scene_to_world, model.box = scene.scene_to_world, scene.box
    finish = Finish(scene, options.clip_to_masks, options.clean, options.keep == "largest", options.target_faces)
    with TERMINAL.bar("mesh", " blocks") as progress:
        mesh = surface_mesh(model, options.resolution, options.threshold, progress, finish)
    write_mesh(mesh, out, model.scene_to_world if in_world else None)
    unit = "world units" if in_world else "scene units"
    if finish.moved is not None:
        mean, greatest = (scale_of(model.scene_to_world) * moved if in_world else moved for moved in finish.moved)
        print(f"simplifying moved the surface by {mean:.3g} on average, {greatest:.3g} at most, in {unit}")
    print(
        f"{len(mesh.vertices)} vertices, {len(mesh.faces)} faces, watertight: {'yes' if is_closed(mesh) else 'no'}, in {unit}"
    )
    print(out)
    return 0
