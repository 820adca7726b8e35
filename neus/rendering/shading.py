"""What fast renderers need from a scene: fields evaluated by torch, hash models by their fused kernel."""

from collections.abc import Callable
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from neus.fields.mlp import chunked
from neus.rendering.behind import render_behind
from neus.rendering.density import Density
from neus.rendering.fused import FusedModel, fused_pixels, fused_sdf
from neus.rendering.fused_shell import FusedShell
from neus.rendering.model import Model
from neus.rendering.renderer import Fields, RenderedPixels, RendererConfig, render_rays, surface_interval
from neus.rendering.sampling import even_t, points_along, upsampled_t
from neus.rendering.shell import ShellConfig, ShellSamples, shell_samples

# Rays traced together while nothing is near: a square of 8 x 8 pixels.
CONE_RAYS = 64
# Rays per batch of volume rendering.
RAYS_SAMPLED = 2**12


class Shaded(NamedTuple):
    """Mean colour (A, 3), distance (A,) and gradient (A, 3) of rays' samples."""

    rgb: Tensor
    t: Tensor
    normals: Tensor


class Shading(Protocol):
    """What a renderer needs from a scene: distances, mean colours of points, and pixels by volume rendering."""

    def sdf(self, points: Tensor) -> Tensor:
        """(M,) signed distances at points (M, 3)."""
        ...

    def sample_points(
        self,
        origins: Tensor,
        directions: Tensor,
        near: Tensor,
        far: Tensor,
        sharpness: float,
        density: Density,
        lipschitz: float,
        config: ShellConfig,
    ) -> ShellSamples:
        """Points at which rays (N, 3) evaluate their colours, as in `shell_samples`; neighbouring rays are adjacent."""
        ...

    def mean(self, origins: Tensor, directions: Tensor, t: Tensor) -> Shaded:
        """Means over points t (A, K) of rays (A, 3)."""
        ...

    def full(self, origins: Tensor, directions: Tensor, background: Tensor | None) -> RenderedPixels:
        """Pixels of rays (A, 3) by volume rendering, in front of one colour (3,)."""
        ...


class FieldShading:
    """Any fields, by torch."""

    def __init__(
        self, fields: Fields, config: RendererConfig, max_points: int, sdf: Callable[[Tensor], Tensor] | None = None
    ) -> None:
        self.fields, self.config, self.max_points = fields, config, max_points
        # A faster form of `fields.surface.sdf`, where there is one.
        self.fast_sdf = sdf

    def sdf(self, points: Tensor) -> Tensor:
        """See `Shading`."""
        if self.fast_sdf is not None:
            return self.fast_sdf(points)
        parts = points.split(self.max_points)
        return torch.cat([self.fields.surface.sdf(part) for part in parts]) if parts else points[:, 0]

    def sample_points(
        self,
        origins: Tensor,
        directions: Tensor,
        near: Tensor,
        far: Tensor,
        sharpness: float,
        density: Density,
        lipschitz: float,
        config: ShellConfig,
    ) -> ShellSamples:
        """See `Shading`."""
        rays = origins, directions, near, far
        return shell_samples(self.sdf, *rays, sharpness, density, lipschitz, config, CONE_RAYS)

    def mean(self, origins: Tensor, directions: Tensor, t: Tensor) -> Shaded:
        """See `Shading`."""
        rays = max(1, self.max_points // t.shape[1])
        parts = [self._mean(*part) for part in zip(*(x.split(rays) for x in (origins, directions, t)))]
        return Shaded(*(torch.cat(values) for values in zip(*parts)))

    def _mean(self, origins: Tensor, directions: Tensor, t: Tensor) -> Shaded:
        points = points_along(origins, directions, t)
        surface = self.fields.surface.evaluate(points)
        views = directions.unsqueeze(1).expand_as(points)
        rgb = self.fields.color(points, surface.gradients, views, surface.features)
        return Shaded(rgb.mean(1), t.mean(1), surface.gradients.mean(1))

    def full(self, origins: Tensor, directions: Tensor, background: Tensor | None) -> RenderedPixels:
        """See `Shading`; the background field is evaluated again, so these are the pixels of `render_rays`."""
        config = self.config
        rays = max(1, self.max_points // (config.n_samples + config.n_importance + config.n_outside))

        def pixels(origins: Tensor, directions: Tensor) -> RenderedPixels:
            seen = render_rays(self.fields, origins, directions, config, background)
            return RenderedPixels(*(getattr(seen, name) for name in RenderedPixels._fields))

        return RenderedPixels(*chunked(pixels, rays, origins, directions))


class FusedShading:
    """A hash model whose surface is sampled within the unit sphere (`near_far = sphere`), by its fused kernel.

    `fields` are the model's; without their background for images of the surface alone.
    """

    def __init__(self, model: Model, fields: Fields) -> None:
        self.model, self.fields, self.view = model, fields, FusedModel.of(model)
        self.shell = FusedShell(model, self.view)

    def sdf(self, points: Tensor) -> Tensor:
        """See `Shading`."""
        return fused_sdf(self.model, points, self.view)

    def sample_points(
        self,
        origins: Tensor,
        directions: Tensor,
        near: Tensor,
        far: Tensor,
        sharpness: float,
        density: Density,
        lipschitz: float,
        config: ShellConfig,
    ) -> ShellSamples:
        """See `Shading`."""
        return self.shell.sample_points(origins, directions, near, far, sharpness, density, lipschitz, config)

    def mean(self, origins: Tensor, directions: Tensor, t: Tensor) -> Shaded:
        """See `Shading`."""
        rgb, normals = self.shell.means(origins, directions, t)
        return Shaded(rgb, t.mean(1), normals)

    def full(self, origins: Tensor, directions: Tensor, background: Tensor | None) -> RenderedPixels:
        """See `Shading`: the samples of `render_rays`."""
        return RenderedPixels(*chunked(lambda o, d: self._full(o, d, background), RAYS_SAMPLED, origins, directions))

    def _full(self, origins: Tensor, directions: Tensor, background: Tensor | None) -> RenderedPixels:
        config = self.model.config.neus_renderer
        near, far = surface_interval(origins, directions, within_sphere=True)
        t = even_t(near, far, config.n_samples)
        if config.n_importance > 0:
            t = upsampled_t(self.sdf, origins, directions, t, config.n_importance, config.up_sample_steps)
        behind = render_behind(self.fields.background, origins, directions, config, background)
        rgb_behind = origins.new_zeros(3) if behind.rgb is None else behind.rgb.to(origins)
        rgb_behind = rgb_behind.expand(len(origins), 3)
        is_hit = (far > near).nonzero().squeeze(-1)
        rgb, foreground, mean_t, normals = (
            rgb_behind.clone(),
            *(origins.new_zeros(len(near), *d) for d in ((), (), (3,))),
        )
        if len(is_hit) > 0:
            found = fused_pixels(self.model, self.view, origins[is_hit], directions[is_hit], t[is_hit], rgb_behind[is_hit])
            for whole, part in zip((rgb, foreground, mean_t, normals), found, strict=True):
                whole[is_hit] = part
        opacity = foreground if behind.opacity is None else foreground + behind.opacity * (1.0 - foreground)
        return RenderedPixels(rgb, opacity, foreground, mean_t, mean_t, normals)
