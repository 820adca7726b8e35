import math

import pytest
import torch

from neus.fields.sdf_network import SdfNetwork, SdfNetworkConfig

# A network in which every part is at work: a skip, frequencies, weight normalisation.
SMALL = {"d_out": 6, "d_hidden": 32, "n_layers": 4, "skip_in": (2,), "multires": 2}


def directions(n):
    return torch.nn.functional.normalize(torch.randn(n, 3), dim=-1)


def trained_like(network):
    """The network after a kick that switches all its frequencies on."""
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return network


@pytest.mark.parametrize("inside_outside", [False, True])
@pytest.mark.parametrize("scale", [1.0, 3.0])
@pytest.mark.parametrize("bias", [0.5, 0.8])
def test_initial_surface_is_a_sphere_of_radius_bias_in_scaled_units(scale, bias, inside_outside):
    network = SdfNetwork(SdfNetworkConfig(scale=scale, bias=bias, inside_outside=inside_outside))
    t = torch.linspace(0.0, 3.0 * bias / scale, 300)
    with torch.no_grad():
        is_inside = network.sdf(directions(100).unsqueeze(1) * t.unsqueeze(-1)) < 0
    if inside_outside:
        is_inside = ~is_inside
    assert is_inside[:, 0].all() and not is_inside[:, -1].any()
    assert (is_inside.int().diff(dim=1).abs().sum(1) == 1).all(), "every ray from the centre crosses once"
    # The theorem holds for ReLU and infinite width. At width 256 and with the smooth Softplus the sphere is dented.
    radii = t[is_inside.sum(1)] * scale
    assert radii.mean().item() == pytest.approx(bias, rel=0.3)
    assert radii.std() < 0.15 * bias


def test_initial_gradients_point_outwards():
    around = directions(500)
    gradients = SdfNetwork(SdfNetworkConfig()).evaluate(0.7 * around).gradients
    assert (torch.nn.functional.normalize(gradients, dim=-1) * around).sum(-1).min() > 0.8
    assert 0.5 < gradients.norm(dim=-1).mean() < 1.3


def test_frequencies_start_switched_off():
    network = SdfNetwork(SdfNetworkConfig())
    assert (network.lin0.weight[:, 3:] == 0).all()
    assert (network.lin4.weight[:, -36:] == 0).all()
    assert (network.lin4.weight[:, :-36] != 0).all()


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"scale": 3.0},
        {"weight_norm": False},
        {"geometric_init": False},
        {"multires": 0},
        {"skip_in": ()},
        {"skip_in": (1, 3)},
        {"inside_outside": True, "scale": 0.5},
    ],
    ids=str,
)
def test_written_out_gradient_equals_autograd(changes):
    network = trained_like(SdfNetwork(SdfNetworkConfig(**SMALL | changes)).double())
    points = torch.rand(50, 3, dtype=torch.float64).mul(2).sub(1).requires_grad_()
    (expected,) = torch.autograd.grad(network.sdf(points).sum(), points)
    surface = network.evaluate(points)
    # torch takes Softplus for linear where beta x > 20, which is 2e-9 off in the slope.
    assert torch.allclose(surface.gradients, expected, rtol=1e-8, atol=1e-8)
    assert torch.allclose(surface.sdf, network.sdf(points), rtol=1e-12, atol=1e-12)


def test_gradient_is_the_slope_that_differences_measure():
    network = trained_like(SdfNetwork(SdfNetworkConfig(**SMALL)).double())
    points, step = torch.rand(20, 3, dtype=torch.float64), 1e-6
    offsets = step * torch.eye(3, dtype=torch.float64)
    with torch.no_grad():
        ahead, behind = network.sdf(points.unsqueeze(1) + offsets), network.sdf(points.unsqueeze(1) - offsets)
        # Softplus with beta 100 bends within hundredths, hence the tolerance at this step.
        assert torch.allclose(network.evaluate(points).gradients, (ahead - behind) / (2 * step), atol=1e-5)


