import math

import numpy as np
import pytest
import torch

from neus.evaluation.images import psnr, ssim


@pytest.fixture
def target():
    return np.random.default_rng(0).uniform(size=(40, 50, 3))


def test_a_uniform_error_has_its_own_psnr(target):
    assert psnr(target + 0.01, target) == pytest.approx(40.0)


def test_equal_images_have_infinite_psnr_and_similarity_one(target):
    assert psnr(target, target) == math.inf
    assert ssim(target, target) == pytest.approx(1.0)


def test_masked_psnr_is_that_of_neus(target):
    generator = np.random.default_rng(1)
    image, mask = target + 0.1 * generator.normal(size=target.shape), generator.uniform(size=(40, 50)) > 0.6
    squared = (image - target) ** 2 * mask[..., None]
    assert psnr(image, target, mask) == pytest.approx(20 * math.log10(1 / math.sqrt(squared.sum() / (mask.sum() * 3))))


def test_errors_outside_the_mask_do_not_count(target):
    mask = np.zeros((40, 50), bool)
    mask[10:30, 10:30] = True
    image = np.where(mask[..., None], target, 0.0)
    assert psnr(image, target, mask) == math.inf
    # Only windows that do not reach over the mask's edge: 5 pixels to each side.
    inner = np.zeros_like(mask)
    inner[15:25, 15:25] = True
    assert ssim(image, target, inner) == pytest.approx(1.0)
    assert ssim(image, target) < 0.5


def test_ssim_of_constant_images_is_its_luminance_term():
    a, b, c1 = 0.4, 0.6, 0.01**2
    expected = (2 * a * b + c1) / (a * a + b * b + c1)
    assert ssim(np.full((20, 20, 3), a), np.full((20, 20, 3), b)) == pytest.approx(expected)


def test_ssim_falls_with_noise(target):
    noise = np.random.default_rng(1).normal(size=target.shape)
    scores = [ssim(target + amount * noise, target) for amount in (0.0, 0.05, 0.1, 0.3)]
    assert scores == sorted(scores, reverse=True)


def test_tensors_and_arrays_score_alike(target):
    image = target[::-1].copy()
    mask = np.arange(50) > np.full((40, 1), 20)
    tensors = [torch.from_numpy(array) for array in (image, target, mask)]
    assert psnr(*tensors) == psnr(image, target, mask)
    assert ssim(*tensors) == ssim(image, target, mask)


def test_an_empty_mask_has_no_score(target):
    assert math.isnan(psnr(target, target, np.zeros((40, 50), bool)))
