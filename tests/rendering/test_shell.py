from dataclasses import replace

import pytest
import torch

from neus.geometry.rays import intersect_sphere, near_far_around_center
from neus.rendering.density import LaplaceDensity, LogisticDensity
from neus.rendering.renderer import RendererConfig, render_rays
from neus.rendering.shading import FieldShading
from neus.rendering.shell import ShellConfig, trace_shells
from neus.rendering.shell_renderer import ShellRenderer, why_not_shell
from neus.rendering.slope import slope_of
from tests.rendering.closed_forms import Mug, Sphere, fields_of, in_ball, rays_towards, view_of_mug, waves

ORDINARY = RendererConfig(n_outside=0)
REFERENCE = RendererConfig(n_samples=512, n_importance=512, n_outside=0)
WITH_NETWORK = RendererConfig(n_samples=64, n_importance=64, n_outside=32)
WHITE = torch.ones(3)
# Samples of the ordinary renderer cost a pass and its gradient, and half a pass of colour.
COST_OF_COLOR = 2.5


def renderer_of(fields, renderer=ORDINARY, **options):
    return ShellRenderer(FieldShading(fields, renderer, 2**15), fields, renderer, **options)


def psnr(a, b):
    return float(-10.0 * torch.log10((a - b).square().mean()))


def fog(points, directions):
    """A background of some density everywhere, so that it shows before the object as well as behind."""
    return torch.full_like(points[..., 0], 0.3), torch.sigmoid(3.0 * points[..., :3])


@pytest.mark.parametrize(
    ("wall", "scale", "sharpness", "fewer"),
    [(0.04, 1.0, 1000.0, 8.0), (0.015, 1.0, 1000.0, 8.0), (0.04, 1.3, 1000.0, 8.0), (0.04, 1.3, 300.0, 5.0),
     (0.04, 1.0, 300.0, 3.0), (0.015, 1.0, 300.0, 1.2)],
)  # fmt: skip
def test_a_mug_looks_as_by_volume_rendering_for_a_fraction_of_the_work(wall, scale, sharpness, fewer):
    mug = Mug(wall, scale)
    fields, rays = fields_of(mug, waves, sharpness=sharpness), view_of_mug()
    truth = torch.cat(
        [render_rays(fields, o, d, REFERENCE, WHITE).rgb for o, d in zip(*(r.split(100) for r in rays), strict=True)]
    )
    renderer = renderer_of(fields, lipschitz=1.35 if scale > 1.0 else 1.0)
    seen = renderer.render(*rays, WHITE)
    stats, n = renderer.stats, len(rays[0])
    assert psnr(seen.rgb, truth) > 44.0
    ordinary = (64 + 48) + 128 * COST_OF_COLOR
    assert fewer * (stats.distances + COST_OF_COLOR * stats.colors) < n * ordinary
    assert stats.rays == n and stats.fallback_fraction < 0.01, "rays that need it are traced again"


def test_without_re_tracing_thin_walls_of_low_sharpness_are_wrong():
    fields, rays = fields_of(Mug(0.015), waves, sharpness=300.0), view_of_mug()
    volume = render_rays(fields, *rays, ORDINARY, WHITE).rgb
    never, full = ShellConfig(clear_below=1.0, clear_above=0.0), ShellConfig(refinement=1)
    renderers = [renderer_of(fields, config=config, lipschitz=1.0) for config in (None, full, never)]
    finer, fallen_back, without = (psnr(renderer.render(*rays, WHITE).rgb, volume) for renderer in renderers)
    assert min(finer, fallen_back) > without + 3.0
    assert renderers[1].stats.fallback_fraction > 0.1 > renderers[0].stats.fallback_fraction


