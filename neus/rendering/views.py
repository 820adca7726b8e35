"""Whole views: a camera's rays, rendered in chunks that fit into memory, and the images made of them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from neus.geometry.cameras import Camera
from neus.geometry.poses import invert
from neus.geometry.rays import pixel_centers, rays_from_pixels
from neus.rendering.memory import in_chunks_that_fit
from neus.rendering.model import Model
from neus.rendering.renderer import RenderedPixels, RenderedRays

# Samples evaluated at a time: on a CPU few enough to stay in its caches, on a GPU enough to fill it.
MAX_POINTS_CPU, MAX_POINTS_GPU = 2**15, 2**18


class Renderer(Protocol):
    """A renderer: pixels of rays, in batches of its choice."""

    device: torch.device
    rays_at_a_time: int

    def render(
        self, origins: Tensor, directions: Tensor, background: Tensor | None = None, forward: Tensor | None = None
    ) -> RenderedPixels:
        """Pixels of rays (N, 3), (N, 3); arguments as in `Model.render`."""
        ...


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
    model: Model | Renderer,
    camera: Camera,
    background: Tensor | None = None,
    cos_anneal: float = 1.0,
    on_progress: Callable[[int, int], None] | None = None,
    max_points: int | None = None,
) -> RenderedView:
    """Every pixel of a camera: by volume rendering without jitter, or as a renderer does it.

    Where a GPU runs out of memory the rays at a time are halved, and a warning says so.

    Args:
        model: the scene, or what `renderer_for` makes of it, which is faster.
        camera: from where, and at which size.
        background: (3,) RGB behind everything; the model's own if None.
        cos_anneal: as in `render_rays`, for a model.
        on_progress: called with (rays done, rays in all) after each chunk.
        max_points: samples evaluated at a time; chosen by device if None.
    """
    is_renderer, device = hasattr(model, "rays_at_a_time"), model.device
    # In double precision, which not every device has.
    maker = device if device.type == "cuda" else torch.device("cpu")
    order = block_order(camera.width, camera.height)
    pixels = pixel_centers(camera.width, camera.height, maker).reshape(-1, 2)[order.to(maker)]
    matrices = (matrix.double().to(maker) for matrix in (camera.intrinsics, camera.camera_to_scene))
    origins, directions = rays_from_pixels(pixels, *matrices)
    forward = camera.forward.float().to(device)
    chunk = model.rays_at_a_time if is_renderer else rays_per_chunk(model, max_points)
    anneal = {} if is_renderer else {"cos_anneal": cos_anneal}
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
    place, size = order.argsort(), (camera.height, camera.width)
    return RenderedView(**{name: torch.cat(tensors)[place].unflatten(0, size) for name, tensors in parts.items()})


def block_order(width: int, height: int, side: int = 8) -> Tensor:
    """(H W,) numbers of pixels, one square of side x side after the other, so that neighbours are adjacent.

    >>> block_order(4, 2, side=2).tolist()
    [0, 1, 4, 5, 2, 3, 6, 7]
    """
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    key = ((y // side) * (width // side + 1) + x // side) * side * side + (y % side) * side + x % side
    return key.flatten().argsort()


def rays_per_chunk(model: Model, max_points: int | None = None) -> int:
    """How many rays are rendered at a time."""
    if max_points is None:
        max_points = MAX_POINTS_CPU if model.device.type == "cpu" else MAX_POINTS_GPU
    config = model.config.neus_renderer
    return max(1, max_points // (config.n_samples + config.n_importance + config.n_outside))


def rgb_image(view: RenderedView) -> np.ndarray:
    """(H, W, 3) uint8 RGB of the colours."""
    return _bytes(view.rgb)


def normal_image(view: RenderedView, camera: Camera) -> np.ndarray:
    """(H, W, 3) uint8: normals in the camera's frame; red points right, green up, blue at the viewer; white is nothing."""
    rotation = invert(camera.camera_to_scene)[:3, :3].float()
    in_camera = view.normals @ rotation.T
    colors = in_camera * torch.tensor([0.5, -0.5, -0.5]) + 0.5
    return _bytes(torch.lerp(torch.ones_like(colors), colors, view.foreground.unsqueeze(-1).clamp(0, 1)))


def depth_image(view: RenderedView, span: tuple[float, float] | None = None) -> np.ndarray:
    """(H, W, 3) uint8: near is bright, far dark, nothing black.

    Args:
        view: rendered.
        span: the nearest and the furthest depth, scene units, one for all frames of a video lest it flicker; None
            stretches to the range of this view.
    """
    solid = view.foreground > 0.5
    if not solid.any():
        return np.zeros((*view.depth.shape, 3), np.uint8)
    near, far = span or (float(view.depth[solid].min()), float(view.depth[solid].max()))
    shade = 1.0 - 0.8 * ((view.depth - near) / max(far - near, 1e-6)).clamp(0.0, 1.0)
    return _bytes((shade * solid).unsqueeze(-1).expand(-1, -1, 3))


def cut_out(view: RenderedView, image: np.ndarray, is_premultiplied: bool = False) -> np.ndarray:
    """(H, W, 4) uint8: an image (H, W, 3) with the surface's opacity as alpha.

    Args:
        view: rendered on black, without background.
        image: of it.
        is_premultiplied: of colours, which on black have the opacity in them already; they are divided by it.
    """
    alpha = view.foreground.clamp(0.0, 1.0)
    if is_premultiplied:
        image = _bytes(view.rgb / alpha.clamp_min(1e-6).unsqueeze(-1))
    return np.concatenate([image, _bytes(alpha.unsqueeze(-1))], axis=-1)


def _bytes(colors: Tensor) -> np.ndarray:
    return (colors.clamp(0.0, 1.0) * 255.0).round().to(torch.uint8).numpy()
