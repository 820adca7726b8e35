"""Textured model of the object in a folder of images or a video

example: neus reconstruct IMAGES --out mug.glb
         neus reconstruct walk.mp4 --minutes 20 --faces 200000 --out head.glb
"""

import argparse
from pathlib import Path

from neus.cli.options import (
    EXIT_INTERRUPTED,
    add_device_argument,
    add_set_argument,
    positive_number,
    preset_summaries,
    whole_number,
)

# As in `neus.workflows.reconstruct`, which takes long to import.
MINUTES, FACES = 10.0, 100_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `reconstruct`."""
    data = parser.add_argument_group("data")
    data.add_argument("source", type=Path, metavar="IMAGES|VIDEO", help="Folder of images, or video file")
    data.add_argument("--masks", type=Path, metavar="FOLDER", help="Outlines of the object, one for each image")
    config = parser.add_argument_group("config")
    config.add_argument("--preset", default="quick", metavar="NAME", help=f"Preset: {preset_summaries()} (default quick)")
    add_set_argument(config)
    schedule = parser.add_argument_group("schedule")
    schedule.add_argument(
        "--minutes",
        type=positive_number,
        default=MINUTES,
        metavar="M",
        help="Wall-clock budget for poses, training and texture together (default 10)",
    )
    schedule.add_argument("--seed", type=whole_number(0), default=0, help="Random seed (default 0)")
    output = parser.add_argument_group("output")
    output.add_argument(
        "--out", type=Path, required=True, metavar="FILE", help="Model to be written: .glb, .obj, .usdz, .ply or .stl"
    )
    output.add_argument("--faces", type=whole_number(100), default=FACES, metavar="N", help="Triangles (default 100000)")
    output.add_argument(
        "--run", type=Path, dest="run_folder", metavar="RUN", help="Run folder to write (default runs/NAME); poses: RUN/scene"
    )
    output.add_argument("--overwrite", action="store_true", help="Replacement of an earlier run in the run folder")
    add_device_argument(parser.add_argument_group("device"))


def run(options: argparse.Namespace) -> int:
    """Poses, trains, textures; prints the model's path last."""
    from neus.runs.console import TERMINAL
    from neus.workflows.reconstruct import reconstruct

    result = reconstruct(
        options.source,
        options.out,
        minutes=options.minutes,
        run=options.run_folder,
        masks=options.masks,
        faces=options.faces,
        preset=options.preset,
        overrides=options.overrides,
        seed=options.seed,
        device=options.device,
        overwrite=options.overwrite,
        started=options.started,
        command=options.command,
        console=TERMINAL,
    )
    if result.model is None:
        return EXIT_INTERRUPTED
    print(result.model)
    return 0
