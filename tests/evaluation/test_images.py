import math
import types

import numpy as np
import pytest
import torch

from neus.evaluation import images
from neus.evaluation.images import affine_to, image_at, image_scores, mask_at, psnr, ssim


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


def test_exposure_and_white_balance_do_not_count_after_an_affine_map(target):
    generator = np.random.default_rng(1)
    noise = 0.01 * generator.normal(size=target.shape)
    darker = np.array([0.5, 0.6, 0.7]) * target + np.array([0.1, 0.0, 0.05])
    scores = image_scores(darker, np.clip(target + noise, 0.0, 1.0))
    assert scores["psnr"] < 20.0 and scores["psnr_affine"] == pytest.approx(40.0, abs=0.3)


def test_the_affine_map_is_fitted_within_the_mask(target):
    mask = np.zeros((40, 50), bool)
    mask[10:30, 10:30] = True
    image = np.where(mask[..., None], 0.5 * target + 0.2, 0.9)
    np.testing.assert_allclose(affine_to(image, target, mask)[mask], target[mask], atol=1e-9)


def test_an_empty_mask_has_no_score(target):
    assert math.isnan(psnr(target, target, np.zeros((40, 50), bool)))


def test_a_image_at_another_size_is_averaged_over_each_pixel():
    captured = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    expected = captured.reshape(2, 2, 3, 2, 3).mean(axis=(1, 3)) / 255.0
    # OpenCV rounds the mean to 8 bits, as an image of that size would be.
    np.testing.assert_allclose(image_at(captured, 3, 2), expected, atol=0.5 / 255.0 + 1e-6)
    np.testing.assert_array_equal(image_at(captured, 6, 4), (captured / 255.0).astype(np.float32))


def test_scores_are_the_same_whichever_way_the_render_comes(target):
    captured = (255 * target).round().astype(np.uint8)
    seen = image_at(captured, 50, 40)
    rendered = target + 0.1 * np.random.default_rng(1).normal(size=target.shape)
    mask = mask_at(np.arange(50) > np.full((40, 1), 20), 50, 40)
    scores = image_scores(rendered, seen, mask)
    clipped = rendered.clip(0, 1)
    assert scores == image_scores(torch.from_numpy(rendered), seen, mask) == image_scores(clipped, seen, mask)
    assert scores["psnr"] == psnr(clipped, seen) and scores["psnr_masked"] == psnr(clipped, seen, mask)
    assert scores["ssim"] == ssim(clipped, seen) and scores["ssim_masked"] == ssim(clipped, seen, mask)
    assert set(image_scores(rendered, seen, np.zeros((40, 50), bool))) == {"psnr", "psnr_affine", "ssim"}


def test_lpips_says_what_is_missing_and_fetches_nothing(target, monkeypatch, tmp_path):
    made = []

    class Network:
        def __init__(self, net, verbose):
            made.append(net)

        def eval(self):
            return lambda image, other: (image - other).abs().mean()

    monkeypatch.setattr(images.importlib.util, "find_spec", lambda name: None)
    assert images.find_lpips() == (None, "not measured: the package lpips is not installed")
    monkeypatch.setattr(images.importlib.util, "find_spec", lambda name: name)
    monkeypatch.setattr(images.importlib, "import_module", lambda name: types.SimpleNamespace(LPIPS=Network))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    found, reason = images.find_lpips()
    assert found is None and "alexnet-owt-7be5be79.pth is not in the checkpoints" in reason and not made
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "alexnet-owt-7be5be79.pth").touch()
    found, about = images.find_lpips()
    assert made == ["alex"] and "AlexNet" in about
    # The network takes [-1, 1], so a difference of 0.1 reaches it as 0.2.
    assert image_scores(target * 0.5 + 0.1, target * 0.5, lpips=found)["lpips"] == pytest.approx(0.2, rel=1e-4)
