"""Reconstruct the built-in scene and compare with its exact surface

example: neus demo --out runs/demo
         neus demo --write house+noise --views 48 --size 640 480 --out data/house
"""

import argparse
from pathlib import Path

from neus.cli.options import EXIT_INTERRUPTED, add_device_argument, add_set_argument, whole_number


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `demo`."""
    config = parser.add_argument_group("config")
    config.add_argument("--conf", type=Path, help="Config file, or the name of a shipped one (default demo.conf)")
    add_set_argument(config)
    config.add_argument("--seed", type=whole_number(0), default=0, help="Random seed (default 0)")
    output = parser.add_argument_group("output")
    output.add_argument("--out", type=Path, default=Path("runs/demo"), help="Folder for all files (default runs/demo)")
    scenes = parser.add_argument_group("scene alone", "write a synthetic scene as a plain scene folder, and do nothing else")
    scenes.add_argument(
        "--write", metavar="KIND", help="What to write to --out: SHAPE[+DEGRADATION...][@SEED], see docs/evaluation.md"
    )
    scenes.add_argument("--views", type=whole_number(1), default=48, help="Number of views (default 48)")
    scenes.add_argument(
        "--size", type=whole_number(8), nargs=2, default=(320, 240), metavar=("W", "H"), help="Of images (default 320 240)"
    )
    add_device_argument(parser.add_argument_group("device"))


def run(options: argparse.Namespace) -> int:
    """Makes scene, model, mesh, orbit and image; prints the Chamfer distance and, last, the path of the image."""
    from neus.runs.console import TERMINAL
    from neus.workflows.demo import run_demo

    out = options.out
    if options.write is not None:
        from neus.scenes.synthetic import write_synthetic

        print(write_synthetic(out, options.views, *options.size, kind=options.write))
        return 0
    result = run_demo(out, options.conf, options.overrides, options.seed, options.device, options.command, TERMINAL)
    if result is None:
        return EXIT_INTERRUPTED
    print(f"mesh, orbit and numbers: {out / 'mesh.ply'}, {out / 'orbit.mp4'}, {out / 'demo.json'}")
    print(
        f"Chamfer distance to the exact surface: {result.chamfer_mm:.3f} mm, "
        f"{100 * result.chamfer_mm / result.radius_mm:.2f} % of the scene's radius; seconds: {result.seconds}"
    )
    print(out / "demo.png")
    return 0
