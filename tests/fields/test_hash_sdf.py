from dataclasses import replace

import pytest
import torch

from neus.fields.color_network import ColorNetwork, ColorNetworkConfig
from neus.fields.hash_grid import HashGridConfig
from neus.fields.hash_sdf import HashSdf, HashSdfConfig, fibonacci_directions
from neus.meshing.extract import extract_mesh
from neus.rendering.density import LogisticDensity
from neus.rendering.renderer import Fields, RendererConfig, render_rays

SMALL = HashSdfConfig(
    HashGridConfig(n_levels=4, base_resolution=3, finest_resolution=24, log2_table_size=8), d_hidden=16, d_out=4
)


def trained_like(field):
    """The field after a kick that makes all its levels matter."""
    with torch.no_grad():
        field.grid.table.add_(0.1 * torch.randn_like(field.grid.table))
        for layer in (field.hidden, field.out):
            layer.weight.add_(0.1 * torch.randn_like(layer.weight))
            layer.bias.add_(0.1 * torch.randn_like(layer.bias))
    return field


def by_reference(monkeypatch):
    monkeypatch.setenv("NEUS_KERNELS", "reference")


@pytest.mark.parametrize("inside_outside", [False, True])
@pytest.mark.parametrize("bias", [0.3, 0.5, 0.8])
def test_the_initial_surface_is_a_sphere_of_the_given_radius(bias, inside_outside):
    field = HashSdf(HashSdfConfig(bias=bias, inside_outside=inside_outside))
    around = torch.nn.functional.normalize(torch.randn(500, 3), dim=-1)
    sign = -1.0 if inside_outside else 1.0
    for radius in (0.7 * bias, bias, 1.2 * bias):
        surface = field.evaluate(radius * around)
        assert (sign * surface.sdf - (radius - bias)).abs().max() < max(1e-2, 0.02 * bias)
        assert (sign * surface.gradients - around).norm(dim=-1).max() < 0.15
    assert torch.allclose(field.sdf(bias * around), field.evaluate(bias * around).sdf, atol=1e-6)


def test_directions_are_unit_and_even():
    directions = fibonacci_directions(64)
    assert torch.allclose(directions.norm(dim=-1), torch.ones(64))
    assert torch.allclose(directions.T @ directions / 64, torch.eye(3) / 3, atol=0.01)


@pytest.mark.parametrize("kernels", ["cpu", "reference"])
def test_written_out_gradient_equals_autograd_and_differences(kernels, monkeypatch):
    monkeypatch.setenv("NEUS_KERNELS", kernels)
    field = trained_like(HashSdf(SMALL).double())
    points = (torch.rand(50, 3, dtype=torch.float64) * 2 - 1).requires_grad_()
    (expected,) = torch.autograd.grad(field.sdf(points).sum(), points)
    surface = field.evaluate(points)
    assert torch.allclose(surface.gradients, expected, rtol=1e-10, atol=1e-10)
    assert torch.allclose(surface.sdf, field.sdf(points), rtol=1e-12, atol=1e-12)
    offsets = 1e-7 * torch.eye(3, dtype=torch.float64)
    with torch.no_grad():
        ahead, behind = field.sdf(points.unsqueeze(1) + offsets), field.sdf(points.unsqueeze(1) - offsets)
    assert torch.allclose(surface.gradients, (ahead - behind) / 2e-7, atol=1e-4)


def test_derivatives_of_the_gradient_equal_double_backward_through_the_reference(monkeypatch):
    field = trained_like(HashSdf(SMALL).double())
    points = (torch.rand(40, 3, dtype=torch.float64) * 2 - 1).requires_grad_()
    weights = torch.randn(40, 3, dtype=torch.float64)

    def derivatives(sdf, gradients, features):
        loss = (gradients.norm(dim=-1) - 1.0).square().sum() + (gradients * weights).sum() + sdf.square().sum()
        loss = loss + features.sin().sum()
        return torch.autograd.grad(loss, [*field.parameters(), points])

    surface = field.evaluate(points)
    ours = derivatives(surface.sdf, surface.gradients, surface.features)
    by_reference(monkeypatch)
    sdf = field.sdf(points)
    (gradients,) = torch.autograd.grad(sdf.sum(), points, create_graph=True)
    theirs = derivatives(sdf, gradients, field.evaluate(points).features)
    for one, other in zip(ours, theirs, strict=True):
        assert torch.allclose(one, other, rtol=1e-8, atol=1e-8)


