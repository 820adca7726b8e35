"""Batches of rays with their colours, drawn from the pixels of a scene."""

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from neus.geometry.rays import rays_from_pixels
from neus.kernels.async_copy import to_device_async
from neus.scenes.pixel_store import size_at
from neus.scenes.scene import Scene


@dataclass(frozen=True)
class RayBatch:
    """N rays and what the images show along them.

    Attributes:
        origins, directions: (N, 3), scene frame, unit directions.
        colors: (N, 3) RGB in [0, 1].
        masks: (N,) 1 on the object, 0 elsewhere, between them where the object covers a part of the pixel and images tell; or None
            without masks.
    """

    origins: Tensor
    directions: Tensor
    colors: Tensor
    masks: Tensor | None

    def to(self, device: torch.device) -> "RayBatch":
        """The same batch in float32 on a device."""
        masks = None if self.masks is None else to_device_async(self.masks, device)
        origins, directions = to_device_async(self.origins.float(), device), to_device_async(self.directions.float(), device)
        return RayBatch(origins, directions, to_device_async(self.colors, device), masks)


def rays_of(batch: RayBatch, kept: Tensor) -> RayBatch:
    """Some rays of a batch, by their numbers (M,) or by which are kept (N,) bool."""
    masks = None if batch.masks is None else batch.masks[kept]
    return RayBatch(batch.origins[kept], batch.directions[kept], batch.colors[kept], masks)


def rays_at(scene: Scene, view: int, x: Tensor, y: Tensor) -> RayBatch:
    """The rays through the centres of pixels (x, y), integers (N,), of one view."""
    pixels = torch.stack([x, y], dim=-1).double() + 0.5
    origins, directions = rays_from_pixels(pixels, scene.intrinsics[view], scene.camera_to_scene[view])
    colors = torch.from_numpy(scene.images[view][y.numpy(), x.numpy()]).float() / 255.0
    masks = None
    if scene.masks is not None:
        masks = torch.from_numpy(scene.masks[view][y.numpy(), x.numpy()]).float()
    return RayBatch(origins, directions, colors, masks)


def random_rays(scene: Scene, view: int, n_rays: int, generator: Generator) -> RayBatch:
    """`n_rays` rays of one view, uniform over its pixels with replacement, as NeuS draws them."""
    width, height = size_at(scene.images, view)
    x = torch.randint(width, (n_rays,), generator=generator)
    y = torch.randint(height, (n_rays,), generator=generator)
    return rays_at(scene, view, x, y)


class ViewOrder:
    """The order in which views are visited: a random permutation, drawn anew after each round, as in NeuS.

    Attributes:
        views: (V,) the present permutation; part of a checkpoint, so that a resumed run sees the same views.
    """

    def __init__(self, n_views: int, generator: Generator) -> None:
        self.generator = generator
        self.views = torch.randperm(n_views, generator=generator)

    def view_at(self, iteration: int) -> int:
        """The view of one iteration; a new round begins when all have been seen."""
        position = iteration % len(self.views)
        if position == 0 and iteration > 0:
            self.views = torch.randperm(len(self.views), generator=self.generator)
        return int(self.views[position])
