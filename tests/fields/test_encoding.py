import math

import pytest
import torch

from neus.fields.encoding import encode_frequencies, frequency_width, vjp_of_frequencies


@pytest.mark.parametrize(("n_inputs", "n_octaves", "width"), [(3, 6, 39), (3, 4, 27), (4, 10, 84), (3, 0, 3)])
def test_width_is_that_of_the_published_networks(n_inputs, n_octaves, width):
    assert frequency_width(n_inputs, n_octaves) == width
    assert encode_frequencies(torch.randn(5, n_inputs), n_octaves).shape == (5, width)


def test_channels_stand_in_the_published_order():
    x = torch.tensor([0.3, -0.7, 1.1], dtype=torch.float64)
    expected = [x]
    for octave in range(3):
        expected += [torch.sin(2.0**octave * x), torch.cos(2.0**octave * x)]
    assert torch.equal(encode_frequencies(x, 3), torch.cat(expected))


def test_encoding_has_the_period_of_its_slowest_wave():
    x = torch.rand(7, 3, dtype=torch.float64)
    here, there = encode_frequencies(x, 5), encode_frequencies(x + 2 * math.pi, 5)
    assert torch.allclose(here[:, 3:], there[:, 3:], atol=1e-12)


@pytest.mark.parametrize("n_octaves", [0, 1, 6])
def test_vjp_is_the_transposed_jacobian(n_octaves):
    x = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    encoded = encode_frequencies(x, n_octaves)
    cotangents = torch.randn_like(encoded)
    (expected,) = torch.autograd.grad(encoded, x, cotangents)
    assert torch.allclose(vjp_of_frequencies(x, cotangents, n_octaves), expected, rtol=1e-12, atol=1e-12)


def test_vjp_is_differentiable_in_both_arguments():
    x = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    cotangents = torch.randn(2, frequency_width(3, 2), dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x, c: vjp_of_frequencies(x, c, 2), (x, cotangents))
