"""Write a scene in the layout of another program: COLMAP, nerfstudio, IDR and NeuS

example: neus convert metashape_project --to colmap --out data/statue
         neus convert walk.r3d --to nerfstudio --out data/walk --set 'dataset.exclude=[0, 1]'
"""

import argparse
from pathlib import Path

from neus.cli.options import add_region_argument, add_set_argument
from neus.errors import InputError

# As `neus.workflows.convert.TARGETS`, which takes long to import.
TARGETS = ("colmap", "nerfstudio", "idr")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `convert`."""
    data, output = parser.add_argument_group("data"), parser.add_argument_group("output")
    data.add_argument(
        "scene", type=Path, metavar="SCENE", help="Scene folder or camera file of any format in docs/formats.md"
    )
    data.add_argument(
        "--format", default="auto", help="Format of SCENE, if its files are of several (default: detected)"
    )
    add_region_argument(data)
    add_set_argument(data)
    output.add_argument("--to", choices=TARGETS, required=True, help="Layout to write")
    output.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="New folder for the scene")


def run(options: argparse.Namespace) -> int:
    """Writes the scene, prints what of it was kept and, last, its folder."""
    from neus.runs.config import read_config
    from neus.runs.console import TERMINAL
    from neus.workflows.convert import convert_scene

    for override in options.overrides:
        if not override.strip().startswith("dataset"):
            raise InputError(f"--set {override}: `convert` reads the section dataset alone, such as dataset.radius=2.")
    overrides = [f"dataset.format={options.format}", *options.overrides, *([options.region] if options.region else [])]
    converted = convert_scene(options.scene, options.out, options.to, read_config(None, overrides).dataset, TERMINAL)
    print("\n".join([f"format: {converted.scene.format}", *converted.lines]))
    if options.to == "colmap" and converted.has_region:
        from neus.checks.regions import assignments, region_settings

        print(f"region of interest, which COLMAP's files do not hold: {assignments(region_settings(converted.scene))}")
    print(converted.folder)
    return 0
