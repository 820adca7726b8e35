"""Images or a video of an object to a posed scene folder

example: neus process my_images --out data/my_object
         neus process walk_around.mp4 --out data/my_object
"""

import argparse
from pathlib import Path

from neus.cli.options import positive_number, whole_number


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `process`."""
    data, output = parser.add_argument_group("data"), parser.add_argument_group("output")
    data.add_argument("source", type=Path, metavar="IMAGES|VIDEO", help="Folder of images, subfolders included, or a video file")
    data.add_argument(
        "--masks", type=Path, metavar="FOLDER", help="Outlines of the object, one for each image and named like it (default: none)"
    )
    data.add_argument(
        "--marker-edge",
        type=positive_number,
        metavar="LENGTH",
        help="Edge of printed ArUco or AprilTag markers that the images show; the world gets its unit (default: scale unknown)",
    )
    data.add_argument(
        "--frames", type=whole_number(3), metavar="N", help="Frames taken of a video (default: by its motion, 60 to 150)"
    )
    data.add_argument("--seed", type=whole_number(0), default=0, help="Random seed (default 0)")
    data.add_argument(
        "--max-minutes", type=positive_number, help="After which no other attempt begins (default: as many as are needed)"
    )
    output.add_argument("--out", type=Path, required=True, metavar="SCENE", help="Scene folder: images/, sparse/0/ and capture.json")


def run(options: argparse.Namespace) -> int:
    """Prints how many images have a pose and why others have none; prints the scene's folder last."""
    from neus.runs.console import TERMINAL
    from neus.workflows.process import lines_about, process_capture

    result = process_capture(
        options.source,
        options.out,
        masks=options.masks,
        marker_edge=options.marker_edge,
        n_frames=options.frames,
        seed=options.seed,
        max_minutes=options.max_minutes,
        command=options.command,
        console=TERMINAL,
    )
    print("\n".join(lines_about(result)))
    print(result.folder)
    return 0
