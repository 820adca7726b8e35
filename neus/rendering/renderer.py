"""Rays and fields to pixels: NeuS's volume rendering."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from neus.fields.base import BackgroundField, ColorField, SurfaceField
from neus.geometry.intervals import deltas_from_t
from neus.geometry.rays import intersect_sphere, near_far_around_center
from neus.rendering.behind import Behind, background_t, render_behind, with_background
from neus.rendering.density import Density
from neus.rendering.interval_ends import max_linear_extent, sdf_at_interval_ends
from neus.rendering.renderer_config import RendererConfig
from neus.rendering.sampling import Randomness, even_t, points_along, upsampled_t
from neus.rendering.weights import composite, composite_alphas, weights_from_alphas


@dataclass(frozen=True)
class Fields:
    """The functions of space that together make a scene.

    Attributes:
        surface: signed distance field.
        color: radiance of the surface.
        background: of everything outside the unit sphere, or None.
        density: signed distance to opacity.
        sharpness: (), one over the width of the surface.
    """

    surface: SurfaceField
    color: ColorField
    background: BackgroundField | None
    density: Density
    sharpness: Tensor


class RenderedPixels(NamedTuple):
    """What N rays see, without what the losses need; the fields are as in `RenderedRays`."""

    rgb: Tensor
    opacity: Tensor
    foreground: Tensor
    depth: Tensor
    t: Tensor
    normals: Tensor


@dataclass(frozen=True)
class RenderedRays:
    """What a batch of N rays sees, and what the losses need.

    Attributes:
        rgb: (N, 3), background included.
        opacity: (N,), sum of all weights; with a background network it is close to one everywhere.
        foreground: (N,), sum of the weights of the surface alone.
        t: (N,), mean distance of the surface along the ray, scene units; 0 where nothing is met.
        depth: (N,), the same along the viewing axis of the camera if that was given, else equal to `t`.
        normals: (N, 3), unit normals of the surface in the scene frame; 0 where nothing is met.
        weights: (N, S), of all intervals, those of the background network last.
        sdf: (N, S'), signed distances at the middles of the S' intervals of the foreground.
        gradients: (N, S', 3), raw gradients there.
        t_mids: (N, S'), distances of those middles.
        radii: (N, S'), their distances from the scene's centre; infinite on rays that miss the unit sphere where `near_far` is `sphere`.
    """

    rgb: Tensor
    opacity: Tensor
    foreground: Tensor
    t: Tensor
    depth: Tensor
    normals: Tensor
    weights: Tensor
    sdf: Tensor
    gradients: Tensor
    t_mids: Tensor
    radii: Tensor


def render_rays(
    fields: Fields,
    origins: Tensor,
    directions: Tensor,
    config: RendererConfig,
    background: Tensor | None = None,
    perturb: bool = False,
    cos_anneal: float | Tensor = 1.0,
    generator: Randomness | None = None,
    forward: Tensor | None = None,
) -> RenderedRays:
    """Colour, depth, normal and opacity of rays: NeuS sec. 3, with its samplers.

    Args:
        fields: the scene.
        origins, directions: (N, 3), scene frame, unit directions.
        config: numbers of samples.
        background: (3,) or (N, 3) RGB behind everything; black if None.
        perturb: jitter the samples, for training.
        cos_anneal: in [0, 1], or such a tensor (); 0 is the start, when the slope of the surface is not yet to be trusted; 1 the end.
        generator: source of the jitter.
        forward: (3,) or (N, 3), the camera's viewing axis, for depth along it.

    Returns:
        `RenderedRays`, differentiable in the parameters of the fields.
    """
    if config.near_far == "sphere":
        t = _t_within_sphere(fields, origins, directions, config, perturb, generator)
        behind = render_behind(
            fields.background, origins, directions, config, background, generator if perturb else None
        )
        intervals, longest = (t[:, :-1], t[:, 1:] - t[:, :-1]), max_linear_extent(fields.sharpness)
        return _shaded(fields, origins, directions, intervals, None, 0.0, behind, cos_anneal, forward, longest=longest)
    near, far = near_far_around_center(origins, directions)
    jitter = config.perturb if perturb else 0.0
    t = even_t(near, far, config.n_samples, generator, jitter)
    t_outside = None
    if config.n_outside > 0 and fields.background is not None:
        t_outside = background_t(origins, directions, config, generator, jitter)
    if config.n_importance > 0:
        t = upsampled_t(fields.surface.sdf, origins, directions, t, config.n_importance, config.up_sample_steps)
    last_delta = 2.0 / config.n_samples
    intervals = t, deltas_from_t(t, last_delta)
    behind = Behind(background, None)
    return _shaded(fields, origins, directions, intervals, t_outside, last_delta, behind, cos_anneal, forward)


def surface_interval(origins: Tensor, directions: Tensor, within_sphere: bool) -> tuple[Tensor, Tensor]:
    """Where rays (N, 3), (N, 3) sample the surface, near and far (N,): not before the camera; a ray with far <= near meets nothing.

    Args:
        within_sphere: from where the unit sphere is entered to where it is left; otherwise NeuS's near and far.
    """
    if within_sphere:
        enters, leaves, hits = intersect_sphere(origins, directions)
        return enters, torch.where(hits, leaves, enters)
    near, far = near_far_around_center(origins, directions)
    return near.clamp_min(0.0), far


def _t_within_sphere(
    fields: Fields,
    origins: Tensor,
    directions: Tensor,
    config: RendererConfig,
    perturb: bool,
    generator: Randomness | None,
) -> Tensor:
    """Interval ends (N, S) between entering and leaving the unit sphere; all alike for rays that miss it."""
    near, far = surface_interval(origins, directions, within_sphere=True)
    # Jittered on a stretch of length 2, as NeuS's are, then brought to the ray's own.
    jitter = config.perturb if perturb else 0.0
    steps = even_t(torch.zeros_like(near), torch.full_like(near, 2.0), config.n_samples, generator, jitter).clamp(
        0.0, 2.0
    )
    t = torch.lerp(near.unsqueeze(-1), far.unsqueeze(-1), steps / 2.0)
    if config.n_importance > 0:
        t = upsampled_t(fields.surface.sdf, origins, directions, t, config.n_importance, config.up_sample_steps)
    return t


def noise_shapes(config: RendererConfig, n_rays: int) -> list[tuple[int, int]]:
    """Shapes of the random numbers that `render_rays` draws with `perturb`, in this order.

    >>> noise_shapes(RendererConfig(n_outside=4), 512)
    [(512, 1), (512, 4)]
    """
    shapes = [(n_rays, 1)] + ([(n_rays, config.n_outside)] if config.n_outside > 0 else [])
    return shapes if config.perturb > 0 else []


def render_intervals(
    fields: Fields,
    origins: Tensor,
    directions: Tensor,
    edges: Tensor,
    behind: Behind | None = None,
    cos_anneal: float | Tensor = 1.0,
    weight_threshold: float = 0.0,
) -> RenderedRays:
    """What `render_rays` gives, for rays already cut into intervals within the unit sphere.

    Args:
        fields, origins, directions, cos_anneal: as in `render_rays`; the background field is not evaluated.
        edges: (N, K + 1), ascending, the ends of K intervals.
        behind: what is seen behind the unit sphere, from `render_behind`; black if None.
        weight_threshold: intervals with a weight up to this: colour not evaluated. They count with the mean colour of the others, which
            has no gradient from them.
    """
    intervals = edges[:, :-1], edges[:, 1:] - edges[:, :-1]
    longest = max_linear_extent(fields.sharpness)
    behind = Behind(None, None) if behind is None else behind
    return _shaded(fields, origins, directions, intervals, None, 0.0, behind, cos_anneal, None, weight_threshold, longest)


def _shaded(
    fields: Fields,
    origins: Tensor,
    directions: Tensor,
    intervals: tuple[Tensor, Tensor],
    t_outside: Tensor | None,
    last_delta: float,
    behind: Behind,
    cos_anneal: float | Tensor,
    forward: Tensor | None,
    weight_threshold: float = 0.0,
    longest: float | Tensor = math.inf,
) -> RenderedRays:
    """Pixels of intervals, given by starts and lengths (N, S) each; the slope at their middles is trusted no further than `longest`.

    Intervals of no length, as rays that miss the unit sphere have, and those behind the camera are empty.
    """
    t, deltas = intervals
    t_mids = t + deltas / 2
    points = points_along(origins, directions, t_mids)
    surface = fields.surface.evaluate(points)
    views = directions.unsqueeze(1).expand_as(points)
    trusted = deltas.clamp_max(longest)
    sdf_starts, sdf_ends = sdf_at_interval_ends(surface.sdf, surface.gradients, views, trusted, cos_anneal)
    alphas = fields.density.alphas(sdf_starts, sdf_ends, deltas, fields.sharpness)
    colors = fields.color(points, surface.gradients, views, surface.features)
    # Rays without any length have no part in the surface, nor in what a loss says of it.
    radii = points.detach().norm(dim=-1).where(deltas.sum(-1, keepdim=True) > 0.0, torch.inf)

    is_met = (deltas.sum(-1, keepdim=True) > 0.0) & (t_mids > 0.0)
    inside = is_met.to(radii)
    if t_outside is not None:
        inside = (is_met & (radii < 1.0)).to(radii)
        all_t = torch.cat([t, t_outside], dim=-1).sort(dim=-1).values
        alphas, colors = with_background(
            fields.background, origins, directions, all_t, last_delta, alphas, colors, inside
        )
    else:
        alphas = alphas * inside

    if weight_threshold > 0.0:
        colors = _above_weight_threshold(weights_from_alphas(alphas), colors, weight_threshold)
    weights, rgb = composite_alphas(alphas, colors)
    opacity = weights.sum(-1)
    if behind.rgb is not None:
        rgb = rgb + behind.rgb * (1.0 - opacity.unsqueeze(-1))
    if behind.opacity is not None:
        opacity = opacity + behind.opacity * (1.0 - opacity)
    front = weights[:, : t.shape[1]] * inside
    foreground = front.sum(-1)
    t_mean = (front * t_mids).sum(-1) / foreground.clamp_min(1e-6)
    along_axis = 1.0 if forward is None else (directions * forward).sum(-1)
    return RenderedRays(
        rgb=rgb,
        opacity=opacity,
        foreground=foreground,
        t=t_mean,
        depth=t_mean * along_axis,
        normals=torch.nn.functional.normalize(composite(front, surface.gradients), dim=-1),
        weights=weights,
        sdf=surface.sdf,
        gradients=surface.gradients,
        t_mids=t_mids,
        radii=radii,
    )


def _above_weight_threshold(weights: Tensor, colors: Tensor, weight_threshold: float) -> Tensor:
    """Colours (N, S, 3) in which those of small weights are the mean of the others, a constant."""
    is_visible = (weights > weight_threshold).unsqueeze(-1)
    seen = (weights.unsqueeze(-1) * is_visible).detach()
    mean = (seen * colors).sum(1, keepdim=True).detach() / seen.sum(1, keepdim=True).clamp_min(1e-30)
    return torch.where(is_visible, colors, mean)
