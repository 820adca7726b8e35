"""What rays see behind the surface: the background field outside the unit sphere, and one colour behind everything."""

from typing import NamedTuple

import torch
from torch import Tensor

from neus.fields.base import BackgroundField
from neus.fields.hash_background import HashBackground
from neus.geometry.contraction import inverted_sphere
from neus.geometry.intervals import deltas_from_t
from neus.geometry.rays import intersect_sphere, near_far_around_center
from neus.rendering.background_intervals import guided_edges
from neus.rendering.renderer_config import RendererConfig
from neus.rendering.sampling import Randomness, outside_t, points_along
from neus.rendering.weights import composite_alphas


class Behind(NamedTuple):
    """What lies behind the surface's intervals: RGB, (3,) or (N, 3), None for black; and its opacity (N,), None where it is a colour."""

    rgb: Tensor | None
    opacity: Tensor | None


def render_behind(
    background: BackgroundField | None,
    origins: Tensor,
    directions: Tensor,
    config: RendererConfig,
    fill: Tensor | None = None,
    generator: Randomness | None = None,
) -> Behind:
    """What rays (N, 3), (N, 3) see beyond the unit sphere: the background network, and one colour where there is none or behind it.

    Args:
        background: density and colour on the inverted sphere (NeRF++ sec. 4); None, or `n_outside` = 0, is without.
        config: `n_outside` samples.
        fill: (3,) or (N, 3) RGB behind everything; black if None.
        generator: of the samples' jitter, for training; None is without.
    """
    if background is None or config.n_outside == 0:
        return Behind(fill, None)
    jitter = 0.0 if generator is None else config.perturb
    edges = background_edges(background, origins, directions, config, generator, jitter)
    rgb, transmittance = composite_background(background, origins, directions, edges, is_training=generator is not None)
    return Behind(rgb if fill is None else rgb + transmittance.unsqueeze(-1) * fill.to(rgb), 1.0 - transmittance)


def background_t(
    origins: Tensor,
    directions: Tensor,
    config: RendererConfig,
    generator: Randomness | None = None,
    jitter: float = 0.0,
) -> Tensor:
    """(N, B) distances at which the background of rays is sampled: beyond where the surface is, and never behind the camera.

    Rays that head away from the unit sphere begin at the camera, and their inverse distances count from its own distance.
    """
    start, reach = _start_and_reach(origins, directions, config)
    return outside_t(start, config.n_outside, config.n_samples, generator, jitter, reach)


def background_edges(
    background: BackgroundField,
    origins: Tensor,
    directions: Tensor,
    config: RendererConfig,
    generator: Randomness | None = None,
    jitter: float = 0.0,
) -> Tensor:
    """(N, B + 1) ends of the intervals of the background: those of `background_t`, or where a background that knows its densities has
    them, if `near_far` is `sphere`."""
    if config.near_far == "sphere" and isinstance(background, HashBackground) and background.places_samples:
        ends = _start_and_reach(origins, directions, config)
        return guided_edges(background, origins, directions, *ends, config.n_outside, generator, jitter)
    t = background_t(origins, directions, config, generator, jitter)
    return torch.cat([t, t[:, -1:] + 2.0 / config.n_samples], dim=-1)


def _start_and_reach(origins: Tensor, directions: Tensor, config: RendererConfig) -> tuple[Tensor, Tensor]:
    """(N,) distances where the background begins, and those whose inverse is even there; see `outside_t`."""
    away = origins.norm(dim=-1).clamp_min(1.0)
    if config.near_far == "sphere":
        _, leaves, _ = intersect_sphere(origins, directions)
        start = leaves.clamp_min(0.0)
        return start, torch.maximum(start, away)
    _, far = near_far_around_center(origins, directions)
    return far.clamp_min(0.0), far.where(far > 0.0, away)


def composite_background(
    background: BackgroundField, origins: Tensor, directions: Tensor, edges: Tensor, is_training: bool = False
) -> tuple[Tensor, Tensor]:
    """(N, 3) colours and (N,) transmittances of a background field between edges (N, B + 1) of rays (N, 3), (N, 3).

    In training a background that places samples by its densities observes them.
    """
    deltas = edges[:, 1:] - edges[:, :-1]
    t = edges[:, :-1] + deltas / 2
    alphas, colors = background_samples(background, origins, directions, t, deltas)
    if is_training and isinstance(background, HashBackground) and background.places_samples:
        background.observe(points_along(origins, directions, t), alphas.detach(), deltas)
    weights, rgb = composite_alphas(alphas, colors)
    return rgb, 1.0 - weights.sum(-1)


def background_samples(
    background: BackgroundField, origins: Tensor, directions: Tensor, t: Tensor, deltas: Tensor
) -> tuple[Tensor, Tensor]:
    """Opacities (N, B) and colours (N, B, 3) of a background field in intervals of rays (N, 3), (N, 3).

    A hash background is evaluated by a compiled kernel where there is one; this is its specification for all others.

    Args:
        t, deltas: (N, B), middles and lengths of the intervals.
    """
    if isinstance(background, HashBackground):
        found = background.fused_samples(origins, directions, t, deltas)
        if found is not None:
            return found
    points = points_along(origins, directions, t)
    density, colors = background(inverted_sphere(points), directions.unsqueeze(1).expand_as(points))
    return -torch.expm1(-density * deltas), colors


def with_background(
    background: BackgroundField,
    origins: Tensor,
    directions: Tensor,
    all_t: Tensor,
    last_delta: float,
    alphas: Tensor,
    colors: Tensor,
    inside: Tensor,
) -> tuple[Tensor, Tensor]:
    """Alphas (N, S + B) and colours (N, S + B, 3): the surface's inside the unit sphere, the background's elsewhere."""
    deltas = deltas_from_t(all_t, last_delta)
    t_mids = all_t + deltas / 2
    behind_alphas, behind_colors = background_samples(background, origins, directions, t_mids, deltas)
    behind_alphas = behind_alphas * (t_mids > 0.0)
    n, is_in = alphas.shape[1], inside.unsqueeze(-1)
    alphas = alphas * inside + behind_alphas[:, :n] * (1.0 - inside)
    colors = colors * is_in + behind_colors[:, :n] * (1.0 - is_in)
    return torch.cat([alphas, behind_alphas[:, n:]], dim=1), torch.cat([colors, behind_colors[:, n:]], dim=1)
