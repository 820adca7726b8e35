"""Scenes of runs, and sequences of rendered images on disk."""

from collections.abc import Callable, Iterable
from pathlib import Path

import cv2
import imageio_ffmpeg
import numpy as np
import torch

from neus.files import written_whole
from neus.geometry.cameras import Camera
from neus.rendering.model import Model
from neus.rendering.modes import renderer_for
from neus.rendering.views import (
    RenderedView,
    Renderer,
    cut_out,
    depth_image,
    normal_image,
    render_view,
    rgb_image,
)
from neus.runs.frames import FrameFolder, settings_of
from neus.scenes.scene import Scene

FRAMES_PER_SECOND = 30


def images_of(
    rendered: RenderedView,
    camera: Camera,
    what: list[str],
    captured: np.ndarray | None = None,
    depth_span: tuple[float, float] | None = None,
    is_alone: bool = False,
) -> dict[str, np.ndarray]:
    """(H, W, 3) uint8 RGB images by name: some of `photo`, `rgb`, `normal`, `depth`, `opacity`; (H, W, 4) with the object alone."""
    makers: dict[str, Callable[[], np.ndarray]] = {
        "photo": lambda: fitted(captured, camera.width, camera.height),
        "rgb": lambda: rgb_image(rendered),
        "normal": lambda: normal_image(rendered, camera),
        "depth": lambda: depth_image(rendered, depth_span),
        "opacity": lambda: np.repeat(
            (rendered.foreground.clamp(0, 1).numpy() * 255.0).round().astype(np.uint8)[..., None], 3, -1
        ),
    }
    named_images = {name: makers[name]() for name in what}
    if not is_alone:
        return named_images
    # The image shows more than the object, and stays whole.
    return {
        name: cv2.cvtColor(rendered_image, cv2.COLOR_RGB2RGBA) if name == "photo" else cut_out(rendered, rendered_image, name == "rgb")
        for name, rendered_image in named_images.items()
    }


def fitted(captured: np.ndarray, width: int, height: int) -> np.ndarray:
    """(height, width, 3) an image scaled to fit, white beside it if its shape is another."""
    factor = min(width / captured.shape[1], height / captured.shape[0])
    size = max(1, round(captured.shape[1] * factor)), max(1, round(captured.shape[0] * factor))
    method = cv2.INTER_AREA if factor < 1.0 else cv2.INTER_LINEAR
    small = captured if size == captured.shape[1::-1] else cv2.resize(captured, size, interpolation=method)
    rendered_image = np.full((height, width, 3), 255, np.uint8)
    top, left = (height - size[1]) // 2, (width - size[0]) // 2
    rendered_image[top : top + size[1], left : left + size[0]] = small
    return rendered_image


def nearest_view(scene: Scene, camera: Camera) -> int:
    """The view of the scene most like a camera: nearest in position (unit: the object's radius) and viewing direction."""
    away = (scene.camera_to_scene[:, :3, 3] - camera.center).norm(dim=-1)
    turned = (scene.camera_to_scene[:, :3, 2] - camera.forward).norm(dim=-1)
    return int((away + turned).argmin())


def write_frames(
    model: Model,
    cameras: list[Camera],
    what: list[str],
    out: Path,
    on_frame: Callable[[int, int], None] | None = None,
    scene: Scene | None = None,
    fps: float = FRAMES_PER_SECOND,
    on_start: Callable[[int, int], None] | None = None,
    renderer: Model | Renderer | None = None,
    settings: dict[str, str] | None = None,
    is_alone: bool = False,
) -> None:
    """Renders a camera path to an .mp4, or to numbered PNG files in a folder; several images are put side by side.

    Frames are written to a folder first (of an .mp4: NAME_frames beside it, removed once the video is whole). If that
    holds frames of the same model, path and images from a run that was interrupted, only the others are rendered.

    Args:
        model, cameras, what: one frame for each camera; names as of `images_of`.
        out: ends in .mp4, or is a folder.
        on_frame: called with (frames done, frames in all) after each.
        scene: whose nearest image is shown as `photo`.
        fps: frames per second of the video.
        on_start: called once with (frames found from an earlier run, frames in all).
        renderer: of the model; None takes the fastest.
        settings: what else the images depend on, by name, such as how the renderer is set.
        is_alone: the surface alone, cut out; not for an .mp4.

    Raises:
        InputError: the output cannot be written.
    """
    is_video = out.suffix.lower() == ".mp4"
    place = out.with_name(f"{out.stem}_frames") if is_video else out
    folder = FrameFolder(
        place, settings_of(model, cameras, what, is_alone=str(is_alone), **(settings or {})), len(cameras)
    )
    missing = folder.missing()
    # Made before the clock of the progress line starts: it takes as long as a few frames.
    renderer = renderer or (renderer_for(model) if missing else model)
    if on_start:
        on_start(len(cameras) - len(missing), len(cameras))
    for done, (number, frame) in enumerate(
        _frames(renderer, cameras, what, missing, scene, is_alone), len(cameras) - len(missing)
    ):
        folder.write(number, frame)
        if on_frame:
            on_frame(done + 1, len(cameras))
    if is_video:
        height, width = folder.read(0).shape[:2]
        write_video(out, (folder.read(number) for number in range(len(cameras))), width, height, fps)
        folder.remove()


def write_video(
    path: Path, frames: Iterable[np.ndarray], width: int, height: int, fps: float = FRAMES_PER_SECOND
) -> None:
    """Writes frames (H, W, 3) uint8 as H.264 in MP4, which plays in browsers; odd sizes lose a row or column.

    With `faststart`, so that it plays while it is still being loaded.

    Raises:
        InputError: the file cannot be written.
    """
    size = (width // 2 * 2, height // 2 * 2)
    with written_whole(path) as beside:
        video = imageio_ffmpeg.write_frames(
            str(beside),
            size,
            fps=fps,
            codec="libx264",
            pix_fmt_out="yuv420p",
            macro_block_size=2,
            quality=8,
            output_params=["-movflags", "+faststart"],
        )
        video.send(None)
        n_frames = 0
        try:
            for frame in frames:
                video.send(np.ascontiguousarray(frame[: size[1], : size[0]]))
                n_frames += 1
        finally:
            video.close()
        if _frames_in(beside) != n_frames:  # the encoder does not report a full disk
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
    numbers: list[int],
    scene: Scene | None,
    is_alone: bool,
) -> Iterable[tuple[int, np.ndarray]]:
    """The frames of some numbers, with those."""
    distances = torch.stack([camera.center.norm() for camera in cameras])
    # The object lies inside the unit sphere.
    span = float((distances.min() - 1.0).clamp_min(0.0)), float(distances.max() + 1.0)
    background = torch.zeros(3) if is_alone else None
    for number in numbers:
        rendered = render_view(renderer, cameras[number], background=background)
        captured = scene.images[nearest_view(scene, cameras[number])] if "photo" in what else None
        named_images = images_of(rendered, cameras[number], what, captured, span, is_alone)
        yield number, np.concatenate(list(named_images.values()), axis=1)
