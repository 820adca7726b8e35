"""Compositing: its compiled forms against the reference in values and gradients, and both against what light does."""

import pytest
import torch

from neus.kernels.composite import cpu, reference
from tests.kernels.backends import Form, forms, on_gpu

KERNELS = forms("composite", "reference", "cpu", "gpu")


def inputs(n_rays, n_intervals, n_channels, dtype=torch.float32, seed=0):
    """Opacities of all sizes, some of them exactly 0 and 1."""
    generator = torch.Generator().manual_seed(seed)
    alphas = torch.rand(n_rays, n_intervals, generator=generator, dtype=torch.float64) ** 3
    kind = torch.rand(n_rays, n_intervals, generator=generator)
    alphas[kind < 0.1], alphas[kind > 0.97] = 0.0, 1.0
    values = torch.randn(n_rays, n_intervals, n_channels, generator=generator, dtype=torch.float64)
    return alphas.to(dtype).requires_grad_(), values.to(dtype).requires_grad_()


def everything(kernels, alphas, values):
    """Weights, sums, and gradients in alphas and values of a loss in which both outputs take part."""
    weights, sums = kernels.composite(alphas, values)
    generator = torch.Generator().manual_seed(5)
    factors = [torch.randn(x.shape, generator=generator, dtype=torch.float64).to(x) for x in (weights, sums)]
    loss = (weights * factors[0]).sum() + (sums.square() * factors[1]).sum()
    return weights, sums, *torch.autograd.grad(loss, (alphas, values))


@pytest.mark.parametrize(
    "n_rays, n_intervals, n_channels", [(0, 5, 3), (1, 1, 3), (301, 1, 1), (700, 37, 3), (65, 128, 5)]
)
@pytest.mark.parametrize("dtype, tolerance", [(torch.float32, 1e-5), (torch.float64, 1e-12)])
@forms("composite", "cpu", "gpu")
def test_compiled_compositing_equals_the_reference(kernels, n_rays, n_intervals, n_channels, dtype, tolerance):
    assert_equal_compositing(kernels, inputs(n_rays, n_intervals, n_channels, dtype), dtype, tolerance)


@on_gpu
def test_compositing_on_a_gpu_equals_the_reference_at_full_size():
    assert_equal_compositing(Form("composite", "gpu"), inputs(65_537, 128, 3), torch.float32, 1e-5)


def assert_equal_compositing(kernels, given, dtype, tolerance):
    found, expected = everything(kernels, *given), everything(reference, *given)
    for one, other, factor in zip(found, expected, (1, 1, 10, 10), strict=True):
        assert one.shape == other.shape and one.dtype == dtype
        if one.numel():
            assert (one - other).abs().max() <= factor * tolerance * other.abs().max().clamp_min(1.0)


@pytest.mark.parametrize("which", [0, 1])
@forms("composite", "cpu", "gpu")
def test_each_output_alone_carries_gradient(kernels, which):
    gradients = []
    for form in (kernels, reference):
        alphas, values = inputs(20, 9, 3, torch.float64)
        output = form.composite(alphas, values)[which]
        gradients.append(torch.autograd.grad(output.square().sum(), (alphas, values), materialize_grads=True))
    assert all(torch.allclose(a, b, atol=1e-12) for a, b in zip(*gradients, strict=True))


def test_the_numbers_are_the_same_for_any_number_of_threads():
    given, results, before = inputs(1500, 40, 3), [], torch.get_num_threads()
    for n in (1, 2, 3):
        torch.set_num_threads(n)
        weights, sums = cpu.composite(*given)
        results.append([weights, sums, *torch.autograd.grad([weights, sums], given, [weights, sums])])
    torch.set_num_threads(before)
    assert all(torch.equal(a, b) for other in results[1:] for a, b in zip(other, results[0], strict=True))


@KERNELS
def test_gradients_equal_differences_in_float64_where_nothing_passes_too(kernels):
    alphas, values = inputs(4, 6, 2, torch.float64)
    # At exactly 0 and 1 the differences step outside [0, 1], where the formula goes on as it is.
    assert torch.autograd.gradcheck(kernels.composite, (alphas, values))


@KERNELS
def test_behind_an_opaque_interval_nothing_is_seen_and_before_an_empty_one_nothing_lost(kernels):
    alphas = torch.tensor([[0.0, 0.25, 1.0, 0.5], [1.0, 1.0, 1.0, 1.0]])
    values = torch.tensor([4.0, 8.0, 12.0, 1e3]).reshape(1, 4, 1).expand(2, 4, 1)
    weights, sums = kernels.composite(alphas, values)
    assert torch.allclose(weights, torch.tensor([[0.0, 0.25, 0.75, 0.0], [1.0, 0.0, 0.0, 0.0]]), atol=1e-6)
    assert torch.allclose(sums, torch.tensor([[11.0], [4.0]]), atol=1e-3)


@KERNELS
def test_views_that_are_not_contiguous_are_read_as_they_are(kernels):
    alphas, values = inputs(8, 6, 3)
    turned = kernels.composite(alphas.t().contiguous().t(), values.permute(2, 0, 1).contiguous().permute(1, 2, 0))
    assert all(torch.equal(a, b) for a, b in zip(turned, kernels.composite(alphas, values), strict=True))
