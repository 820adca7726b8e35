"""Logistic opacities: the compiled forms against the reference, in values and derivatives."""

import numpy as np
import pytest
import torch

from neus.kernels.jit import compiled
from neus.kernels.logistic import cpu, reference

EPSILON = 1e-5


@compiled
def _all(starts, ends, sharpness, epsilon, by_alpha, out):
    for i in range(len(starts)):
        at_start, at_end = cpu.phi(starts[i] * sharpness), cpu.phi(ends[i] * sharpness)
        out[0, i] = cpu.alpha(at_start, at_end, epsilon)
        out[1, i], out[2, i] = cpu.alpha_vjp(at_start, at_end, epsilon, by_alpha[i])
        out[3, i] = cpu.exact_alpha(starts[i], ends[i], sharpness)


def on_cpu(starts, ends, sharpness, by_alpha):
    """alpha, its derivatives in the signed distances given that in alpha, and the exact alpha."""
    numbers, out = starts.numpy().dtype.type, np.empty((4, len(starts)), starts.numpy().dtype)
    _all(starts.numpy(), ends.numpy(), numbers(sharpness), numbers(EPSILON), by_alpha.numpy(), out)
    alpha, by_start, by_end, exact = torch.from_numpy(out)
    return alpha, by_start * sharpness, by_end * sharpness, exact


@pytest.mark.parametrize("dtype, tolerance", [(torch.float32, 1e-5), (torch.float64, 1e-12)])
@pytest.mark.parametrize("sharpness", [1.0, 20.0, 400.0, 8000.0])
def test_compiled_opacities_and_derivatives_equal_those_of_torch(dtype, tolerance, sharpness):
    starts, ends, by_alpha = torch.randn(3, 2000, dtype=dtype)
    # As far from the surface as it is wide, a few times: further off there is nothing to compare.
    starts, ends = starts * 3.0 / sharpness, ends * 3.0 / sharpness
    starts.requires_grad_(), ends.requires_grad_()
    alpha = reference.alpha(starts, ends, torch.tensor(sharpness, dtype=dtype), EPSILON)
    by_start, by_end = torch.autograd.grad(alpha, (starts, ends), by_alpha)
    exact = reference.exact_alpha(starts, ends, sharpness)
    expected = alpha, by_start, by_end, exact
    for found, truth in zip(on_cpu(starts.detach(), ends.detach(), sharpness, by_alpha), expected, strict=True):
        assert (found - truth).abs().max() <= tolerance * truth.abs().max()


def test_exact_opacity_is_the_ratio_where_that_can_be_computed():
    starts, ends = torch.rand(2, 500, dtype=torch.float64) * 0.4 - 0.2
    ratio = 1.0 - torch.sigmoid(30.0 * ends) / torch.sigmoid(30.0 * starts)
    assert torch.allclose(reference.exact_alpha(starts, ends, 30.0), ratio.clamp_min(0.0), atol=1e-13)


def test_intervals_that_leave_the_surface_have_no_gradient():
    starts, ends = torch.tensor([-0.1, 0.02]), torch.tensor([0.1, 0.3])
    alpha, by_start, by_end, exact = on_cpu(starts, ends, 100.0, torch.ones(2))
    assert all((x == 0.0).all() for x in (alpha, by_start, by_end, exact))
