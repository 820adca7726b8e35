import pytest
import torch

from neus.fields.color_network import ColorNetworkConfig
from neus.fields.hash_grid import HashGridConfig
from neus.fields.hash_sdf import HashSdfConfig
from neus.rendering.marched import MarchedRenderer
from neus.rendering.model import Model, ModelConfig
from neus.rendering.renderer import RendererConfig

GRID = HashGridConfig(n_levels=3, base_resolution=4, finest_resolution=16, log2_table_size=12)


@pytest.fixture
def model():
    torch.manual_seed(0)
    color = ColorNetworkConfig(d_feature=7, d_hidden=16, n_layers=2, weight_norm=False)
    renderer = RendererConfig(n_outside=0, n_samples=128, n_importance=128)
    model = Model(
        ModelConfig(
            surface="hash",
            hash_sdf=HashSdfConfig(grid=GRID, d_hidden=64, d_out=8, bias=0.5),
            rendering_network=color,
            neus_renderer=renderer,
        )
    )
    with torch.no_grad():
        model.sharpness.variance.fill_(0.6)
    return model


@pytest.fixture
def rays():
    x, y = torch.meshgrid(torch.linspace(-0.9, 0.9, 13), torch.linspace(-0.9, 0.9, 13), indexing="ij")
    origins = torch.stack([x.flatten(), y.flatten(), torch.full((169,), -2.0)], dim=-1)
    return origins, torch.tensor([[0.0, 0.0, 1.0]]).expand(169, 3)


def test_marched_pixels_are_those_of_the_plain_renderer(model, rays):
    background = torch.tensor([0.2, 0.4, 0.6])
    with torch.no_grad():
        plain = model.render(*rays, background)
    marched = MarchedRenderer(model).render(*rays, background)
    # Rays that graze the ball see a surface as wide as the sections are long.
    away = ((rays[0][:, :2].norm(dim=-1) - 0.5).abs() > 0.05) & (plain.foreground - 0.5).abs().gt(0.45)
    assert away.sum() > 100
    assert torch.allclose(marched.rgb[away], plain.rgb[away], atol=0.02)
    assert torch.allclose(marched.foreground[away], plain.foreground[away], atol=0.02)
    hit = away & (plain.foreground > 0.5)
    assert torch.allclose(marched.t[hit], plain.t[hit], atol=0.01)
    assert torch.allclose(marched.normals[hit], plain.normals[hit], atol=0.05)


def test_rays_that_miss_show_the_background(model, rays):
    background = torch.tensor([0.2, 0.4, 0.6])
    pixels = MarchedRenderer(model).render(rays[0] + torch.tensor([3.0, 0.0, 0.0]), rays[1], background)
    assert torch.equal(pixels.rgb, background.expand(169, 3)) and (pixels.foreground == 0).all()