def test_the_shell_draws_soft_edges_and_the_surface_hard_ones():
    fields = fields_of(Sphere(0.5), waves, sharpness=200.0)
    x = torch.linspace(0.46, 0.56, 60)
    rays = torch.stack([x, torch.zeros(60), torch.full((60,), -3.0)], -1), torch.tensor([[0.0, 0.0, 1.0]]).expand(60, 3)
    volume = render_rays(fields, *rays, REFERENCE, WHITE)
    shell, surface = (renderer_of(fields, mode=mode).render(*rays, WHITE) for mode in ("shell", "surface"))
    assert (shell.foreground - volume.foreground).abs().max() < 0.03
    assert set(surface.foreground.tolist()) == {0.0, 1.0}
    assert ((shell.foreground > 0.05) & (shell.foreground < 0.95)).sum() > 5


def test_depth_and_normals_are_those_of_the_closed_form():
    rays = rays_towards(in_ball(100, 0.45))
    for mode in ("shell", "surface"):
        seen = renderer_of(fields_of(Sphere(0.5), waves), mode=mode).render(*rays, forward=rays[1] * 0.5)
        enters, _, _ = intersect_sphere(*rays, 0.5)
        assert (seen.t - enters).abs().max() < 1e-3
        hit = rays[0] + enters[:, None] * rays[1]
        assert ((seen.normals * hit / 0.5).sum(-1) > 0.9999).all()
        assert torch.allclose(seen.depth, seen.t * 0.5)


def test_near_misses_are_background_as_far_as_a_image_can_tell():
    fields = fields_of(Sphere(0.5), waves, sharpness=500.0)
    origins = torch.tensor([[0.5 + 7.5 / 500.0, 0.0, -3.0]])
    rays = origins, torch.tensor([[0.0, 0.0, 1.0]])
    assert renderer_of(fields).render(*rays, WHITE).foreground.item() == 0.0
    # Of which 0.0013 is the published fog.
    assert render_rays(fields, *rays, ORDINARY, WHITE).foreground.item() < 1.0 / 255.0


def test_a_field_steeper_than_a_distance_is_no_harm_once_its_slope_is_estimated():
    fields = fields_of(Mug(0.04, 1.3), waves, sharpness=1000.0)
    assert slope_of(fields) == pytest.approx(1.3, abs=0.01)


def test_a_second_surface_behind_a_translucent_one_is_traced_to():
    def thin_then_thick(points):
        thin = (points[..., 2] + 0.4).abs() - 0.002
        return torch.minimum(thin, 0.3 - points[..., 2])

    origins, directions = torch.tensor([[0.0, 0.0, -3.0]]), torch.tensor([[0.0, 0.0, 1.0]])
    near, far = near_far_around_center(origins, directions)
    trace = trace_shells(thin_then_thick, origins, directions, near, far, 400.0, LogisticDensity())
    assert trace.transmittance.item() < ShellConfig().opaque
    assert (trace.t < 2.7).any() and (trace.t > 3.25).any(), "both were looked at"
    assert not ((trace.t > 2.7) & (trace.t < 3.2)).any(), "and nothing between"


def test_grazing_rays_take_few_evaluations():
    heights = 0.5 + torch.linspace(-2.0, 2.0, 41) / 1000.0
    origins = torch.stack([heights, torch.zeros(41), torch.full((41,), -3.0)], dim=-1)
    directions = torch.tensor([[0.0, 0.0, 1.0]]).expand(41, 3)
    near, far = near_far_around_center(origins, directions)
    trace = trace_shells(Sphere(0.5).sdf, origins, directions, near, far, 1000.0, LogisticDensity())
    # The shell's chord is 2 sqrt(2 r b) = 0.17 long, 170 / s.
    assert trace.t.shape[1] <= 64


def test_a_camera_in_the_shell_sees_from_where_it_stands_and_one_in_the_object_falls_back():
    fields = fields_of(Sphere(0.5), waves, sharpness=200.0)
    origins = torch.tensor([[0.0, 0.0, -0.5 - 1.0 / 200.0], [0.0, 0.0, -0.3]])
    directions = torch.tensor([[0.0, 0.0, 1.0]]).expand(2, 3)
    renderer = renderer_of(fields)
    seen = renderer.render(origins, directions)
    assert renderer.stats.fallen_back == 1, "the one that starts within the object"
    # From f = 1 / s on: what is behind the camera does not count, so the light that is left is Phi(-inf) / Phi(1) = 0.
    assert seen.foreground[0] > 0.99 and 0.0 < seen.t[0] < 0.02


