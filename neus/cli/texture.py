"""Texture a mesh from the images of its scene

example: neus texture runs/scan65 --out scan65.glb
         neus texture mesh.ply --data data/dtu_scan65 --out scan65.glb --faces 100000 --unit mm
"""

import argparse
from pathlib import Path

from neus.cli.options import whole_number

# As in `neus.texturing.atlas`, `neus.texturing.textured_glb` and `neus.workflows.texture`, which take long to import.
SIZES, MATERIALS, UNITS, FACES = (1024, 2048, 4096, 8192), ("unlit", "pbr"), ("m", "cm", "mm"), 200_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `texture`."""
    data = parser.add_argument_group("data")
    data.add_argument(
        "source", type=Path, metavar="RUN|MESH", help="Run folder, whose newest mesh is taken, or a mesh file in world units"
    )
    data.add_argument("--data", type=Path, metavar="SCENE", help="Scene folder; a run knows its own")
    data.add_argument(
        "--holdout",
        type=whole_number(0),
        default=0,
        metavar="K",
        help="Interval of views that give no colour and are compared with the model (default: those that the run held out)",
    )
    texture = parser.add_argument_group("texture")
    texture.add_argument(
        "--faces",
        type=whole_number(0),
        default=FACES,
        metavar="N",
        help=f"Simplification to about N triangles first, 0 for none (default {FACES})",
    )
    texture.add_argument(
        "--size",
        type=int,
        choices=SIZES,
        default=4096,
        help="Largest side of the texture in texels (default 4096); it is smaller where the images show no more",
    )
    texture.add_argument(
        "--exposure",
        choices=("level", "none"),
        default="level",
        help="Exposure and white balance of the views: brought to their mean (default), or taken as they are",
    )
    output = parser.add_argument_group("output")
    output.add_argument("--out", type=Path, required=True, metavar="MODEL", help="File: .glb, .obj, .usdz; without a texture .ply, .stl")
    output.add_argument(
        "--material",
        choices=MATERIALS,
        default="unlit",
        help="Material: `unlit` as the images show it (default), or `pbr`, matte and lit by the viewer as well",
    )
    output.add_argument(
        "--unit", choices=UNITS, help="Unit of the world: GLB and USDZ are then in metres (default: unknown, numbers stay as they are)"
    )


def run(options: argparse.Namespace) -> int:
    """Makes and writes the model; prints its path last."""
    from neus.runs.console import TERMINAL
    from neus.workflows.texture import texture_mesh

    result = texture_mesh(
        options.source,
        options.data,
        options.out,
        faces=options.faces or None,
        size=options.size,
        material=options.material,
        unit=options.unit,
        level_exposure=options.exposure == "level",
        holdout=options.holdout,
        console=TERMINAL,
    )
    print(result.path)
    return 0
