"""Write one offline page that shows a mesh, to be mailed and turned in any browser

example: neus export-web runs/scan65 --out scan65.html
         neus export-web statue.glb --faces 80000 --out statue.html
         neus export-web scan65.ply --data data/dtu_scan65 --out scan65.html
"""

import argparse
from pathlib import Path

from neus.cli.options import whole_number

# As `neus.workflows.mesh.AXES`, which takes long to import.
AXES = ("x", "y", "z", "-x", "-y", "-z")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `export-web`."""
    data, output = parser.add_argument_group("data"), parser.add_argument_group("output")
    data.add_argument("source", type=Path, metavar="RUN|MESH", help="Run folder (its mesh) or a mesh file (.ply, .obj, .glb, .stl)")
    data.add_argument("--data", type=Path, metavar="SCENE", help="Scene whose cameras are shown, of a mesh file or if a run's has moved")
    output.add_argument("--out", type=Path, required=True, metavar="PAGE.html", help="Page to write")
    output.add_argument(
        "--faces",
        type=whole_number(4),
        metavar="N",
        help="Triangles in the page (default 200000, fewer if the page would exceed 15 MB)",
    )
    output.add_argument(
        "--up",
        choices=("auto", *AXES),
        default="auto",
        help="Vertical of the world: found from the scene or the file (default), or an axis (write --up=-y for a negative one)",
    )


def run(options: argparse.Namespace) -> int:
    """Writes the page; prints its path last."""
    from neus.runs.console import TERMINAL
    from neus.workflows.export_web import export_web

    print(export_web(options.source, options.out, options.faces, options.data, options.up, TERMINAL))
    return 0
