import pytest
import torch

from neus.fields import background as background_module
from neus.fields.background import Nerf, NerfConfig
from neus.fields.encoding import encode_frequencies
from neus.geometry.contraction import inverted_sphere

SMALL = NerfConfig(D=3, W=16, multires=2, multires_view=1, skips=(1,))


def test_density_is_not_negative_and_colors_are_between_black_and_white():
    points = inverted_sphere(3.0 * torch.randn(5, 7, 3))
    density, rgb = Nerf(SMALL)(points, torch.nn.functional.normalize(torch.randn(5, 7, 3), dim=-1))
    assert density.shape == (5, 7) and rgb.shape == (5, 7, 3)
    assert (density >= 0).all() and (rgb > 0).all() and (rgb < 1).all()


def test_density_is_the_same_from_everywhere():
    network = Nerf(SMALL)
    points, directions = torch.randn(6, 4), torch.nn.functional.normalize(torch.randn(2, 6, 3), dim=-1)
    (density, rgb), (other_density, other_rgb) = network(points, directions[0]), network(points, directions[1])
    assert torch.equal(density, other_density) and not torch.equal(rgb, other_rgb)


def plain(network: Nerf, points: torch.Tensor, directions: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The layers as published, one after another."""
    encoded = x = encode_frequencies(points, network.config.multires)
    for i, layer in enumerate(network.pts_linears):
        x = torch.relu(layer(x))
        x = torch.cat([encoded, x], dim=-1) if i in network.config.skips else x
    features = torch.cat([network.feature_linear(x), encode_frequencies(directions, network.config.multires_view)], -1)
    rgb = torch.sigmoid(network.rgb_linear(torch.relu(network.views_linears[0](features))))
    return torch.nn.functional.softplus(network.alpha_linear(x)).squeeze(-1), rgb


@pytest.mark.parametrize("is_expanded", [True, False])
@pytest.mark.parametrize("shape", [(5, 7), (1, 7), (6, 1), (0, 7), (5, 0)])
def test_folded_layers_have_the_values_and_gradients_of_the_published_ones(shape, is_expanded):
    network = Nerf(SMALL)
    points = inverted_sphere(3.0 * torch.randn(*shape, 3))
    directions = torch.nn.functional.normalize(torch.randn(shape[0], 1, 3), dim=-1)
    cotangents, found = (torch.randn(shape), torch.randn(*shape, 3)), []
    for function in (network, lambda *inputs: plain(network, *inputs)):
        given = points.clone().requires_grad_(), directions.clone().requires_grad_()
        views = given[1].expand(*shape, 3)
        results = function(given[0], views if is_expanded else views.contiguous())
        gradients = torch.autograd.grad(results, [*given, *network.parameters()], cotangents)
        found.append([*results, *gradients])
    for one, other in zip(*found, strict=True):
        assert one.shape == other.shape and torch.allclose(one, other, rtol=1e-5, atol=1e-5)


def test_directions_of_rays_are_encoded_once(monkeypatch):
    shapes, encode = [], background_module.encode_frequencies
    monkeypatch.setattr(
        background_module, "encode_frequencies", lambda x, n: shapes.append(tuple(x.shape)) or encode(x, n)
    )
    Nerf(SMALL)(torch.randn(5, 7, 4), torch.randn(5, 3).unsqueeze(1).expand(5, 7, 3))
    assert shapes == [(5, 7, 4), (5, 1, 3)]


def test_published_names_and_shapes():
    names = {name: tuple(value.shape) for name, value in Nerf(NerfConfig()).state_dict().items()}
    layers = [(f"pts_linears.{i}", 256, {0: 84, 5: 340}.get(i, 256)) for i in range(8)]
    layers += [("views_linears.0", 128, 283), ("feature_linear", 256, 256), ("alpha_linear", 1, 256)]
    layers += [("rgb_linear", 3, 128)]
    expected = {}
    for name, n_out, n_in in layers:
        expected |= {f"{name}.weight": (n_out, n_in), f"{name}.bias": (n_out,)}
    assert list(names.items()) == list(expected.items())


def test_a_background_blind_to_directions_is_refused():
    with pytest.raises(ValueError, match="use_viewdirs"):
        Nerf(NerfConfig(use_viewdirs=False))
