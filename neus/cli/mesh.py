"""Extract the mesh of a trained model

example: neus mesh runs/scan65 --resolution 512 --out scan65.ply
         neus mesh runs/scan65 --clean --target-faces 100000 --out scan65.glb
         neus mesh old_neus/ckpt_300000.pth --conf old_neus/config.conf --data data/dtu_scan65 --out scan65.glb
"""

import argparse
from pathlib import Path

from neus.cli.options import add_model_arguments, add_unseen_argument, whole_number

# As `neus.workflows.mesh.AXES`, which takes long to import.
AXES = ("x", "y", "z", "-x", "-y", "-z")


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
    output.add_argument("--out", type=Path, help="Mesh file: .ply, .obj, .glb or .stl (default: RUN/mesh.ply, or RUN/mesh_scene.ply)")
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
    from neus.runs.console import TERMINAL
    from neus.runs.run import Run
    from neus.workflows.mesh import write_mesh_of_run

    path = write_mesh_of_run(
        Run(options.run_folder, options.data, options.conf, options.overrides),
        options.out,
        resolution=options.resolution,
        threshold=options.threshold,
        clean=options.clean,
        keep_largest=options.keep == "largest",
        clip_px=options.clip_to_masks,
        box=None if options.bbox is None else (options.bbox[:3], options.bbox[3:]),
        target_faces=options.target_faces,
        frame=options.frame,
        up=options.up,
        unseen=options.unseen,
        device=options.device,
        console=TERMINAL,
    )
    print(path)
    return 0