def test_what_is_behind_the_camera_is_not_seen():
    fields = fields_of(Sphere(0.3), waves, sharpness=500.0)
    seen = renderer_of(fields).render(torch.tensor([[0.0, 0.0, 0.6]]), torch.tensor([[0.0, 0.0, 1.0]]), WHITE)
    assert seen.foreground.item() == 0.0 and torch.equal(seen.rgb, torch.ones(1, 3))


@pytest.mark.parametrize("background", [fog, lambda p, d: (0.0 * p[..., 0], torch.ones_like(d))])
def test_the_background_network_shows_as_by_volume_rendering_and_where_light_passes_only(background):
    asked = []

    def counted(points, directions):
        asked.append(points[..., 0].numel())
        return background(points, directions)

    rays = view_of_mug()
    fields = fields_of(Mug(), waves, background, sharpness=1000.0)
    volume = render_rays(fields, *rays, WITH_NETWORK, WHITE)
    counting = replace(fields, background=counted)
    seen = renderer_of(counting, WITH_NETWORK, lipschitz=1.0).render(*rays, WHITE)
    assert psnr(seen.rgb, volume.rgb) > 40.0
    assert (seen.opacity - volume.opacity).abs().mean() < 0.01
    assert (seen.foreground - volume.foreground).abs().mean() < 0.01
    assert sum(asked) < 0.6 * 160 * len(rays[0])


def test_the_foreground_alone_leaves_the_background_out_and_ends_at_the_sphere():
    rays = view_of_mug()
    alone, config = fields_of(Mug(), waves, sharpness=1000.0), replace(WITH_NETWORK, near_far="sphere")
    seen = renderer_of(alone, config, lipschitz=1.0).render(*rays, torch.zeros(3))
    volume = render_rays(alone, *rays, config)
    assert psnr(seen.rgb, volume.rgb) > 40.0 and torch.equal(seen.opacity, seen.foreground)
    assert 0.2 < seen.foreground.mean() < 0.8


def test_low_sharpness_and_other_densities_fall_back_to_volume_rendering():
    assert "0.11 wide on either side" in why_not_shell(fields_of(Sphere(), sharpness=50.0))
    assert "LaplaceDensity" in why_not_shell(fields_of(Sphere(), density=LaplaceDensity()))
    assert why_not_shell(fields_of(Sphere(), sharpness=101.0)) == ""


def test_pixels_that_tracing_cannot_tell_are_those_of_the_full_sampler():
    """Here the form of the distances that is traced fails on one side, not the field itself."""

    def broken(points):
        return torch.where(points[..., 0] > 0.1, torch.nan, Sphere(0.5).sdf(points))

    rays = rays_towards(in_ball(50, 0.4))
    near, far = near_far_around_center(*rays)
    trace = trace_shells(broken, *rays, near, far, 500.0, LogisticDensity())
    assert trace.needs_fallback.any() and trace.transmittance[~trace.needs_fallback].isfinite().all()
    fields = fields_of(Sphere(0.5), waves, sharpness=500.0)
    shading = FieldShading(fields, ORDINARY, 2**15, broken)
    renderer = ShellRenderer(shading, fields, ORDINARY, lipschitz=1.0)
    seen, full = renderer.render(*rays, WHITE), shading.full(*rays, WHITE)
    left = (seen.rgb == full.rgb).all(dim=-1)
    assert renderer.stats.fallen_back == int(left.sum()) and 5 < left.sum() < 45
    for name in ("rgb", "foreground", "opacity", "t"):
        assert torch.equal(getattr(seen, name)[left], getattr(full, name)[left]), name
    # The others are traced, and show the same object.
    assert psnr(seen.rgb[~left], full.rgb[~left]) > 30.0


def test_no_rays_are_no_pixels():
    none = torch.zeros(0, 3)
    assert renderer_of(fields_of(Sphere())).render(none, none).rgb.shape == (0, 3)