def test_gradient_is_differentiable_in_every_parameter(monkeypatch):
    tiny = replace(
        SMALL, grid=replace(SMALL.grid, n_levels=2, log2_table_size=3, base_resolution=1), d_hidden=5, d_out=2
    )
    field = trained_like(HashSdf(tiny).double())
    points = torch.rand(2, 3, dtype=torch.float64)
    names = [name for name, _ in field.named_parameters()]

    class Sampled(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.field = field

        def forward(self):
            return tuple(self.field.evaluate(points))

    def outputs(*parameters):
        named = {f"field.{name}": value for name, value in zip(names, parameters, strict=True)}
        return torch.func.functional_call(Sampled(), named, ())

    assert torch.autograd.gradcheck(outputs, tuple(field.parameters()), eps=1e-7, atol=1e-5, rtol=1e-4)


def test_levels_switched_off_do_not_matter():
    field, points = trained_like(HashSdf(SMALL)), torch.rand(20, 3)
    field.set_active_levels(2)
    before = field.evaluate(points)
    with torch.no_grad():
        field.grid.table[field.grid.layout.offsets[2] :].normal_()
    assert all(torch.equal(a, b) for a, b in zip(before, field.evaluate(points), strict=True))


def test_any_batch_shape_is_welcome_and_so_is_none():
    field = HashSdf(SMALL)
    for batch in ((2, 5), (0, 4), ()):
        surface = field.evaluate(torch.rand(*batch, 3))
        assert surface.sdf.shape == batch == field.sdf(torch.rand(*batch, 3)).shape
        assert surface.features.shape == (*batch, 3) and surface.gradients.shape == (*batch, 3)


def test_evaluation_in_passes_gives_the_same_values_and_gradients():
    whole, parts = (trained_like(HashSdf(SMALL).double()) for _ in range(2))
    parts.load_state_dict(whole.state_dict())
    parts.chunk_size = 7
    points = torch.rand(30, 3, dtype=torch.float64)
    for field in (whole, parts):
        surface = field.evaluate(points)
        (surface.gradients.square().sum() + surface.features.sum() + field.sdf(points).sum()).backward()
    for one, other in zip(whole.parameters(), parts.parameters(), strict=True):
        assert torch.allclose(one.grad, other.grad, rtol=1e-10, atol=1e-12)


def test_far_points_stay_finite():
    surface = HashSdf(SMALL).evaluate(1e6 * torch.randn(10, 3))
    assert all(tensor.isfinite().all() for tensor in surface) and (surface.sdf > 0).all()


def test_the_renderer_and_the_mesher_take_it_unchanged():
    field = HashSdf(replace(SMALL, d_hidden=64))
    color = ColorNetwork(ColorNetworkConfig(d_feature=3, d_hidden=16, n_layers=1))
    fields = Fields(field, color, None, LogisticDensity(), torch.tensor(400.0))
    origins = torch.tensor([[0.0, 0.0, -3.0], [0.0, 0.9, -3.0]])
    directions = torch.tensor([[0.0, 0.0, 1.0]]).expand(2, 3)
    seen = render_rays(fields, origins, directions, RendererConfig(n_outside=0))
    assert seen.opacity[0] > 0.99 and seen.opacity[1] < 0.01
    assert seen.t[0].item() == pytest.approx(2.5, abs=0.02)
    assert torch.allclose(seen.normals[0], torch.tensor([0.0, 0.0, -1.0]), atol=0.1)
    seen.rgb.sum().backward()
    assert (field.grid.table.grad != 0).any()
    mesh = extract_mesh(field.sdf, torch.tensor([[-1.0] * 3, [1.0] * 3]), 48)
    assert (torch.tensor(mesh.vertices).norm(dim=-1) - 0.5).abs().max() < 1e-2
