from dataclasses import replace

import pytest
import torch

from neus.fields.precision import products_in, why_not_precision
from neus.fields.sdf_network import SdfNetwork, SdfNetworkConfig
from neus.runs.build import build_model
from neus.training.losses import eikonal_loss

CPU = torch.device("cpu")
# bfloat16 keeps 8 bits, so each product is off by up to 2^-8; errors of layers add up at random.
TOLERANCE = 0.02


@pytest.fixture
def network():
    return SdfNetwork(SdfNetworkConfig(d_out=33, d_hidden=64, n_layers=4, skip_in=(2,), multires=4))


@pytest.fixture
def points():
    return torch.rand(200, 3) * 1.6 - 0.8


def test_bfloat16_is_single_precision_but_for_its_rounding(network, points):
    exact = network.evaluate(points)
    with products_in("bfloat16", CPU):
        rounded, alone = network.evaluate(points), network.sdf(points)
    for value, truth in zip(rounded, exact, strict=True):
        assert value.dtype == torch.float32 and not torch.equal(value, truth)
        assert (value - truth).abs().max() < TOLERANCE * (1.0 + truth.abs().max())
    assert alone.dtype == torch.float32 and (alone - exact.sdf).abs().max() < TOLERANCE


def test_bfloat16_turns_the_gradient_of_the_eikonal_term_by_a_little(network, points):
    """The term is in the slope of the field, so its gradient takes derivatives twice."""
    gradients = []
    with torch.no_grad():  # at its start the slope is one, and the term has no gradient
        for parameter in network.parameters():
            parameter.mul_(1.3)
    for precision in ("float32", "bfloat16"):
        with products_in(precision, CPU):
            slopes = network.evaluate(points).gradients.unsqueeze(0)
            loss = eikonal_loss(slopes, points.norm(dim=-1).unsqueeze(0))
            parts = torch.autograd.grad(loss, list(network.parameters()), allow_unused=True)
        gradients.append(torch.cat([part.flatten() for part in parts if part is not None]))
    exact, rounded = gradients
    assert rounded.dtype == torch.float32 and rounded.isfinite().all() and not torch.equal(exact, rounded)
    assert torch.cosine_similarity(exact, rounded, dim=0) > 0.999


@pytest.mark.parametrize("surface", ["mlp", "hash"])
def test_every_field_gives_single_precision_whatever_its_products(tiny_config, surface):
    renderer = replace(tiny_config.model.neus_renderer, n_outside=4)
    model = build_model(replace(tiny_config.model, surface=surface, neus_renderer=renderer))
    origins, directions = torch.tensor([[0.0, 0.0, -2.0]]), torch.tensor([[0.0, 0.0, 1.0]])
    exact = model.render(origins, directions)
    with products_in("bfloat16", CPU):
        rounded = model.render(origins, directions)
    for name, truth in vars(exact).items():
        assert getattr(rounded, name).dtype == truth.dtype == torch.float32, name
    assert not torch.equal(rounded.rgb, exact.rgb) and (rounded.rgb - exact.rgb).abs().max() < TOLERANCE


def test_products_are_as_before_afterwards(network, points):
    exact, before = network.sdf(points), torch.get_float32_matmul_precision()
    with pytest.raises(KeyError), products_in("bfloat16", CPU):
        raise KeyError
    assert torch.equal(network.sdf(points), exact) and torch.get_float32_matmul_precision() == before


def test_precisions_that_a_device_has_not_are_named():
    assert why_not_precision("float32", torch.device("mps")) == why_not_precision("bfloat16", CPU) == ""
    assert "CUDA devices and CPUs have bfloat16, the model is on mps" in why_not_precision(
        "bfloat16", torch.device("mps")
    )
    assert "tf32" in why_not_precision("tf32", CPU)
