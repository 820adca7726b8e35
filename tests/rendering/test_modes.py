from dataclasses import replace

import pytest
import torch

from neus.fields.color_network import ColorNetworkConfig
from neus.fields.hash_grid import HashGridConfig
from neus.fields.hash_sdf import HashSdfConfig
from neus.geometry.rays import intersect_sphere
from neus.rendering import modes, shading
from neus.rendering.density import LogisticDensity
from neus.rendering.model import Model, ModelConfig
from neus.rendering.modes import VolumeRenderer, renderer_for
from neus.rendering.renderer import RendererConfig
from neus.rendering.shading import FieldShading, FusedShading
from neus.rendering.shell import ShellConfig, shell_samples
from neus.rendering.shell_renderer import ShellRenderer
from tests.kernels.backends import HAS_GPU, NEEDS_TRITON

BACKGROUND = torch.tensor([0.2, 0.4, 0.6])
GRID = HashGridConfig(n_levels=3, base_resolution=4, finest_resolution=16, log2_table_size=12)


@pytest.fixture
def model():
    torch.manual_seed(0)
    color = ColorNetworkConfig(d_feature=7, d_hidden=16, n_layers=2, weight_norm=False)
    return Model(
        ModelConfig(
            surface="hash",
            hash_sdf=HashSdfConfig(grid=GRID, d_hidden=64, d_out=8, bias=0.5),
            rendering_network=color,
            neus_renderer=RendererConfig(n_outside=0, n_samples=128, n_importance=128, near_far="sphere"),
        )
    )


@pytest.fixture
def rays():
    x, y = torch.meshgrid(torch.linspace(-0.9, 0.9, 13), torch.linspace(-0.9, 0.9, 13), indexing="ij")
    origins = torch.stack([x.flatten(), y.flatten(), torch.full((169,), -2.0)], dim=-1)
    return origins, torch.tensor([[0.0, 0.0, 1.0]]).expand(169, 3)


@pytest.fixture
def sharp(model):
    with torch.no_grad():
        model.sharpness.variance.fill_(0.65)
    return model


def test_a_hash_model_looks_the_same_by_shell_and_by_volume(sharp, rays):
    volume, shell = (renderer_for(sharp, mode) for mode in ("volume", "shell"))
    assert isinstance(shell, ShellRenderer) and isinstance(shell.shading, FusedShading)
    plain, seen = (r.render(*rays, BACKGROUND) for r in (volume, shell))
    assert -10 * torch.log10((plain.rgb - seen.rgb).square().mean()) > 44.0
    assert (plain.foreground - seen.foreground).abs().max() < 0.03
    hit = plain.foreground > 0.99
    assert (plain.t - seen.t)[hit].abs().max() < 5e-3
    ratio = (volume.stats.distances + volume.stats.colors) / (shell.stats.distances + shell.stats.colors)
    assert ratio > 8.0


def test_fused_volume_rendering_is_that_of_torch(sharp, rays):
    with torch.no_grad():
        plain = sharp.render(*rays, BACKGROUND)
    seen = renderer_for(sharp, "volume").render(*rays, BACKGROUND)
    assert -10 * torch.log10((plain.rgb - seen.rgb).square().mean()) > 40.0


def test_the_mean_of_places_is_that_of_the_fields_however_far_apart_they_are(sharp, rays):
    t = torch.tensor([1.4, 1.5, 2.4, 2.5]).expand(len(rays[0]), 4).contiguous()
    fused = FusedShading(sharp, sharp.fields()).mean(*rays, t)
    with torch.no_grad():
        plain = FieldShading(sharp.fields(), sharp.config.neus_renderer, 2**12).mean(*rays, t)
    for a, b in zip(fused, plain, strict=True):
        assert torch.allclose(a, b, atol=2e-4)


def test_shell_is_volume_at_low_sharpness(model, rays):
    with torch.no_grad():
        model.sharpness.variance.fill_(0.3)
    assert isinstance(renderer_for(model, "shell"), VolumeRenderer)
    assert isinstance(renderer_for(model, "surface"), ShellRenderer)


def test_models_that_are_not_fused_are_rendered_by_torch(sharp, rays, monkeypatch):
    fused = renderer_for(sharp).render(*rays, BACKGROUND)
    monkeypatch.setenv("NEUS_KERNELS", "reference")
    renderer = renderer_for(sharp)
    assert isinstance(renderer.shading, FieldShading)
    seen = renderer.render(*rays, BACKGROUND)
    assert -10 * torch.log10((fused.rgb - seen.rgb).square().mean()) > 40.0


