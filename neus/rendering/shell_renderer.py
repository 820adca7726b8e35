"""Fast images of a trained model: rays traced to the surface's shell, few colours there, volume rendering where unclear."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from neus.fields.base import BackgroundField
from neus.geometry.rays import intersect_sphere, near_far_around_center
from neus.rendering.behind import background_edges, composite_background
from neus.rendering.density import LogisticDensity
from neus.rendering.renderer import (
    Fields,
    RenderedPixels,
    RendererConfig,
    surface_interval,
)
from neus.rendering.shading import CONE_RAYS, Shading
from neus.rendering.shell import ShellConfig
from neus.rendering.slope import slope_of
from neus.rendering.sphere_tracing import cone_trace, trace

# Intervals before the unit sphere, and as many behind it, of rays whose samples NeuS places beyond it.
N_CAP = 16
# Transmittance below which an 8-bit image shows no background.
NOTHING_PASSES = 1e-3
# A shell thicker than this is not thin against the object: below s = 100.
THICKEST_SHELL = 0.056
# Caps thinner than this hold less than an interval.
THINNEST_CAP = 0.01
# Rays whose background is evaluated together.
NETWORK_RAYS = 2**10
SURFACE_TOLERANCE = 1e-4
# Rays traced at a time: few are left after some steps, and the points of those few should still be many.
RAYS_TRACED = 2**16


@dataclass
class TracingStats:
    """Counts of what was rendered.

    Attributes:
        rays: all of them.
        fallen_back: rays that fell back to volume rendering.
        distances: evaluations of the signed distance alone.
        colors: evaluations of distance, gradient and colour.
    """

    rays: int = 0
    fallen_back: int = 0
    distances: int = 0
    colors: int = 0

    def add(self, rays: int, fallen_back: int, distances: int, colors: int) -> None:
        """Adds to each count."""
        self.rays, self.fallen_back = self.rays + rays, self.fallen_back + fallen_back
        self.distances, self.colors = self.distances + distances, self.colors + colors

    def add_full(self, config: RendererConfig, rays: int) -> None:
        """Adds the evaluations of volume rendering for so many rays; no distances are evaluated after the last round."""
        up_sampled = config.n_importance - config.n_importance // config.up_sample_steps
        self.add(0, 0, rays * (config.n_samples + up_sampled), rays * (config.n_samples + config.n_importance))

    @property
    def fallback_fraction(self) -> float:
        """In [0, 1]."""
        return self.fallen_back / max(1, self.rays)


class ShellRenderer:
    """Pixels of a scene as it was when this was made.

    Attributes:
        mode: `shell`, or `surface` for one colour where the distance is zero: hard edges, and nothing translucent.
        stats: what was done so far.
        lipschitz: the field's greatest slope, estimated.
    """

    def __init__(
        self,
        shading: Shading,
        fields: Fields,
        renderer: RendererConfig,
        mode: str = "shell",
        config: ShellConfig | None = None,
        background: Tensor | None = None,
        lipschitz: float | None = None,
    ) -> None:
        self.background = background
        self.shading, self.fields, self.renderer = shading, fields, renderer
        self.mode, self.config, self.stats = mode, config or ShellConfig(), TracingStats()
        self.sharpness = float(fields.sharpness.detach())
        self.lipschitz = lipschitz or slope_of(fields)
        self.has_network = fields.background is not None and renderer.n_outside > 0
        self.device = fields.sharpness.device
        self.rays_at_a_time = RAYS_TRACED

    @torch.no_grad()
    def render(
        self, origins: Tensor, directions: Tensor, background: Tensor | None = None, forward: Tensor | None = None
    ) -> RenderedPixels:
        """Pixels of rays (N, 3), (N, 3); arguments as in `Model.render`. Neighbouring rays should be adjacent."""
        background = self.background if background is None else background
        near, far = self._near_far(origins, directions)
        seen = (self._on_surface if self.mode == "surface" else self._in_shell)(origins, directions, near, far)
        rgb, t, normals = origins.new_zeros(len(near), 3), torch.zeros_like(near), origins.new_zeros(len(near), 3)
        for rays, samples in seen.samples:
            if len(rays) > 0:
                shaded = self.shading.mean(origins[rays], directions[rays], samples)
                rgb[rays], t[rays], normals[rays] = shaded
        foreground = 1.0 - seen.transmittance
        pixels = RenderedPixels(rgb * foreground.unsqueeze(-1), foreground, foreground, t, t, normals)
        pixels = self._before_backdrop(pixels, origins, directions, ~seen.needs_fallback, background)
        rest = seen.needs_fallback.nonzero().squeeze(-1)
        if len(rest) > 0:
            full = self.shading.full(origins[rest], directions[rest], background)
            for whole, part in zip(pixels, full, strict=True):
                whole[rest] = part.to(whole)
            self.stats.add_full(self.renderer, len(rest))
        self.stats.add(len(near), len(rest), seen.evaluations, sum(samples.numel() for _, samples in seen.samples))
        along_axis = 1.0 if forward is None else (directions * forward).sum(-1)
        normals = torch.nn.functional.normalize(pixels.normals, dim=-1)
        return pixels._replace(depth=pixels.t * along_axis, normals=normals)

    def _near_far(self, origins: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
        """The stretch that volume rendering samples, as far as it lies in front of the camera."""
        # With a background network the surface ends at the sphere, whatever samples it.
        near, far = surface_interval(origins, directions, self.has_network or self.renderer.near_far == "sphere")
        return near, torch.where(far > near, far, near - 1.0)

    def _in_shell(self, origins: Tensor, directions: Tensor, near: Tensor, far: Tensor) -> "_ShellResult":
        rays = origins, directions, near, far
        traced = self._traced(rays, self.config)
        again = traced.needs_fallback.nonzero().squeeze(-1)
        if self.config.refinement == 1 or len(again) == 0:
            return traced
        finer = self._traced([x[again] for x in rays], self.config.refined())
        return _ShellResult(
            traced.samples + [(again[some], t) for some, t in finer.samples],
            traced.transmittance.index_put((again,), finer.transmittance),
            traced.needs_fallback.index_put((again,), finer.needs_fallback),
            traced.evaluations + finer.evaluations,
        )

    def _traced(self, rays: Sequence[Tensor], config: ShellConfig) -> "_ShellResult":
        found = self.shading.sample_points(*rays, self.sharpness, self.fields.density, self.lipschitz, config)
        seen = (found.is_hit & ~found.needs_fallback).nonzero().squeeze(-1)
        return _ShellResult([(seen, found.t[seen])], found.transmittance, found.needs_fallback, found.evaluations)

    def _on_surface(self, origins: Tensor, directions: Tensor, near: Tensor, far: Tensor) -> "_ShellResult":
        rays = origins, directions
        start, n_cones = cone_trace(self.shading.sdf, *rays, near, far, CONE_RAYS, self.lipschitz)
        found = trace(self.shading.sdf, *rays, start, far, SURFACE_TOLERANCE, lipschitz=self.lipschitz)
        n = n_cones + int(found.evaluations.sum())
        hits = found.hit.nonzero().squeeze(-1)
        return _ShellResult([(hits, found.t[hits].unsqueeze(-1))], 1.0 - found.hit.to(near), found.undecided, n)

    def _before_backdrop(
        self, pixels: RenderedPixels, origins: Tensor, directions: Tensor, is_clear: Tensor, background: Tensor | None
    ) -> RenderedPixels:
        """Pixels over their background, and behind what the background network has in front of the unit sphere."""
        rgb, foreground, opacity = (x.clone() for x in (pixels.rgb, pixels.foreground, pixels.opacity))
        light = 1.0 - foreground
        if self.has_network:
            rgb, foreground, light = self._with_network(rgb, foreground, origins, directions, is_clear)
            opacity = 1.0 - light
        if background is not None:
            rgb = rgb + light.unsqueeze(-1) * background.to(rgb)
        return pixels._replace(rgb=rgb, foreground=foreground, opacity=opacity)

    def _with_network(
        self, rgb: Tensor, foreground: Tensor, origins: Tensor, directions: Tensor, is_clear: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Colours, opacity of the surface, and the transmittance of surface and background network."""
        light = 1.0 - foreground
        caps = Caps.of(origins, directions, self.renderer, self.fields.background)
        shows = (is_clear & (light > NOTHING_PASSES)).nonzero().squeeze(-1)
        if len(shows) > 0:
            behind, passing = self._through_fog(origins, directions, shows, caps.behind[shows])
            rgb[shows] += light[shows].unsqueeze(-1) * behind
            light[shows] *= passing
        before = (is_clear & caps.has_front).nonzero().squeeze(-1)
        if len(before) > 0:
            fog, passing = self._through_fog(origins, directions, before, caps.front[before])
            rgb[before] = fog + passing.unsqueeze(-1) * rgb[before]
            foreground[before], light[before] = foreground[before] * passing, light[before] * passing
        return rgb, foreground, light

    def _through_fog(
        self, origins: Tensor, directions: Tensor, rays: Tensor, edges: Tensor
    ) -> tuple[Tensor, Tensor]:
        """(A, 3) colours and (A,) transmittances of the background network between edges (A, B + 1) of rays (A,)."""
        parts = [
            composite_background(self.fields.background, origins[some], directions[some], t)
            for some, t in zip(rays.split(NETWORK_RAYS), edges.split(NETWORK_RAYS))
        ]
        return tuple(torch.cat(values) for values in zip(*parts))


