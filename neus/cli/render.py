"""Render views of a trained model: of the data set, between them, around the object, or along a camera path

example: neus render runs/scan65 --views 0,8 --what photo,rgb,normal --side-by-side --scale 0.5 --out views/
         neus render runs/scan65 --between 3 17 30 --frames 60 --out between.mp4
         neus render runs/scan65 --orbit 120 --out orbit.mp4
         neus render runs/scan65 --path camera_path.json --what rgb,depth --out path.mp4
"""

import argparse
from pathlib import Path

from neus.cli.options import (
    add_model_arguments,
    numbers_in_list,
    positive_number,
    whole_number,
    words_in_list,
)

WHAT = ("photo", "rgb", "normal", "depth", "opacity")
MODES = ("shell", "volume", "surface")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `render`."""
    add_model_arguments(parser)
    cameras = parser.add_argument_group("cameras")
    which = cameras.add_mutually_exclusive_group(required=True)
    which.add_argument("--views", type=numbers_in_list, metavar="I,J,...", help="Views of the data set, by number")
    which.add_argument(
        "--between",
        type=whole_number(0),
        nargs="+",
        metavar="I",
        help="Interpolation from one view to another, through others",
    )
    which.add_argument(
        "--orbit", type=whole_number(2), metavar="FRAMES", help="Orbit around the object, at the cameras' median elevation and distance"
    )
    which.add_argument(
        "--spiral", type=whole_number(2), metavar="FRAMES", help="Spiral around it from low to high and back"
    )
    which.add_argument(
        "--path", type=Path, metavar="FILE.json", help="Camera path: ours (see --save-path) or nerfstudio's"
    )
    cameras.add_argument(
        "--frames", type=whole_number(2), default=60, help="Number of frames of --between (default 60)"
    )
    cameras.add_argument(
        "--elevation",
        type=float,
        help="Elevation of --orbit, degrees; it may be below the lowest camera (default: the cameras')",
    )
    cameras.add_argument(
        "--save-path", type=Path, metavar="FILE.json", help="File for the cameras of the video, to be edited"
    )
    image = parser.add_argument_group("image")
    image.add_argument(
        "--what",
        type=words_in_list(WHAT),
        default=["rgb"],
        help="Channels: some of photo,rgb,normal,depth,opacity (default rgb); in a video, photo is the nearest view's",
    )
    size = image.add_mutually_exclusive_group()
    size.add_argument("--scale", type=positive_number, default=1.0, help="Fraction of the image size (default 1)")
    size.add_argument("--width", type=whole_number(1), help="Width in pixels; the height follows")
    image.add_argument(
        "--mode",
        choices=MODES,
        default="shell",
        help="Renderer: shell traces to the surface and samples there (default; volume where the surface is not sharp); "
        "volume samples the whole ray; surface takes one colour, with hard edges",
    )
    image.add_argument("--alpha", action="store_true", help="Object alone, cut out, as PNG with alpha")
    output = parser.add_argument_group("output")
    output.add_argument("--out", type=Path, help="Folder for images, or FILE.mp4 (default: RUN/render)")
    output.add_argument("--side-by-side", action="store_true", help="Single image for all channels of a view (--views)")
    output.add_argument("--fps", type=positive_number, help="Frames per second (default 30, or those of the --path)")


def run(options: argparse.Namespace) -> int:
    """Renders; prints the path of what was made last."""
    from neus.runs.console import TERMINAL
    from neus.runs.run import Run
    from neus.workflows.render import CameraPath, render_run

    out = render_run(
        Run(options.run_folder, options.data, options.conf, options.overrides),
        options.out,
        options.views or (),
        CameraPath(
            between=options.between or (),
            n_frames=options.frames,
            orbit=options.orbit,
            spiral=options.spiral,
            elevation=options.elevation,
            file=options.path,
        ),
        what=options.what,
        scale=options.scale,
        width=options.width,
        mode=options.mode,
        is_alone=options.alpha,
        side_by_side=options.side_by_side,
        fps=options.fps,
        save_path=options.save_path,
        device=options.device,
        console=TERMINAL,
    )
    print(out)
    return 0
