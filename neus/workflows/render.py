"""Views of a trained model: one in memory, those of a scene as files, and the cameras of a video."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from neus.errors import InputError
from neus.files import written_whole
from neus.geometry.cameras import Camera, WorldCamera
from neus.geometry.similarity import scale_of
from neus.rendering.model import Model
from neus.rendering.modes import VolumeRenderer, renderer_for, why_not_shell
from neus.rendering.path_files import DEFAULT_FPS, read_camera_path
from neus.rendering.paths import orbit, spiral, through
from neus.rendering.shell_renderer import ShellRenderer
from neus.rendering.views import RenderedView, Renderer, render_view
from neus.runs.console import QUIET, Console
from neus.runs.videos import images_of
from neus.scenes.images import write_image
from neus.scenes.scene import Scene

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
        orbit, spiral: so many frames around the object.
        elevation: of the orbit, degrees; None as the scene's cameras.
        file: a camera path, ours or nerfstudio's.
    """

    between: Sequence[int] = ()
    n_frames: int = 60
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
            return through([sized(scene.camera(v)) for v in self.between], self.n_frames), DEFAULT_FPS
        around = [sized(scene.camera(v)) for v in range(len(scene))]
        if self.spiral is not None:
            return spiral(around, self.spiral), DEFAULT_FPS
        return orbit(around, self.orbit, elevation=self.elevation), DEFAULT_FPS


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
    """What was not rendered in the requested mode, in one line; empty for `volume`."""
    if mode == "shell" and (reason := why_not_shell(renderer.fields)):
        return f"rendered by volume: {reason}"
    if mode == "volume":
        return ""
    return f"{mode}: {renderer.stats.fallback_fraction:.1%} of the rays fell back to full volume rendering"
