from dataclasses import replace

import pytest
import torch

from neus.geometry.rays import intersect_sphere
from neus.rendering import modes, shading
from neus.rendering.density import LogisticDensity
from neus.rendering.marched import MarchedRenderer
from neus.rendering.modes import VolumeRenderer, fastest_renderer, renderer_for
from neus.rendering.shading import FieldShading, FusedShading
from neus.rendering.shell import ShellConfig, shell_places
from neus.rendering.shell_renderer import ShellRenderer
from tests.rendering.test_marched import model, rays  # noqa: F401  fixtures

BACKGROUND = torch.tensor([0.2, 0.4, 0.6])


@pytest.fixture
def sharp(model):  # noqa: F811
    with torch.no_grad():
        model.sharpness.variance.fill_(0.65)
    return model


def test_a_hash_model_looks_the_same_by_shell_and_by_volume(sharp, rays):  # noqa: F811
    volume, shell = (renderer_for(sharp, mode) for mode in ("volume", "shell"))
    assert isinstance(shell, ShellRenderer) and isinstance(shell.shading, FusedShading)
    plain, seen = (r.render(*rays, BACKGROUND) for r in (volume, shell))
    assert -10 * torch.log10((plain.rgb - seen.rgb).square().mean()) > 44.0
    assert (plain.foreground - seen.foreground).abs().max() < 0.03
    hit = plain.foreground > 0.99
    assert (plain.t - seen.t)[hit].abs().max() < 5e-3
    ratio = (volume.tally.distances + volume.tally.colors) / (shell.tally.distances + shell.tally.colors)
    assert ratio > 8.0


def test_fused_volume_rendering_is_that_of_torch(sharp, rays):  # noqa: F811
    with torch.no_grad():
        plain = sharp.render(*rays, BACKGROUND)
    seen = renderer_for(sharp, "volume").render(*rays, BACKGROUND)
    assert -10 * torch.log10((plain.rgb - seen.rgb).square().mean()) > 40.0


def test_the_mean_of_places_is_that_of_the_fields_however_far_apart_they_are(sharp, rays):  # noqa: F811
    t = torch.tensor([1.4, 1.5, 2.4, 2.5]).expand(len(rays[0]), 4).contiguous()
    fused = FusedShading(sharp).mean(*rays, t)
    with torch.no_grad():
        plain = FieldShading(sharp.fields(), sharp.config.neus_renderer, 2**12).mean(*rays, t)
    for a, b in zip(fused, plain, strict=True):
        assert torch.allclose(a, b, atol=2e-4)


def test_shell_is_volume_where_the_surface_is_blurred(model, rays):  # noqa: F811
    with torch.no_grad():
        model.sharpness.variance.fill_(0.3)
    assert isinstance(renderer_for(model, "shell"), VolumeRenderer)
    assert isinstance(renderer_for(model, "surface"), ShellRenderer)


def test_models_that_are_not_fused_are_rendered_by_torch(sharp, rays, monkeypatch):  # noqa: F811
    fused = renderer_for(sharp).render(*rays, BACKGROUND)
    monkeypatch.setenv("NEUS_KERNELS", "reference")
    renderer = renderer_for(sharp)
    assert isinstance(renderer.shading, FieldShading)
    seen = renderer.render(*rays, BACKGROUND)
    assert -10 * torch.log10((fused.rgb - seen.rgb).square().mean()) > 40.0


def test_a_models_own_background_is_used_unless_another_is_given_or_it_is_seen_alone(sharp, rays):  # noqa: F811
    sharp.background = BACKGROUND
    corner = rays[0][:1], rays[1][:1]
    for mode in ("shell", "volume"):
        assert torch.allclose(renderer_for(sharp, mode).render(*corner).rgb, BACKGROUND.expand(1, 3), atol=5e-3)
        assert renderer_for(sharp, mode, alone=True).render(*corner).rgb.max() < 5e-3


def test_chunks_do_not_show(sharp, rays, monkeypatch):  # noqa: F811
    whole = renderer_for(sharp).render(*rays, BACKGROUND)
    monkeypatch.setattr(modes, "MAX_POINTS_CPU", 64)
    monkeypatch.setattr(shading, "RAYS_SAMPLED", 7)
    parts = renderer_for(sharp).render(*rays, BACKGROUND)
    for a, b in zip(whole, parts, strict=True):
        assert torch.allclose(a, b, atol=1e-5)


def test_a_background_network_is_behind_a_hash_model_as_in_its_training(sharp, rays):  # noqa: F811
    sharp.config = replace(sharp.config, neus_renderer=replace(sharp.config.neus_renderer, n_outside=8))
    volume, shell = (renderer_for(sharp, mode).render(*rays) for mode in ("volume", "shell"))
    assert -10 * torch.log10((volume.rgb - shell.rgb).square().mean()) > 40.0


def test_the_fastest_renderer_is_the_shell_where_it_is_thin_and_the_model_where_nothing_is_fused(sharp, monkeypatch):  # noqa: F811
    assert isinstance(fastest_renderer(sharp), ShellRenderer)
    with torch.no_grad():
        sharp.sharpness.variance.fill_(0.3)
    assert isinstance(fastest_renderer(sharp), MarchedRenderer)
    config = sharp.config
    sharp.config = replace(config, surface="mlp")
    assert fastest_renderer(sharp) is sharp
    sharp.config = config
    monkeypatch.setenv("NEUS_KERNELS", "reference")
    assert fastest_renderer(sharp) is sharp


def test_compiled_rays_meet_what_rays_in_torch_meet(sharp, rays):  # noqa: F811
    """The walk in tiles is `walk_shells`, ray by ray: the same starts, looks, quantiles and doubts."""
    shell, sharpness, config = FusedShading(sharp).shell, float(sharp.sharpness().detach()), ShellConfig()
    generator = torch.Generator().manual_seed(0)
    origins = rays[0].repeat(4, 1) + 0.05 * torch.rand(676, 3, generator=generator)
    directions = rays[1].repeat(4, 1)
    enters, leaves, hits = intersect_sphere(origins, directions)
    near, far = enters, torch.where(hits, leaves, enters - 1.0)
    given = origins, directions, near, far, sharpness, LogisticDensity()
    start = shell.starts(origins, directions, near, far, 1.2, config.half_width / sharpness)
    plain = shell_places(FusedShading(sharp).sdf, *given, 1.2, config, start=start)
    tiled = shell.places(*given, 1.2, config)
    assert 100 < plain.met.sum() < 600 and plain.is_unclear.any() and not plain.is_unclear.all()
    assert torch.equal(tiled.met, plain.met) and torch.equal(tiled.is_unclear, plain.is_unclear)
    assert torch.allclose(tiled.transmittance, plain.transmittance, atol=1e-4)
    # Where next to nothing is met, quantiles are those of rounding.
    is_opaque = ~plain.is_unclear & (plain.transmittance < 0.5)
    assert is_opaque.sum() > 100 and (tiled.t - plain.t)[is_opaque].abs().max() < 5e-4
    assert abs(tiled.evaluations - plain.evaluations) < 0.02 * plain.evaluations
