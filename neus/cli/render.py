"""Render views of a trained model: of the data set, between them, around the object, or along a camera path

example: neus render runs/scan65 --views 0,8 --what photo,rgb,normal --side-by-side --scale 0.5 --out views/
         neus render runs/scan65 --between 3 17 30 --frames 60 --out between.mp4
         neus render runs/scan65 --orbit 120 --out orbit.mp4
         neus render runs/scan65 --path camera_path.json --what rgb,depth --out path.mp4
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from neus.cli.options import (
    add_model_arguments,
    check_views,
    numbers_in_list,
    positive_number,
    whole_number,
    words_in_list,
)
from neus.errors import InputError

if TYPE_CHECKING:
    from neus.geometry.cameras import Camera

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
    from neus.files import check_can_write
    from neus.rendering.modes import renderer_for
    from neus.rendering.path_files import write_camera_path
    from neus.runs.console import TERMINAL
    from neus.runs.run import Run
    from neus.runs.videos import write_frames
    from neus.workflows.render import CameraPath, about_fallback, write_views

    run = Run(options.run_folder, options.data, options.conf, options.overrides)
    out = options.out or run.path / "render"
    if options.views and out.suffix.lower() == ".mp4":
        raise InputError(
            f"--out {out}: single views are written to a folder; give one, or use --between, --orbit, --spiral or --path."
        )
    if out.suffix and out.suffix.lower() != ".mp4":
        raise InputError(f"--out {out}: expected a folder or a file ending in .mp4.")
    if options.between and len(options.between) < 2:
        raise InputError("--between: found one view, expected two or more, such as --between 3 17.")
    if options.alpha and out.suffix.lower() == ".mp4":
        raise InputError(f"--out {out}: an .mp4 has no alpha; give a folder, or omit --alpha.")
    check_can_write(out if out.suffix else out / "frame.png")
    model, scene = run.model_and_scene(options.device)
    check_views(options.views or options.between or [], len(scene))

    renderer = renderer_for(model, options.mode, options.alpha)

    def sized(camera: "Camera") -> "Camera":
        return camera.scaled(options.width / camera.width if options.width else options.scale)

    if options.views:
        shown = (options.alpha, options.side_by_side, TERMINAL)
        write_views(renderer, scene, options.views, options.what, out, sized, *shown)
    else:
        path = CameraPath(
            options.between or (), options.frames, options.orbit, options.spiral, options.elevation, options.path
        )
        cameras, fps = path.cameras(scene, sized)
        fps = options.fps or fps
        if options.save_path:
            write_camera_path(options.save_path, cameras, scene.scene_to_world, fps)
        with TERMINAL.bar("render", " frames") as progress:
            write_frames(
                model,
                cameras,
                options.what,
                out,
                progress,
                scene,
                fps,
                progress.start,
                renderer,
                {"mode": options.mode},
                options.alpha,
            )
    if fallback := about_fallback(options.mode, renderer):
        print(fallback)
    print(out)
    return 0
