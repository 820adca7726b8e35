"""Bake a surface into levels of detail that render in real time, and measure them

example: neus lod bake runs/scan65 --color --out scan65.lod
         neus lod bake statue.ply --levels 6 --out statue.lod
         neus lod bench statue.lod
         neus lod render statue.lod --level 2.5 --out statue.png
"""

import argparse
from pathlib import Path

from neus.cli.options import Arguments, OneLineParser, add_device_argument, positive_number, whole_number


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `lod`, by action."""
    style = {"metavar": "ACTION", "required": True, "parser_class": OneLineParser, "help": "What to do"}
    actions = parser.add_subparsers(title="actions", dest="action", **style)

    def add(name: str, summary: str) -> argparse.ArgumentParser:
        return actions.add_parser(name, help=summary, description=summary)

    _add_bake(add("bake", "Distil a run, a mesh or a built-in shape into a file"))
    _add_bench(add("bench", "Error, queries and images per second of every level"))
    _add_render(add("render", "An image of the surface at a level"))
    _add_mesh(add("mesh", "The surface at a level as a mesh"))


def _add_bake(parser: argparse.ArgumentParser) -> None:
    source = parser.add_argument_group("source")
    source.add_argument(
        "source", metavar="RUN|MESH", help="Run folder or checkpoint, closed mesh file, or synthetic:SHAPE (docs/evaluation.md)"
    )
    levels = parser.add_argument_group("levels")
    levels.add_argument("--levels", type=whole_number(1), default=5, help="Levels, each with twice the cells of the one before (default 5)")
    levels.add_argument("--channels", type=whole_number(1), default=16, help="Features of a corner (default 16)")
    levels.add_argument("--hidden", type=whole_number(2), default=32, help="Width of the decoders (default 32)")
    levels.add_argument("--color", action="store_true", help="Colours too: of the run, or of the mesh's vertices (default: shape only)")
    training = parser.add_argument_group("training")
    training.add_argument("--steps", type=whole_number(0), default=400, help="Steps of Adam; 0 keeps trilinear distances (default 400)")
    training.add_argument("--rate", type=positive_number, default=1e-3, help="Learning rate at the start (default 0.001)")
    training.add_argument("--seed", type=whole_number(0), default=0, help="Random seed (default 0)")
    parser.add_argument_group("output").add_argument("--out", type=Path, required=True, help="File, such as model.lod")
    add_device_argument(parser.add_argument_group("device"))


def _add_bench(parser: argparse.ArgumentParser) -> None:
    _add_file(parser)
    images = parser.add_argument_group("images")
    _add_size(images, (320, 240))
    images.add_argument("--frames", type=whole_number(1), default=12, help="Images of one round about the object (default 12)")


def _add_render(parser: argparse.ArgumentParser) -> None:
    _add_file(parser)
    image = parser.add_argument_group("image")
    _add_level(image)
    _add_size(image, (640, 480))
    image.add_argument(
        "--shading", choices=("lambert", "color", "normal"), default="lambert", help="Clay, baked colours, or normals (default lambert)"
    )
    parser.add_argument_group("output").add_argument("--out", type=Path, required=True, help="Image file, .png or .jpg")


def _add_mesh(parser: argparse.ArgumentParser) -> None:
    _add_file(parser)
    surface = parser.add_argument_group("surface")
    _add_level(surface)
    surface.add_argument(
        "--resolution", type=whole_number(8), default=256, help="Lattice points along each axis of the cube (default 256)"
    )
    parser.add_argument_group("output").add_argument(
        "--out", type=Path, required=True, help="Mesh file: .ply, .obj, .glb or .stl, in the unit of the source"
    )


def _add_file(parser: argparse.ArgumentParser) -> None:
    data = parser.add_argument_group("data")
    data.add_argument("file", type=Path, metavar="FILE", help="File of `neus lod bake`, or a .pth of the published NGLOD")


def _add_level(parser: Arguments) -> None:
    parser.add_argument("--level", type=float, help="Level of detail, fractions allowed (default: the finest)")


def _add_size(parser: Arguments, size: tuple[int, int]) -> None:
    words = f"Of images (default {size[0]} {size[1]})"
    parser.add_argument("--size", type=whole_number(8), nargs=2, default=size, metavar=("W", "H"), help=words)


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
