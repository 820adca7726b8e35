"""Scenes of runs, and sequences of rendered pictures on disk."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import imageio_ffmpeg
import numpy as np

from neus.datasets.readers import DatasetConfig, read_scene
from neus.datasets.scene import Scene
from neus.errors import InputError
from neus.experiment.run_folder import RunFolder
from neus.files import written_whole
from neus.geometry.cameras import Camera
from neus.rendering.model import Model
from neus.rendering.views import RenderedView, depth_picture, normal_picture, render_view, rgb_picture
from neus.training.hooks import write_picture

FRAMES_PER_SECOND = 30
WHAT = ("rgb", "normal", "depth", "opacity")


def scene_of_run(source: Path, data: Path | None = None) -> Scene:
    """The scene that a run was trained on, all its views.

    Args:
        source: run folder, or a checkpoint, for which `data` is needed.
        data: the scene's folder, if it has moved.

    Raises:
        InputError: not found.
    """
    if not source.is_dir():
        if data is None:
            raise InputError(f"{source}: a checkpoint alone does not say where its scene is; give --data SCENE_FOLDER.")
        return read_scene(data, DatasetConfig())
    run = RunFolder(source)
    if not (source / "run.json").is_file():
        if data is None:
            raise InputError(f"{source}: holds no run.json; give --data SCENE_FOLDER.")
        return read_scene(data, DatasetConfig())
    config = run.config().dataset
    folder = data or Path(run.facts()["scene"])
    if data is None and not folder.exists():
        raise InputError(f"{folder}: the scene of this run is no longer there; give its new place with --data.")
    return read_scene(folder, replace(config, data_dir=str(folder)))


def pictures_of(seen: RenderedView, camera: Camera, what: list[str]) -> dict[str, np.ndarray]:
    """(H, W, 3) uint8 RGB pictures by name: some of `rgb`, `normal`, `depth`, `opacity`."""
    makers: dict[str, Callable[[], np.ndarray]] = {
        "rgb": lambda: rgb_picture(seen),
        "normal": lambda: normal_picture(seen, camera),
        "depth": lambda: depth_picture(seen),
        "opacity": lambda: np.repeat(
            (seen.foreground.clamp(0, 1).numpy() * 255.0).round().astype(np.uint8)[..., None], 3, -1
        ),
    }
    return {name: makers[name]() for name in what}


def write_frames(
    model: Model, cameras: list[Camera], what: list[str], out: Path, on_frame: Callable[[int, int], None] | None = None
) -> None:
    """Renders a camera path to an .mp4, or to numbered PNG files in a folder; several pictures stand side by side.

    Raises:
        InputError: the output cannot be written.
    """
    if out.suffix.lower() == ".mp4":
        write_video(out, _frames(model, cameras, what, on_frame), cameras[0].width * len(what), cameras[0].height)
        return
    for number, frame in enumerate(_frames(model, cameras, what, on_frame)):
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
        try:
            for frame in frames:
                video.send(np.ascontiguousarray(frame[: size[1], : size[0]]))
        finally:
            video.close()


def _frames(
    model: Model, cameras: list[Camera], what: list[str], on_frame: Callable[[int, int], None] | None
) -> Iterable[np.ndarray]:
    for number, camera in enumerate(cameras):
        seen = render_view(model, camera)
        yield np.concatenate(list(pictures_of(seen, camera, what).values()), axis=1)
        if on_frame:
            on_frame(number + 1, len(cameras))
