"""Bake a surface into levels of detail that render in real time, and measure them

example: neus lod bake runs/scan65 --color --out scan65.lod
         neus lod bake statue.ply --levels 6 --out statue.lod
         neus lod bench statue.lod
         neus lod render statue.lod --level 2.5 --out statue.png
"""

import argparse
from pathlib import Path

from neus.cli.options import OneLineParser, add_device_argument, positive_number, whole_number


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `lod`."""
    actions = parser.add_subparsers(title="actions", dest="action", metavar="ACTION", required=True, parser_class=OneLineParser)
    _add_bake(actions.add_parser("bake", help="Distil a run, a mesh or a built-in shape into a file"))
    bench = actions.add_parser("bench", help="Error, queries and images per second of every level")
    render = actions.add_parser("render", help="An image of the surface at a level")
    mesh = actions.add_parser("mesh", help="The surface at a level as a mesh")
    for action in (bench, render, mesh):
        action.add_argument("file", type=Path, metavar="FILE", help="A file of `neus lod bake`, or a .pth of the published NGLOD")
    for action, size in ((bench, (320, 240)), (render, (640, 480))):
        words = "{} {}".format(*size)
        action.add_argument(
            "--size", type=whole_number(8), nargs=2, default=size, metavar=("W", "H"), help=f"Of images (default {words})"
        )
    bench.add_argument("--frames", type=whole_number(1), default=12, help="Images of one round about the object (default 12)")
    for action in (render, mesh):
        action.add_argument("--level", type=float, help="Level of detail, fractions allowed (default: the finest)")
    render.add_argument(
        "--shading", choices=("lambert", "color", "normal"), default="lambert", help="Clay, baked colours, or normals (default lambert)"
    )
    render.add_argument("--out", type=Path, required=True, help="Image file, .png or .jpg")
    mesh.add_argument(
        "--resolution", type=whole_number(8), default=256, help="Lattice points along each axis of the cube (default 256)"
    )
    mesh.add_argument("--out", type=Path, required=True, help="Mesh file: .ply, .obj, .glb or .stl, in the unit of the source")


def _add_bake(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "source",
        metavar="RUN|MESH",
        help="Run folder or checkpoint, closed mesh file, or synthetic:SHAPE (docs/evaluation.md)",
    )
    parser.add_argument("--levels", type=whole_number(1), default=5, help="Levels, each with twice the cells of the one before (default 5)")
    parser.add_argument("--channels", type=whole_number(1), default=16, help="Features of a corner (default 16)")
    parser.add_argument("--hidden", type=whole_number(2), default=32, help="Width of the decoders (default 32)")
    parser.add_argument("--steps", type=whole_number(0), default=400, help="Steps of Adam; 0 keeps trilinear distances (default 400)")
    parser.add_argument("--rate", type=positive_number, default=1e-3, help="Learning rate at the start (default 0.001)")
    parser.add_argument("--color", action="store_true", help="Colours too: of the run, or of the mesh's vertices (default: shape only)")
    parser.add_argument("--seed", type=whole_number(0), default=0, help="Random seed (default 0)")
    parser.add_argument("--out", type=Path, required=True, help="File, such as model.lod")
    add_device_argument(parser)


def run(options: argparse.Namespace) -> int:
    """Does what the action says; prints the path of what was made last."""
    from neus.runs.console import TERMINAL
    from neus.workflows import lod

    if options.action == "bench":
        lod.bench_levels(options.file, *options.size, options.frames, TERMINAL)
        return 0
    if options.action == "render":
        print(lod.render_levels(options.file, options.out, options.level, *options.size, options.shading))
        return 0
    if options.action == "mesh":
        print(lod.write_mesh_of_levels(options.file, options.out, options.level, options.resolution, TERMINAL))
        return 0
    config = lod.DistillConfig(
        options.levels, options.channels, options.hidden, steps=options.steps, learning_rate=options.rate, seed=options.seed
    )
    lod.bake_levels(options.source, options.out, config, options.color, options.device, TERMINAL)
    print(options.out)
    return 0
