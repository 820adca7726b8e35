"""extract the surface of a trained model as a mesh

example: neus mesh runs/scan65 --resolution 512 --out scan65.ply
         neus mesh runs/scan65 --clean --target-faces 100000 --out scan65.glb
         neus mesh old_neus/ckpt_300000.pth --conf old_neus/config.conf --data data/dtu_scan65 --out scan65.glb
"""

import argparse
from pathlib import Path

from neus.cli.options import Progress, add_model_arguments, whole_number
from neus.errors import InputError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `mesh`."""
    add_model_arguments(parser)
    parser.add_argument(
        "--resolution",
        type=whole_number(8),
        default=512,
        help="lattice points along each axis of the object's box (default 512)",
    )
    parser.add_argument("--out", type=Path, help="FILE.ply, .obj or .glb (default: RUN/meshes/mesh.ply)")
    parser.add_argument(
        "--frame",
        choices=("world", "scene"),
        default="world",
        help="units of the data set, such as millimetres (default), or the unit sphere's",
    )
    parser.add_argument(
        "--keep", choices=("all", "largest"), default="all", help="all pieces (default) or the largest alone"
    )
    parser.add_argument(
        "--clean",
        action="store_true",
        help="drop pieces that float: those outside the hull of the masks, and those below a hundredth of the largest's area",
    )
    parser.add_argument(
        "--target-faces",
        type=whole_number(4),
        metavar="N",
        help="simplify to about N triangles; how far the surface moves is measured and printed",
    )
    parser.add_argument(
        "--clip-to-masks",
        type=whole_number(0),
        metavar="PIXELS",
        help="cut off what lies outside the object masks, grown by so many pixels; the mesh is open there",
    )
    parser.add_argument(
        "--threshold",
        type=float,
        default=0.0,
        help="extract sdf = -threshold, in scene units; above 0 shrinks (NeuS's --mcube_threshold)",
    )
    parser.add_argument(
        "--data", type=Path, help="scene folder, for the world units of a published checkpoint and for --clip-to-masks"
    )


def run(options: argparse.Namespace) -> int:
    """Extracts, colours and writes the mesh; prints its path last."""
    from neus.experiment.load import load_model
    from neus.experiment.surface import Finish, surface_mesh
    from neus.experiment.views import scene_of_run
    from neus.files import check_can_write
    from neus.geometry.similarity import scale_of
    from neus.meshing.files import SUFFIXES, write_mesh
    from neus.meshing.measures import is_closed

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
    with Progress("mesh", " blocks") as progress:
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
