from dataclasses import replace

import pytest
import torch

from neus.fields.background import NerfConfig
from neus.fields.color_network import ColorNetworkConfig
from neus.fields.sdf_network import SdfNetworkConfig
from neus.rendering.model import ModelConfig, in_chunks
from neus.rendering.renderer import RendererConfig
from neus.rendering.sphere_tracing import trace
from neus.runs.build import build_model
from tests.rendering.closed_forms import in_ball, rays_towards

SMALL = ModelConfig(
    nerf=NerfConfig(D=2, W=16, multires=2, multires_view=1, skips=()),
    sdf_network=SdfNetworkConfig(d_out=9, d_hidden=32, n_layers=2, skip_in=(), multires=2),
    rendering_network=ColorNetworkConfig(d_feature=8, d_hidden=16, n_layers=1),
    neus_renderer=RendererConfig(n_samples=16, n_importance=16, n_outside=0, up_sample_steps=2),
)


def with_background(n_outside=8):
    return replace(SMALL, neus_renderer=replace(SMALL.neus_renderer, n_outside=n_outside))


def test_parameters_stand_in_the_order_of_published_optimisers():
    model = build_model(ModelConfig())
    counts = [len(list(p.parameters())) for p in (model.nerf, model.sdf_network, model.sharpness, model.color_network)]
    assert counts == [24, 27, 1, 15]
    assert len(model.parameter_list()) == 67
    assert [id(p) for p in model.parameter_list()] == [id(p) for p in model.parameters()]


def test_queries_agree_with_each_other():
    model = build_model(SMALL)
    points = in_ball(30).requires_grad_()
    (slope,) = torch.autograd.grad(model.sdf(points).sum(), points)
    assert torch.allclose(model.gradient(points), slope, atol=1e-5)
    normals = torch.nn.functional.normalize(slope, dim=-1)
    rgb = model.surface_color(points, normals)
    assert rgb.shape == (30, 3) and (rgb > 0).all() and (rgb < 1).all()
    surface = model.sdf_network.evaluate(points)
    assert torch.equal(rgb, model.color_network(points, surface.gradients, -normals, surface.features))


@pytest.mark.parametrize(("config", "n_sections"), [(SMALL, 32), (with_background(), 40)])
def test_render_uses_the_background_network_where_the_conf_asks_for_it(config, n_sections):
    model = build_model(config)
    assert (model.fields().background is None) == (config is SMALL)
    seen = model.render(*rays_towards(in_ball(5)))
    assert seen.weights.shape == (5, n_sections)


def test_the_models_own_background_is_used_unless_another_is_given():
    model, rays = build_model(SMALL), rays_towards(in_ball(5))
    black = model.render(*rays)
    model.background = torch.tensor([1.0, 0.5, 0.0], dtype=torch.float64)
    seen, behind = model.render(*rays), (1.0 - black.opacity).unsqueeze(-1)
    assert torch.allclose(seen.rgb, black.rgb + behind * torch.tensor([1.0, 0.5, 0.0]), atol=1e-6)
    assert torch.allclose(model.render(*rays, background=torch.zeros(3)).rgb, black.rgb, atol=1e-6)


def test_every_part_is_trained_by_a_rendered_picture():
    model = build_model(with_background())
    seen = model.render(*rays_towards(in_ball(20)), perturb=True)
    ((seen.rgb - 0.3).square().sum() + (seen.gradients.norm(dim=-1) - 1.0).square().mean()).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().sum() > 0, name


def test_in_chunks_changes_nothing_but_the_gradient():
    model, points = build_model(SMALL), in_ball(23)
    chunked = in_chunks(model.sdf, 5)(points)
    assert torch.allclose(chunked, model.sdf(points), atol=1e-6) and not chunked.requires_grad
    colors = in_chunks(model.surface_color, 5)(points, points)
    assert torch.allclose(colors, model.surface_color(points, points), atol=1e-6)
    assert in_chunks(model.sdf, 5)(points[:0]).shape == (0,)


def test_a_model_on_a_hash_grid_answers_the_same_questions(tiny_hash_config):
    model = build_model(tiny_hash_config.model)
    points = 0.3 * torch.randn(20, 3)
    model.set_active_levels(2)
    assert model.sdf(points).shape == (20,) and model.gradient(points).shape == (20, 3)
    assert model.surface_color(points, torch.nn.functional.normalize(points, dim=-1)).shape == (20, 3)
    origins = torch.tensor([[0.0, 0.0, -3.0]])
    seen = model.render(origins, torch.tensor([[0.0, 0.0, 1.0]]))
    assert seen.rgb.shape == (1, 3) and seen.t.item() == pytest.approx(2.5, abs=0.2)
    one = torch.ones(1)
    hits = trace(model.sdf, origins, torch.tensor([[0.0, 0.0, 1.0]]), one, 4.0 * one)
    assert hits.t.item() == pytest.approx(2.5, abs=0.05)
