from dataclasses import replace

import pytest
import torch

from neus.errors import InputError
from neus.fields.background import NerfConfig
from neus.fields.color_network import ColorNetworkConfig
from neus.fields.sdf_network import SdfNetwork, SdfNetworkConfig
from neus.geometry.poses import rotation_from_vector
from neus.geometry.similarity import similarity, transform_points
from neus.rendering.model import Model, ModelConfig, in_chunks
from neus.rendering.renderer import RendererConfig
from neus.rendering.sphere_tracing import trace
from neus.runs.build import build_model
from tests.rendering.closed_forms import SHARPNESS, Sphere, in_ball, no_shading, rays_towards

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


@pytest.mark.parametrize(("config", "n_intervals"), [(SMALL, 32), (with_background(), 40)])
def test_render_uses_the_background_network_where_the_conf_asks_for_it(config, n_intervals):
    model = build_model(config)
    assert (model.fields().background is None) == (config is SMALL)
    seen = model.render(*rays_towards(in_ball(5)))
    assert seen.weights.shape == (5, n_intervals)


def test_the_models_own_background_is_used_unless_another_is_given():
    model, rays = build_model(SMALL), rays_towards(in_ball(5))
    black = model.render(*rays)
    model.background = torch.tensor([1.0, 0.5, 0.0], dtype=torch.float64)
    seen, behind = model.render(*rays), (1.0 - black.opacity).unsqueeze(-1)
    assert torch.allclose(seen.rgb, black.rgb + behind * torch.tensor([1.0, 0.5, 0.0]), atol=1e-6)
    assert torch.allclose(model.render(*rays, background=torch.zeros(3)).rgb, black.rgb, atol=1e-6)


def test_every_part_is_trained_by_a_rendered_image():
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


# A turned, moved and enlarged world.
WORLD = similarity(
    40.0,
    torch.tensor([5.0, -7.0, 300.0], dtype=torch.float64),
    rotation_from_vector(torch.tensor([0.3, 1.0, -0.5]).double()),
)


def placed_in_world(model):
    model.scene_to_world = WORLD
    return model


def sphere_model(radius=0.5):
    """A model of fields that are no networks: the sphere in closed form."""
    return placed_in_world(Model(surface=Sphere(radius), color=no_shading, sharpness=SHARPNESS))


def test_queries_in_the_world_are_those_of_the_scene_in_its_units():
    model, points = placed_in_world(build_model(SMALL)), in_ball(30)
    directions = torch.nn.functional.normalize(torch.randn(30, 3), dim=-1)
    rotation = (WORLD[:3, :3] / 40.0).float()
    at = transform_points(WORLD, points.double())
    assert torch.allclose(model.sdf(at, frame="world"), 40.0 * model.sdf(points), atol=1e-4)
    assert torch.allclose(model.gradient(at, frame="world"), model.gradient(points) @ rotation.T, atol=1e-5)
    seen = model.color(at, directions @ rotation.T, frame="world")
    assert torch.allclose(seen, model.color(points, directions), atol=1e-5)


def test_the_gradient_in_the_world_is_the_slope_of_the_distance_there():
    model = placed_in_world(build_model(SMALL))
    at = transform_points(WORLD, in_ball(20).double()).requires_grad_()
    (slope,) = torch.autograd.grad(model.sdf(at, frame="world").sum(), at)
    assert torch.allclose(model.gradient(at, frame="world").double(), slope, atol=1e-4)


def test_rays_are_traced_to_the_closed_form_sphere_in_both_frames():
    model, (origins, directions) = sphere_model(), rays_towards(0.1 * in_ball(20))
    found = model.trace(origins, directions)
    assert found.hit.all()
    on_surface = origins + found.t.unsqueeze(-1) * directions
    assert torch.allclose(on_surface.norm(dim=-1), torch.tensor(0.5), atol=1e-4)
    world = transform_points(WORLD, origins.double()), directions.double() @ (WORLD[:3, :3] / 40.0).T
    in_world = model.trace(*world, frame="world")
    assert in_world.hit.all() and torch.allclose(in_world.t, 40.0 * found.t, atol=5e-3)
    away = model.trace(origins, -directions)
    assert not away.hit.any() and not away.undecided.any()


def test_fields_of_ones_own_render_like_networks():
    seen = sphere_model().render(*rays_towards(0.1 * in_ball(10)))
    assert (seen.foreground > 0.99).all() and seen.rgb.shape == (10, 3)


def test_own_modules_are_trained_with_the_rest_and_other_objects_are_not():
    own = SdfNetwork(SMALL.sdf_network)
    model = Model(SMALL, surface=own)
    assert model.sdf_network is own and {id(p) for p in own.parameters()} <= {id(p) for p in model.parameter_list()}
    closed = sphere_model()
    parts = (closed.nerf, closed.sharpness)
    assert len(closed.parameter_list()) == sum(len(list(part.parameters())) for part in parts)


@pytest.mark.parametrize(
    ("frame", "said"), [("world", "does not know its world"), ("moon", "frame 'moon': expected scene")]
)
def test_a_frame_that_is_not_known_is_refused(frame, said):
    model = build_model(SMALL)
    for query in (model.sdf, model.gradient, lambda p, frame: model.trace(p, p, frame)):
        with pytest.raises(InputError, match=said):
            query(in_ball(3), frame=frame)
