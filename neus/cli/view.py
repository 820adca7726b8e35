"""Look at a run, a scene or a mesh in the browser: cameras, points, mesh, and what the model renders

example: neus view runs/scan65
         neus view data/dtu_scan65
         neus view statue.glb --port 9000
"""

import argparse
from pathlib import Path

from neus.cli.options import add_device_argument, whole_number


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `view`."""
    data, server = parser.add_argument_group("data"), parser.add_argument_group("server")
    data.add_argument(
        "source", type=Path, metavar="RUN|SCENE|MESH", help="Run folder or checkpoint, scene folder, or mesh file (.ply, .obj, .glb, .stl)"
    )
    data.add_argument("--data", type=Path, metavar="SCENE", help="Scene of a mesh file, or of a run whose scene has moved")
    data.add_argument(
        "--mode", choices=("auto", "shell", "volume", "surface"), default="auto", help="How the model is rendered, as in `render`"
    )
    add_device_argument(data)
    server.add_argument(
        "--host",
        default="127.0.0.1",
        help="Address to listen on (default 127.0.0.1: this machine alone); any other lets in who knows the token of the printed address",
    )
    server.add_argument("--port", type=whole_number(0), default=8080, help="First port that is tried (default 8080)")


def run(options: argparse.Namespace) -> int:
    """Prints the address, and serves until Ctrl-C."""
    from neus.runs.console import TERMINAL
    from neus.workflows.view import view, wait_for_interrupt

    viewer = view(options.source, options.host, options.port, options.data, options.mode, options.device, TERMINAL)
    print("Ctrl-C ends it", flush=True)
    wait_for_interrupt(viewer)
    return 0
