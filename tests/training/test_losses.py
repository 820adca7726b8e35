import math

import pytest
import torch

from neus.training.losses import color_loss, eikonal_loss, mask_loss, psnr_of


def test_color_loss_sums_channels_and_averages_rays():
    rgb = torch.tensor([[0.5, 0.5, 0.5], [0.0, 1.0, 0.2]])
    target = torch.tensor([[0.4, 0.7, 0.5], [0.0, 0.5, 0.2]])
    assert color_loss(rgb, target, torch.ones(2)).item() == pytest.approx((0.3 + 0.5) / 2, rel=1e-4)


def test_color_loss_does_not_see_what_is_masked():
    rgb, target = torch.rand(2, 3), torch.rand(2, 3)
    only_first = color_loss(rgb, target, torch.tensor([1.0, 0.0]))
    assert only_first.item() == pytest.approx((rgb[0] - target[0]).abs().sum().item(), rel=1e-4)
    assert color_loss(rgb, target, torch.zeros(2)).item() == 0.0


def test_a_distance_has_no_eikonal_loss():
    gradients = torch.nn.functional.normalize(torch.randn(5, 7, 3), dim=-1)
    assert eikonal_loss(gradients, torch.rand(5, 7)).item() < 1e-12


def test_eikonal_loss_averages_over_samples_within_1_2_of_the_centre():
    gradients = torch.tensor([[[2.0, 0.0, 0.0], [0.0, 0.5, 0.0], [0.0, 0.0, 100.0]]])
    radii = torch.tensor([[0.3, 1.19, 1.21]])
    assert eikonal_loss(gradients, radii).item() == pytest.approx((1.0 + 0.25) / 2, rel=1e-4)
    assert eikonal_loss(gradients, radii + 5.0).item() == 0.0


def test_gradient_of_eikonal_loss_is_finite_where_the_field_is_flat():
    gradients = torch.zeros(1, 2, 3, requires_grad=True)
    eikonal_loss(gradients, torch.zeros(1, 2)).backward()
    assert gradients.grad.isfinite().all()


def test_mask_loss_is_the_cross_entropy_with_opacity_kept_a_thousandth_off_its_ends():
    opacity, mask = torch.tensor([0.8, 0.3, 1.0, 0.0]), torch.tensor([1.0, 0.0, 0.0, 1.0])
    expected = -(math.log(0.8) + math.log(0.7) + 2 * math.log(1e-3)) / 4
    assert mask_loss(opacity, mask).item() == pytest.approx(expected, rel=1e-4)


def test_mask_loss_bears_an_opacity_that_rounding_put_above_one():
    assert mask_loss(torch.tensor([1.0000013, -1e-7]), torch.tensor([1.0, 0.0])).item() == pytest.approx(1e-3, rel=0.01)


def test_mask_loss_of_no_ray_is_zero_and_has_a_gradient():
    opacity = torch.zeros(0, requires_grad=True)
    loss = mask_loss(opacity, torch.zeros(0))
    loss.backward()
    assert loss.item() == 0.0 and opacity.grad.shape == (0,)


def test_psnr_of_an_error_of_a_tenth_is_twenty_decibels():
    rgb = torch.full((8, 3), 0.4)
    mask = torch.tensor([1.0] * 4 + [0.0] * 4)
    target = torch.where(mask.unsqueeze(-1) > 0, 0.5, 1.0)
    assert psnr_of(rgb, target, mask).item() == pytest.approx(20.0, abs=1e-3)


def test_psnr_is_finite_for_a_perfect_image_and_for_no_image():
    rgb = torch.rand(3, 3)
    assert psnr_of(rgb, rgb, torch.ones(3)).item() == pytest.approx(120.0)
    assert psnr_of(rgb, 1 - rgb, torch.zeros(3)).isfinite()