class _ShellResult(NamedTuple):
    """Points t (A, K) on some rays (A,), in parts; of all N rays the transmittance and which are unclear; evaluations made."""

    samples: list[tuple[Tensor, Tensor]]
    transmittance: Tensor
    needs_fallback: Tensor
    evaluations: int


class Caps(NamedTuple):
    """Where the background network is evaluated: interval ends in front of the unit sphere (N, C + 1) and behind it (N, B + 1)."""

    front: Tensor
    has_front: Tensor
    behind: Tensor

    @classmethod
    def of(
        cls, origins: Tensor, directions: Tensor, config: RendererConfig, background: BackgroundField
    ) -> "Caps":
        """Of rays (N, 3): as in `render_rays`, whose samples reach beyond the sphere on either side unless `near_far` is `sphere`."""
        has_background_segments = config.near_far == "neus"
        enters, leaves, _ = intersect_sphere(origins, directions)
        near, far = near_far_around_center(origins, directions)
        fraction = torch.linspace(0.0, 1.0, N_CAP + 1).to(near)
        front = torch.lerp(near.clamp_min(0.0).unsqueeze(-1), enters.unsqueeze(-1), fraction)
        behind = background_edges(background, origins, directions, config)
        cap = torch.lerp(leaves.clamp_min(0.0).unsqueeze(-1), far.clamp_min(0.0).unsqueeze(-1), fraction)
        behind = torch.cat([cap, behind], dim=-1) if has_background_segments else behind
        return cls(front, (enters - near.clamp_min(0.0) > THINNEST_CAP) & has_background_segments, behind)


def why_not_shell(fields: Fields) -> str:
    """What keeps a scene from being rendered by its shell, for a message; empty if nothing does."""
    if not isinstance(fields.density, LogisticDensity):
        return f"its density is {type(fields.density).__name__}, not the logistic one"
    half = ShellConfig().half_width / float(fields.sharpness.detach())
    return f"its sharpness is low: the surface is {half:.2f} wide on either side" if half > THICKEST_SHELL else ""
