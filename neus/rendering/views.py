"""Whole views: a camera's rays, rendered in chunks that fit into memory, and the pictures made of them."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from neus.geometry.cameras import Camera
from neus.geometry.poses import invert
from neus.geometry.rays import pixel_centers, rays_from_pixels
from neus.rendering.marched import MarchedRenderer
from neus.rendering.memory import in_chunks_that_fit
from neus.rendering.model import Model
from neus.rendering.renderer import RenderedPixels, RenderedRays

# Samples evaluated at a time: on a CPU few enough to stay in its caches, on a GPU enough to fill it.
MAX_POINTS_CPU, MAX_POINTS_GPU = 2**15, 2**18
# Rays marched at a time: a CPU's kernel cuts them into tiles itself; on a GPU memory sets the bound.
RAYS_MARCHED, RAYS_MARCHED_GPU = 2**14, 2**17


@dataclass(frozen=True)
class RenderedView:
    """What a camera sees, as float32 tensors on the CPU.

    Attributes:
        rgb: (H, W, 3) in [0, 1].
        opacity: (H, W), background network included.
        foreground: (H, W), opacity of the surface alone.
        depth: (H, W), along the camera's z, scene units; 0 where nothing is met.
        t: (H, W), distance along the ray, scene units.
        normals: (H, W, 3), unit, in the scene frame; 0 where nothing is met.
    """

    rgb: Tensor
    opacity: Tensor
    foreground: Tensor
    depth: Tensor
    t: Tensor
    normals: Tensor


@torch.no_grad()
def render_view(
    model: Model | MarchedRenderer,
    camera: Camera,
    background: Tensor | None = None,
    cos_anneal: float = 1.0,
    on_progress: Callable[[int, int], None] | None = None,
    max_points: int | None = None,
) -> RenderedView:
    """Every pixel of a camera, by volume rendering without jitter.

    Where a GPU runs out of memory the rays at a time are halved, and a warning says so.

    Args:
        model: the scene; of several views of a hash model `fastest_renderer` makes something faster.
        camera: from where, and at which size.
        background: (3,) RGB behind everything; the model's own if None.
        cos_anneal: as in `render_rays`.
        on_progress: called with (rays done, rays in all) after each chunk.
        max_points: samples evaluated at a time; chosen by device if None.
    """
    is_marched, device = isinstance(model, MarchedRenderer), model.device
    # In double precision, which not every device has.
    maker = device if device.type == "cuda" else torch.device("cpu")
    pixels = pixel_centers(camera.width, camera.height, maker).reshape(-1, 2)
    matrices = (matrix.double().to(maker) for matrix in (camera.intrinsics, camera.camera_to_scene))
    origins, directions = rays_from_pixels(pixels, *matrices)
    forward = camera.forward.float().to(device)
    chunk = rays_marched(device) if is_marched else rays_per_chunk(model, max_points)
    anneal = {} if is_marched else {"cos_anneal": cos_anneal}
    names = RenderedView.__dataclass_fields__
    parts: dict[str, list[Tensor]] = {name: [] for name in names}

    def render(start: int, stop: int) -> RenderedRays | RenderedPixels:
        o, d = (x[start:stop].float().to(device) for x in (origins, directions))
        return model.render(o, d, background, forward=forward, **anneal)

    for stop, rendered in in_chunks_that_fit(render, len(pixels), chunk, device):
        for name in names:
            parts[name].append(getattr(rendered, name).float().cpu())
        if on_progress:
            on_progress(stop, len(pixels))
    whole = {name: torch.cat(tensors).unflatten(0, (camera.height, camera.width)) for name, tensors in parts.items()}
    return RenderedView(**whole)


def rays_marched(device: torch.device) -> int:
    """How many rays are marched at a time."""
    return RAYS_MARCHED if device.type == "cpu" else RAYS_MARCHED_GPU


def rays_per_chunk(model: Model, max_points: int | None = None) -> int:
    """How many rays are rendered at a time."""
    if max_points is None:
        max_points = MAX_POINTS_CPU if model.device.type == "cpu" else MAX_POINTS_GPU
    config = model.config.neus_renderer
    return max(1, max_points // (config.n_samples + config.n_importance + config.n_outside))


def rgb_picture(view: RenderedView) -> np.ndarray:
    """(H, W, 3) uint8 RGB of the colours."""
    return _bytes(view.rgb)


def normal_picture(view: RenderedView, camera: Camera) -> np.ndarray:
    """(H, W, 3) uint8: normals in the camera's frame; red points right, green up, blue at the viewer; white is nothing."""
    rotation = invert(camera.camera_to_scene)[:3, :3].float()
    in_camera = view.normals @ rotation.T
    colors = in_camera * torch.tensor([0.5, -0.5, -0.5]) + 0.5
    return _bytes(torch.lerp(torch.ones_like(colors), colors, view.foreground.unsqueeze(-1).clamp(0, 1)))


def depth_picture(view: RenderedView) -> np.ndarray:
    """(H, W, 3) uint8: near is bright, far dark, nothing black; stretched to the range of this view."""
    solid = view.foreground > 0.5
    if not solid.any():
        return np.zeros((*view.depth.shape, 3), np.uint8)
    near, far = view.depth[solid].min(), view.depth[solid].max()
    shade = 1.0 - 0.8 * (view.depth - near) / (far - near).clamp_min(1e-6)
    return _bytes((shade * solid).unsqueeze(-1).expand(-1, -1, 3))


def _bytes(colors: Tensor) -> np.ndarray:
    return (colors.clamp(0.0, 1.0) * 255.0).round().to(torch.uint8).numpy()
