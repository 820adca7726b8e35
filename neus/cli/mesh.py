"""extract the surface of a trained model as a mesh

example: neus mesh runs/scan65 --resolution 512 --out scan65.ply
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
        "--clip-to-masks",
        type=whole_number(0),
        metavar="PIXELS",
        help="drop what lies outside the object masks, grown by so many pixels",
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
    from neus.experiment.surface import surface_mesh
    from neus.experiment.views import scene_of_run
    from neus.files import check_can_write
    from neus.meshing.clean import clip_to_masks, largest_component
    from neus.meshing.files import SUFFIXES, write_mesh

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
    if options.clip_to_masks is not None or options.data is not None or (in_world and model.scene_to_world is None):
        scene = scene_of_run(options.run_folder, options.data, options.conf)
        model.scene_to_world, model.box = scene.scene_to_world, scene.box
    with Progress("mesh", " blocks") as progress:
        mesh = surface_mesh(model, options.resolution, options.threshold, progress)
    if options.clip_to_masks is not None:
        if scene.masks is None:
            raise InputError(f"--clip-to-masks: the scene in {scene.source} has no masks.")
        mesh = clip_to_masks(mesh, [scene.camera(v) for v in range(len(scene))], scene.masks, options.clip_to_masks)
    if options.keep == "largest":
        mesh = largest_component(mesh)
    write_mesh(mesh, out, model.scene_to_world if in_world else None)
    unit = "world units" if in_world else "scene units"
    print(
        f"{len(mesh.vertices)} vertices, {len(mesh.faces)} faces, watertight: {'yes' if mesh.is_watertight else 'no'}, in {unit}"
    )
    print(out)
    return 0
