"""Colour outputs come back from saturation."""

import pytest
import torch

from neus.fields.activations import color_sigmoid
from neus.fields.background import Nerf, NerfConfig
from neus.fields.hash_background import HashBackground, HashBackgroundConfig
from neus.geometry.contraction import inverted_sphere

SURROUNDING = 0.02


def test_the_derivative_is_that_of_the_sigmoid_where_nothing_saturates():
    x = torch.linspace(-5.0, 5.0, 21, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(color_sigmoid, (x,))


@pytest.mark.parametrize("x, target", [(-30.0, 0.5), (30.0, 0.5), (-30.0, 0.02)])
def test_a_saturated_colour_is_pulled_out_and_never_further_in(x, target):
    x = torch.tensor(x, requires_grad=True)
    (color_sigmoid(x) - target).square().backward()
    assert x.grad * x.detach() > 0.0, "a step against the gradient shrinks |x|"
    x.grad = None
    (color_sigmoid(x) - (x.detach() > 0.0).float()).square().backward()
    assert x.grad == 0.0


@pytest.mark.parametrize("kind", ["nerf", "hash"])
def test_a_dark_surrounding_is_learnt_after_an_overshoot(kind):
    config = NerfConfig(D=2, W=32, multires=2, multires_view=1, skips=())
    field = Nerf(config) if kind == "nerf" else HashBackground(HashBackgroundConfig())
    generator = torch.Generator().manual_seed(0)
    directions = torch.nn.functional.normalize(torch.randn(64, 3, generator=generator), dim=-1)
    points = inverted_sphere(4.0 * directions)
    last = field.rgb_linear if kind == "nerf" else field.rgb
    with torch.no_grad():
        last.bias.fill_(-12.0)  # as a few steps at too large a rate leave it
    assert field(points, directions)[1].max() < 1e-4
    optimizer = torch.optim.Adam(field.parameters(), lr=1e-2)
    for _ in range(600):
        optimizer.zero_grad()
        (field(points, directions)[1] - SURROUNDING).abs().sum().backward()
        optimizer.step()
    assert abs(float(field(points, directions)[1].mean()) - SURROUNDING) < 0.005
