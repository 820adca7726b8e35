import torch

from neus.rendering.weights import composite, composite_alphas, transmittance_from_alphas, weights_from_alphas


def test_weights_and_final_transmittance_sum_to_one():
    alphas = torch.rand(50, 128, dtype=torch.float64)
    alphas[::2] *= 0.01
    whole = weights_from_alphas(alphas).sum(-1) + transmittance_from_alphas(alphas)[:, -1]
    # The floor under the transmittance lets 1e-7 pass at every interval.
    assert torch.allclose(whole, torch.ones(50).double(), atol=128 * 1e-7)


def test_a_thing_behind_an_opaque_one_is_not_seen():
    weights = weights_from_alphas(torch.tensor([0.3, 1.0, 0.9]))
    assert torch.allclose(weights, torch.tensor([0.3, 0.7, 0.0]), atol=1e-6)


def test_gradients_reach_behind_an_opaque_interval():
    alphas = torch.tensor([0.5, 1.0, 0.5], dtype=torch.float64, requires_grad=True)
    weights_from_alphas(alphas)[2].backward()
    assert alphas.grad[1] < -0.2 and alphas.grad.isfinite().all()


def test_gradients_are_those_that_differences_measure():
    alphas = torch.rand(3, 6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(weights_from_alphas, (alphas,))
    assert torch.autograd.gradcheck(transmittance_from_alphas, (alphas,))


def test_composite_of_one_color_is_that_color_times_the_opacity():
    weights, color = torch.rand(4, 9), torch.tensor([0.2, 0.5, 0.9])
    rgb = composite(weights, color.expand(4, 9, 3))
    assert torch.allclose(rgb, weights.sum(-1, keepdim=True) * color)


def test_weights_and_sums_together_are_those_taken_one_by_one_in_either_precision():
    for dtype in (torch.float32, torch.float64):
        alphas, colors = torch.rand(5, 9, dtype=dtype), torch.rand(5, 9, 3, dtype=dtype)
        weights, rgb = composite_alphas(alphas, colors)
        assert weights.dtype == rgb.dtype == dtype and torch.allclose(weights, weights_from_alphas(alphas))
        assert torch.allclose(rgb, composite(weights, colors))


def test_in_double_precision_compositing_has_second_derivatives():
    alphas = torch.rand(3, 4, dtype=torch.float64, requires_grad=True)
    colors = torch.rand(3, 4, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(composite_alphas, (alphas, colors))