def test_gradient_is_differentiable_in_every_parameter_as_the_eikonal_term_needs():
    tiny = SdfNetworkConfig(d_out=3, d_hidden=11, n_layers=2, skip_in=(1,), multires=1)
    network = trained_like(SdfNetwork(tiny).double())
    points = 0.3 * torch.randn(3, 3, dtype=torch.float64)
    names = [name for name, _ in network.named_parameters()]

    def outputs(*parameters):
        class Sampled(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.network = network

            def forward(self, points):
                surface = self.network.evaluate(points)
                return surface.gradients, surface.sdf, surface.features

        named = {f"network.{name}": value for name, value in zip(names, parameters, strict=True)}
        return torch.func.functional_call(Sampled(), named, (points,))

    # Steps small against the hundredth within which the activations bend.
    assert torch.autograd.gradcheck(outputs, tuple(network.parameters()), eps=1e-7, atol=1e-5, rtol=1e-4)


def test_eikonal_gradient_equals_that_of_double_backward_through_autograd():
    network = trained_like(SdfNetwork(SdfNetworkConfig(**SMALL)).double())
    points = torch.rand(20, 3, dtype=torch.float64).requires_grad_()

    def of_parameters(gradients):
        loss = (gradients.norm(dim=-1) - 1.0).square().mean()
        return torch.autograd.grad(loss, list(network.parameters()), allow_unused=True)

    (by_autograd,) = torch.autograd.grad(network.sdf(points).sum(), points, create_graph=True)
    for ours, theirs in zip(of_parameters(network.evaluate(points).gradients), of_parameters(by_autograd), strict=True):
        assert (ours is None) == (theirs is None)
        # Second derivatives of Softplus where torch takes it for linear: below beta exp(-20) = 2e-7.
        assert ours is None or torch.allclose(ours, theirs, rtol=1e-6, atol=1e-6)


def test_scale_changes_units_not_slopes():
    one, three = (SdfNetwork(SdfNetworkConfig(**SMALL, scale=scale)) for scale in (1.0, 3.0))
    three.load_state_dict(one.state_dict())
    points = torch.rand(10, 3)
    assert torch.allclose(three.sdf(points), one.sdf(3.0 * points) / 3.0, atol=1e-6)
    assert torch.allclose(three.evaluate(points).gradients, one.evaluate(3.0 * points).gradients, atol=1e-5)


def test_any_batch_shape_is_welcome():
    network = SdfNetwork(SdfNetworkConfig(**SMALL))
    points = torch.rand(2, 5, 3)
    surface = network.evaluate(points)
    assert surface.sdf.shape == (2, 5) and surface.features.shape == (2, 5, 5) and surface.gradients.shape == (2, 5, 3)
    assert network.sdf(points).shape == (2, 5) and network.sdf(points[0, 0]).shape == ()
    flat = network.evaluate(points.reshape(-1, 3))
    assert torch.allclose(surface.gradients.reshape(-1, 3), flat.gradients, atol=1e-6)


def test_no_points_give_no_distances():
    surface = SdfNetwork(SdfNetworkConfig(**SMALL)).evaluate(torch.rand(0, 4, 3))
    assert surface.sdf.shape == (0, 4) and surface.features.shape == (0, 4, 5) and surface.gradients.shape == (0, 4, 3)


def test_evaluation_in_passes_gives_the_same_values_and_gradients():
    whole, parts = (trained_like(SdfNetwork(SdfNetworkConfig(**SMALL)).double()) for _ in range(2))
    parts.load_state_dict(whole.state_dict())
    parts.chunk_size = 7
    points = torch.rand(30, 3, dtype=torch.float64)
    for network in (whole, parts):
        surface = network.evaluate(points)
        (surface.gradients.square().sum() + surface.features.sum() + network.sdf(points).sum()).backward()
    assert torch.allclose(whole.evaluate(points).gradients, parts.evaluate(points).gradients, rtol=1e-12)
    assert torch.allclose(whole.sdf(points), parts.sdf(points), rtol=1e-12)
    for one, other in zip(whole.parameters(), parts.parameters(), strict=True):
        assert torch.allclose(one.grad, other.grad, rtol=1e-10, atol=1e-12)


def test_far_points_stay_finite():
    surface = SdfNetwork(SdfNetworkConfig(**SMALL)).evaluate(1e6 * directions(10))
    assert all(tensor.isfinite().all() for tensor in surface)


def test_published_names_and_shapes():
    names = {name: tuple(value.shape) for name, value in SdfNetwork(SdfNetworkConfig()).state_dict().items()}
    widths = {0: (256, 39), 3: (217, 256), 8: (257, 256)}
    expected = {}
    for i in range(9):
        n_out, n_in = widths.get(i, (256, 256))
        expected |= {f"lin{i}.bias": (n_out,), f"lin{i}.weight_g": (n_out, 1), f"lin{i}.weight_v": (n_out, n_in)}
    assert list(names.items()) == list(expected.items())


def test_first_hidden_layers_have_the_spread_of_the_paper_on_geometric_initialisation():
    network = SdfNetwork(SdfNetworkConfig())
    assert network.lin1.weight.std().item() == pytest.approx(math.sqrt(2 / 256), rel=0.02)
    assert network.lin8.weight.mean().item() == pytest.approx(math.sqrt(math.pi / 256), rel=1e-3)
    assert network.lin8.bias.unique().item() == -0.5
