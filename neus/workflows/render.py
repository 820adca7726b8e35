"""Views of a trained model."""

from collections.abc import Callable
from dataclasses import replace

from torch import Tensor

from neus.errors import InputError
from neus.geometry.cameras import Camera, WorldCamera
from neus.geometry.similarity import scale_of
from neus.rendering.model import Model
from neus.rendering.modes import fastest_renderer, renderer_for
from neus.rendering.views import RenderedView, render_view

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
    renderer = fastest_renderer(model) if mode == "auto" else renderer_for(model, mode)
    if isinstance(camera, Camera):
        return render_view(renderer, camera, background, on_progress=on_progress)
    scene_to_world = model.known_world()
    seen = render_view(renderer, camera.in_scene(scene_to_world), background, on_progress=on_progress)
    scale = scale_of(scene_to_world)
    rotation = (scene_to_world[:3, :3] / scale).to(seen.normals)
    return replace(seen, depth=seen.depth * scale, t=seen.t * scale, normals=seen.normals @ rotation.T)
