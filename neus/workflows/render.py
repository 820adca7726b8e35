"""Views of a trained model: one in memory, those of a scene as files, and the cameras of a video."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from neus.errors import InputError
from neus.files import check_can_write, written_whole
from neus.geometry.cameras import Camera, WorldCamera
from neus.geometry.similarity import scale_of
from neus.rendering.model import Model
from neus.rendering.modes import VolumeRenderer, renderer_for, why_not_shell
from neus.rendering.path_files import DEFAULT_FPS, read_camera_path, write_camera_path
from neus.rendering.paths import between, orbit, spiral, through
from neus.rendering.shell_renderer import ShellRenderer
from neus.rendering.views import RenderedView, Renderer, render_view
from neus.runs.console import QUIET, Console
from neus.runs.run import Run
from neus.runs.videos import images_of, write_frames
from neus.runs.view_folder import ViewFolder
from neus.scenes.images import write_image
from neus.scenes.scene import Scene, check_views

MODES = ("auto", "shell", "volume", "surface")


def render(
    model: Model,
    camera: Camera | WorldCamera,
    mode: str = "auto",
    background: Tensor | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> RenderedView:
    """The image of a camera, with depth, normals and opacity.

    Args:
        model: trained.
        camera: of the scene (`scene.camera(0)`) or in world units (`neus.Camera.look_at`). Depths, distances and normals are in its frame
            and unit.
        mode: `auto` for the fastest, `shell` to trace to the surface and sample there, `volume` to sample the whole ray, `surface` for one
            colour at the surface.
        background: (3,) RGB behind everything; the model's own if None.
        on_progress: called with (rays done, rays in all).

    Raises:
        InputError: another mode, or a camera in the world and a model that does not know it.
    """
    if mode not in MODES:
        raise InputError(f"mode {mode!r}: expected one of {', '.join(MODES)}.")
    renderer = renderer_for(model, mode)
    if isinstance(camera, Camera):
        return render_view(renderer, camera, background, on_progress=on_progress)
    scene_to_world = model.known_world()
    rendered = render_view(renderer, camera.in_scene(scene_to_world), background, on_progress=on_progress)
    scale = scale_of(scene_to_world)
    rotation = (scene_to_world[:3, :3] / scale).to(rendered.normals)
    return replace(rendered, depth=rendered.depth * scale, t=rendered.t * scale, normals=rendered.normals @ rotation.T)


@dataclass(frozen=True)
class CameraPath:
    """The cameras of a video, as one of these says.

    Attributes:
        between: views of the scene to pass through.
        n_frames: of `between`.
        there_and_back: from the first of two views to the second and back, as NeuS interpolates, `n_frames` each way.
        orbit, spiral: so many frames around the object.
        elevation: of the orbit, degrees; None as the scene's cameras.
        file: a camera path, ours or nerfstudio's.
    """

    between: Sequence[int] = ()
    n_frames: int = 60
    there_and_back: bool = False
    orbit: int | None = None
    spiral: int | None = None
    elevation: float | None = None
    file: Path | None = None

    def cameras(self, scene: Scene, sized: Callable[[Camera], Camera]) -> tuple[list[Camera], float]:
        """The cameras, and the frames per second given by the path.

        Args:
            scene: whose views are passed through or gone around.
            sized: gives a camera the size of the image that is wanted.
        """
        if self.file is not None:
            path = read_camera_path(self.file, scene.scene_to_world)
            return [sized(camera) for camera in path.cameras], path.fps
        if self.between:
            cameras = [sized(scene.camera(v)) for v in self.between]
            way = between(*cameras, self.n_frames) if self.there_and_back else through(cameras, self.n_frames)
            return way, DEFAULT_FPS
        around = [sized(scene.camera(v)) for v in range(len(scene))]
        if self.spiral is not None:
            return spiral(around, self.spiral, up=scene.vertical()), DEFAULT_FPS
        return orbit(around, self.orbit, elevation=self.elevation, up=scene.vertical()), DEFAULT_FPS


def render_run(
    run: Run,
    out: Path | None = None,
    views: Sequence[int] = (),
    path: CameraPath | None = None,
    what: Sequence[str] = ("rgb",),
    scale: float = 1.0,
    width: int | None = None,
    mode: str = "shell",
    is_alone: bool = False,
    side_by_side: bool = False,
    fps: float | None = None,
    save_path: Path | None = None,
    device: str = "auto",
    console: Console = QUIET,
) -> Path:
    """Renders views of a run's scene, or a video along a path, to files; returns the folder or the video.

    Args:
        run: whose model and scene.
        out: folder of images, or FILE.mp4; None is RUN/render.
        views: numbers of the scene's views, rendered by `write_views`.
        path: the cameras of a video, where no views are given.
        what: some of `photo`, `rgb`, `normal`, `depth`, `opacity`.
        scale: of the image, as a fraction.
        width: of the image in pixels; wins over `scale`.
        mode: as in `render`.
        is_alone: the object alone, cut out, with alpha.
        side_by_side: one image for all of a view.
        fps: frames per second; None takes the path's.
        save_path: file for the cameras of the video.
        device: as `--device`.
        console: where messages and progress go.

    Raises:
        InputError: something wrong with the run, the views or the path, or an output that cannot be written or would replace files of
            others.
    """
    path, out = path or CameraPath(), out or run.path / "render"
    _check_out(out, views, path, is_alone)
    model, scene = run.model_and_scene(device)
    check_views(views or path.between, len(scene))
    renderer = renderer_for(model, mode, is_alone)

    def sized(camera: Camera) -> Camera:
        return camera.scaled(width / camera.width if width else scale)

    if views:
        ViewFolder(out, run.path).claim(names_of_views(views, what, side_by_side))
        write_views(renderer, scene, views, list(what), out, sized, is_alone, side_by_side, console)
    else:
        cameras, path_fps = path.cameras(scene, sized)
        if save_path:
            write_camera_path(save_path, cameras, scene.scene_to_world, fps or path_fps)
        with console.bar("render", " frames") as bar:
            write_frames(
                model, cameras, list(what), out, bar, scene, fps or path_fps, bar.start, renderer, {"mode": mode}, is_alone
            )
    if fallback := about_fallback(mode, renderer):
        console.message(fallback)
    return out


def _check_out(out: Path, views: Sequence[int], path: CameraPath, is_alone: bool) -> None:
    is_video = out.suffix.lower() == ".mp4"
    if views and is_video:
        raise InputError(
            f"--out {out}: single views are written to a folder; give one, or use --between, --orbit, --spiral or --path."
        )
    if out.suffix and not is_video:
        raise InputError(f"--out {out}: expected a folder or a file ending in .mp4.")
    if not views and len(path.between) == 1:
        raise InputError("--between: found one view, expected two or more, such as --between 3 17.")
    if is_alone and is_video:
        raise InputError(f"--out {out}: an .mp4 has no alpha; give a folder, or omit --alpha.")
    check_can_write(out if out.suffix else out / "frame.png")


def names_of_views(views: Sequence[int], what: Sequence[str], side_by_side: bool = False) -> list[str]:
    """The files that `write_views` writes.

    >>> names_of_views([3], ["rgb", "depth"])
    ['003_rgb.png', '003_depth.png', '003_depth.npy']
    """
    images = ["_".join(what)] if side_by_side else what
    ends = [f"{name}.png" for name in images] + (["depth.npy"] if "depth" in what else [])
    return [f"{view:03d}_{end}" for view in views for end in ends]


def write_views(
    renderer: Renderer,
    scene: Scene,
    views: Sequence[int],
    what: list[str],
    out: Path,
    sized: Callable[[Camera], Camera],
    is_alone: bool = False,
    side_by_side: bool = False,
    console: Console = QUIET,
) -> None:
    """Renders views of a scene to OUT/VIEW_WHAT.png, and depths to OUT/VIEW_depth.npy in world units as well.

    Args:
        renderer: of the model.
        scene: whose views and images.
        views: their numbers.
        what: some of `photo`, `rgb`, `normal`, `depth`, `opacity`.
        out: folder.
        sized: gives a camera the size of the image that is wanted.
        is_alone: the object alone, cut out, with alpha.
        side_by_side: one image for all of a view.
        console: where progress goes.
    """
    background = torch.zeros(3) if is_alone else None
    for view in views:
        camera = sized(scene.camera(view))
        with console.bar(f"view {view}", " rays") as progress:
            rendered = render_view(renderer, camera, background, on_progress=progress)
        named_images = images_of(rendered, camera, what, scene.images[view], is_alone=is_alone)
        if side_by_side:
            named_images = {"_".join(named_images): np.concatenate(list(named_images.values()), axis=1)}
        for name, rendered_image in named_images.items():
            write_image(out / f"{view:03d}_{name}.png", rendered_image)
        if "depth" in what:
            with written_whole(out / f"{view:03d}_depth.npy") as beside:
                np.save(beside, rendered.depth.numpy() * scale_of(scene.scene_to_world))


def about_fallback(mode: str, renderer: VolumeRenderer | ShellRenderer) -> str:
    """What was not rendered in the requested mode, in one line; empty for `volume` and `auto`."""
    if mode == "shell" and (reason := why_not_shell(renderer.fields)):
        return f"rendered by volume: {reason}"
    if mode not in ("shell", "surface"):
        return ""
    return f"{mode}: {renderer.stats.fallback_fraction:.1%} of the rays fell back to full volume rendering"
