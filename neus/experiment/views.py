"""Scenes of runs, and sequences of rendered pictures on disk."""

from collections.abc import Callable, Iterable
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import torch

from neus.datasets.images import write_picture
from neus.datasets.readers import DatasetConfig, read_scene
from neus.datasets.scene import Scene
from neus.errors import InputError
from neus.experiment.config import read_config
from neus.experiment.run_folder import RunFolder
from neus.files import written_whole
from neus.geometry.cameras import Camera
from neus.rendering.model import Model
from neus.rendering.views import (
    RenderedView,
    Renderer,
    cut_out,
    depth_picture,
    normal_picture,
    render_view,
    rgb_picture,
)

FRAMES_PER_SECOND = 30


def scene_of_run(source: Path, data: Path | None = None, conf: Path | None = None) -> Scene:
    """The scene that a run was trained on, all its views.

    Args:
        source: run folder, ours or published, or a checkpoint.
        data: the scene's folder, if it has moved or is not known.
        conf: says how the scene is read (camera files, background), and where it is if nothing else does.

    Raises:
        InputError: not found.
    """
    run = RunFolder(source)
    recorded = [source / "config.conf", source / "recording" / "config.conf"]
    known = [path for path in ([conf] if conf else recorded) if path.is_file()]
    config = read_config(known[0]).dataset if known else DatasetConfig()
    if data is None and (source / "run.json").is_file():
        data = Path(run.facts()["scene"])
        if not data.exists():
            raise InputError(f"{data}: the scene of this run is no longer there; give its new place with --data.")
    if data is None and (not config.data_dir or not Path(config.data_dir).exists()):
        raise InputError(f"{source}: does not say where its scene is; give --data SCENE_FOLDER.")
    return read_scene(data or Path(config.data_dir), config)


def pictures_of(seen: RenderedView, camera: Camera, what: list[str], alpha: bool = False) -> dict[str, np.ndarray]:
    """(H, W, 3) uint8 RGB pictures by name: some of `rgb`, `normal`, `depth`, `opacity`; (H, W, 4) with alpha."""
    makers: dict[str, Callable[[], np.ndarray]] = {
        "rgb": lambda: rgb_picture(seen),
        "normal": lambda: normal_picture(seen, camera),
        "depth": lambda: depth_picture(seen),
        "opacity": lambda: np.repeat(
            (seen.foreground.clamp(0, 1).numpy() * 255.0).round().astype(np.uint8)[..., None], 3, -1
        ),
    }
    pictures = {name: makers[name]() for name in what}
    return {n: cut_out(seen, p, n == "rgb") for n, p in pictures.items()} if alpha else pictures


def write_frames(
    renderer: Model | Renderer,
    cameras: list[Camera],
    what: list[str],
    out: Path,
    on_frame: Callable[[int, int], None] | None = None,
    alpha: bool = False,
) -> None:
    """Renders a camera path to an .mp4, or to numbered PNG files in a folder; several pictures stand side by side.

    Args:
        renderer: of the scene, see `renderer_for`.
        cameras: the path.
        what: some of `rgb`, `normal`, `depth`, `opacity`.
        out: file or folder.
        on_frame: called with (frames done, frames in all).
        alpha: the surface alone, cut out; not for an .mp4.

    Raises:
        InputError: the output cannot be written.
    """
    if out.suffix.lower() == ".mp4":
        write_video(out, _frames(renderer, cameras, what, on_frame), cameras[0].width * len(what), cameras[0].height)
        return
    for number, frame in enumerate(_frames(renderer, cameras, what, on_frame, alpha)):
        write_picture(out / f"{number:04d}.png", frame)


def write_video(path: Path, frames: Iterable[np.ndarray], width: int, height: int) -> None:
    """Writes frames (H, W, 3) uint8 as H.264 in MP4, which plays in browsers; odd sizes lose a row or column.

    Raises:
        InputError: the file cannot be written.
    """
    size = (width // 2 * 2, height // 2 * 2)
    with written_whole(path) as beside:
        video = imageio_ffmpeg.write_frames(
            str(beside),
            size,
            fps=FRAMES_PER_SECOND,
            codec="libx264",
            pix_fmt_out="yuv420p",
            macro_block_size=2,
            quality=8,
        )
        video.send(None)
        n_frames = 0
        try:
            for frame in frames:
                video.send(np.ascontiguousarray(frame[: size[1], : size[0]]))
                n_frames += 1
        finally:
            video.close()
        if _frames_in(beside) != n_frames:  # the encoder says nothing of a full disk
            raise OSError("the encoder stopped early; the disk may be full")


def _frames_in(path: Path) -> int:
    """Frames of a video file, 0 if it cannot be read."""
    try:
        return imageio_ffmpeg.count_frames_and_secs(str(path))[0]
    except RuntimeError:
        return 0


def _frames(
    renderer: Model | Renderer,
    cameras: list[Camera],
    what: list[str],
    on_frame: Callable[[int, int], None] | None,
    alpha: bool = False,
) -> Iterable[np.ndarray]:
    background = torch.zeros(3) if alpha else None
    for number, camera in enumerate(cameras):
        seen = render_view(renderer, camera, background)
        yield np.concatenate(list(pictures_of(seen, camera, what, alpha).values()), axis=1)
        if on_frame:
            on_frame(number + 1, len(cameras))