def test_a_models_own_background_is_used_unless_another_is_given_or_it_is_seen_alone(sharp, rays):
    sharp.background = BACKGROUND
    corner = rays[0][:1], rays[1][:1]
    for mode in ("shell", "volume"):
        assert torch.allclose(renderer_for(sharp, mode).render(*corner).rgb, BACKGROUND.expand(1, 3), atol=5e-3)
        assert renderer_for(sharp, mode, alone=True).render(*corner).rgb.max() < 5e-3


def test_chunks_do_not_show(sharp, rays, monkeypatch):
    whole = renderer_for(sharp).render(*rays, BACKGROUND)
    monkeypatch.setattr(modes, "MAX_POINTS_CPU", 64)
    monkeypatch.setattr(shading, "RAYS_SAMPLED", 7)
    parts = renderer_for(sharp).render(*rays, BACKGROUND)
    for a, b in zip(whole, parts, strict=True):
        assert torch.allclose(a, b, atol=1e-5)


def test_a_background_network_is_behind_a_hash_model_as_in_its_training(sharp, rays):
    sharp.config = replace(sharp.config, neus_renderer=replace(sharp.config.neus_renderer, n_outside=8))
    volume, shell = (renderer_for(sharp, mode).render(*rays) for mode in ("volume", "shell"))
    assert -10 * torch.log10((volume.rgb - shell.rgb).square().mean()) > 40.0


def test_the_renderer_chosen_is_the_shell_where_it_is_thin_and_the_full_sampler_elsewhere(sharp, monkeypatch):
    assert isinstance(renderer_for(sharp), ShellRenderer)
    monkeypatch.setenv("NEUS_KERNELS", "reference")
    assert isinstance(renderer_for(sharp), ShellRenderer) and isinstance(renderer_for(sharp).shading, FieldShading)
    monkeypatch.delenv("NEUS_KERNELS")
    with torch.no_grad():
        sharp.sharpness.variance.fill_(0.3)
    assert isinstance(renderer_for(sharp), VolumeRenderer)


def with_network(model, near_far):
    """The model with a background network that is dense enough to be seen, as random ones are not."""
    renderer = replace(model.config.neus_renderer, n_outside=8, near_far=near_far)
    model.config = replace(model.config, neus_renderer=renderer)
    with torch.no_grad():
        for parameter in model.nerf.parameters():
            parameter.mul_(1.5)
    return model


@pytest.mark.parametrize("near_far", ["neus", "sphere"])
def test_one_model_has_one_image_whoever_draws_it(sharp, rays, near_far, monkeypatch):
    """Shell, volume, the model itself, and the same without compiled kernels: the config alone says what a ray is."""
    model, images = with_network(sharp, near_far), {}
    directions = torch.nn.functional.normalize(rays[1] + 0.3 * torch.randn(169, 3), dim=-1)
    for kernels in ("", "reference"):
        monkeypatch.setenv("NEUS_KERNELS", kernels)
        for mode in ("shell", "volume"):
            images[kernels, mode] = renderer_for(model, mode).render(rays[0], directions, BACKGROUND)
    with torch.no_grad():
        plain = model.render(rays[0], directions, BACKGROUND)
    misses = (intersect_sphere(rays[0], directions)[2]).logical_not()
    assert 20 < misses.sum() < 150
    for name, seen in images.items():
        assert -10 * torch.log10((plain.rgb - seen.rgb).square().mean()) > 40.0, name
        assert (plain.opacity - seen.opacity).abs().mean() < 0.01, name


@NEEDS_TRITON
@pytest.mark.skipif(HAS_GPU, reason="Triton is interpreted only where there is no GPU")
def test_the_kernels_of_a_gpu_draw_the_image_of_the_model(sharp, rays, monkeypatch):
    """They have the volume alone, which `auto` then chooses."""
    few = replace(sharp.config.neus_renderer, n_samples=32, n_importance=32)
    sharp.config = replace(sharp.config, neus_renderer=few)
    model = with_network(sharp, "sphere")
    origins, directions = 0.6 * rays[0][::8], torch.nn.functional.normalize(rays[1] + 0.1 * torch.randn(169, 3), dim=-1)[::8]
    with torch.no_grad():
        plain = model.render(origins, directions, BACKGROUND)
    monkeypatch.setenv("NEUS_KERNELS", "gpu")
    renderer = renderer_for(model)
    assert isinstance(renderer, VolumeRenderer) and isinstance(renderer.shading, FusedShading)
    seen = renderer.render(origins, directions, BACKGROUND)
    assert -10 * torch.log10((plain.rgb - seen.rgb).square().mean()) > 50.0
    assert (plain.opacity - seen.opacity).abs().max() < 0.01 and 4 < (plain.foreground > 0.9).sum() < 18


def test_a_camera_close_to_the_sphere_sees_what_the_background_network_has_before_it(sharp):
    """Where NeuS's near lies behind the camera, the rest of what is before the sphere is still drawn."""
    model = with_network(sharp, "neus")
    sines = torch.linspace(0.85, 0.99, 40) / 1.3
    directions = torch.stack([sines, torch.zeros(40), (1.0 - sines.square()).sqrt()], dim=-1)
    rays = torch.tensor([[0.0, 0.0, -1.3]]).expand(40, 3), directions
    fog = lambda p, d: (torch.full_like(p[..., 0], 2.0), 1.0 / (1.0 + torch.exp(-6.0 * p[..., [2, 0, 1]])))  # noqa: E731
    fields = replace(model.fields(), background=fog)
    volume, shell = (fields_pixels(fields, model.config.neus_renderer, mode, rays) for mode in ("volume", "shell"))
    assert (volume.rgb - shell.rgb).abs().max() < 0.02


def fields_pixels(fields, config, mode, rays):
    shading = FieldShading(fields, config, 2**15)
    return shading.full(*rays, None) if mode == "volume" else ShellRenderer(shading, fields, config).render(*rays)


def test_distances_of_a_hash_model_that_is_sampled_as_neus_samples_are_those_of_its_kernel(sharp, rays, monkeypatch):
    sharp.config = replace(sharp.config, neus_renderer=replace(sharp.config.neus_renderer, near_far="neus"))
    renderer, plain = renderer_for(sharp), renderer_for(sharp, "volume").render(*rays, BACKGROUND)
    monkeypatch.setattr(sharp.sdf_network, "sdf", None)
    seen = renderer.shading.sample_points(
        *rays, *renderer._near_far(*rays), renderer.sharpness, sharp.density, 1.2, ShellConfig()
    )
    # Rays that graze come into the shell and show next to nothing.
    assert 20 < seen.is_hit.sum() < 150 and (seen.is_hit != (plain.foreground > 0.01)).sum() < 9


@pytest.mark.parametrize("near_far", ["neus", "sphere"])
def test_rays_that_head_away_show_the_background_and_never_what_is_behind_the_camera(sharp, rays, near_far):
    model = with_network(sharp, near_far)
    directions = -torch.nn.functional.normalize(rays[1] + 0.2 * torch.randn(169, 3), dim=-1)
    with torch.no_grad():
        seen = [model.render(rays[0], directions, BACKGROUND)]
    seen += [
        renderer_for(model, mode).render(rays[0], directions, BACKGROUND) for mode in ("shell", "volume", "surface")
    ]
    for pixels in seen:
        assert (pixels.foreground == 0.0).all() and pixels.rgb.isfinite().all()
        assert -1e-4 <= pixels.rgb.min() and pixels.rgb.max() <= 1.0 + 1e-4  # rounding of weights
        assert -10 * torch.log10((pixels.rgb - seen[0].rgb).square().mean()) > 40.0


def test_compiled_rays_meet_what_rays_in_torch_meet(sharp, rays):
    """Tracing in tiles is `trace_shells`, ray by ray: the same starts, evaluations, quantiles and fallbacks."""
    shell, sharpness, config = (
        FusedShading(sharp, sharp.fields()).shell,
        float(sharp.sharpness().detach()),
        ShellConfig(),
    )
    generator = torch.Generator().manual_seed(0)
    origins = rays[0].repeat(4, 1) + 0.05 * torch.rand(676, 3, generator=generator)
    directions = rays[1].repeat(4, 1)
    enters, leaves, hits = intersect_sphere(origins, directions)
    near, far = enters, torch.where(hits, leaves, enters - 1.0)
    given = origins, directions, near, far, sharpness, LogisticDensity()
    start = shell.starts(origins, directions, near, far, 1.2, config.half_width / sharpness)
    plain = shell_samples(FusedShading(sharp, sharp.fields()).sdf, *given, 1.2, config, start=start)
    tiled = shell.sample_points(*given, 1.2, config)
    assert 100 < plain.is_hit.sum() < 600 and plain.needs_fallback.any() and not plain.needs_fallback.all()
    assert torch.equal(tiled.is_hit, plain.is_hit) and torch.equal(tiled.needs_fallback, plain.needs_fallback)
    assert torch.allclose(tiled.transmittance, plain.transmittance, atol=1e-4)
    # Where next to nothing is met, quantiles are those of rounding.
    is_opaque = ~plain.needs_fallback & (plain.transmittance < 0.5)
    assert is_opaque.sum() > 100 and (tiled.t - plain.t)[is_opaque].abs().max() < 5e-4
    assert abs(tiled.evaluations - plain.evaluations) < 0.02 * plain.evaluations
