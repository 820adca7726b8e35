import cv2
import numpy as np
import pytest
import torch

from neus.errors import InputError
from neus.scenes.lenses import intrinsics_at_size, pinhole_intrinsics, undistorted
from tests.scenes.layouts import smooth_colors

K = torch.tensor([[90.0, 0.0, 61.0], [0.0, 92.0, 44.0], [0.0, 0.0, 1.0]], dtype=torch.float64)


@pytest.mark.parametrize(("found", "focal"), [((120, 90), 90.0), ((60, 45), 45.0), ((240, 180), 180.0)])
def test_intrinsics_grow_with_the_image(found, focal):
    scaled = intrinsics_at_size(K, (120, 90), found, "a.png")
    assert float(scaled[0, 0]) == focal
    torch.testing.assert_close(scaled[:2] / K[:2].clamp_min(1e-9), (K[:2] > 0).double() * found[0] / 120)


def test_sides_may_be_rounded():
    # 121x91 at half the size has 60.5 x 45.5 pixels.
    for found in [(60, 45), (61, 46), (60, 46)]:
        assert float(intrinsics_at_size(K, (121, 91), found, "a.png")[1, 1]) == pytest.approx(46.0, rel=0.02)


@pytest.mark.parametrize("found", [(90, 120), (120, 80), (100, 90)])
def test_another_crop_is_refused(found):
    with pytest.raises(InputError, match=rf"a\.png: the image is {found[0]}x{found[1]} pixels but its camera 120x90"):
        intrinsics_at_size(K, (120, 90), found, "a.png")


def test_a_camera_without_pixels_is_refused():
    with pytest.raises(InputError, match="its camera is 0x90 pixels"):
        intrinsics_at_size(K, (0, 90), (120, 90), "a.png")


def test_without_distortion_nothing_is_touched():
    image = np.zeros((90, 120, 3), np.uint8)
    assert undistorted(image, K, np.zeros(4)) is image
    assert pinhole_intrinsics(K, np.zeros(4), (120, 90)) is K


@pytest.mark.parametrize("coefficients", [[-0.2, 0.05, 0.0, 0.0], [0.1, 0.0, 0.003, -0.002], [-0.1, 0.02, 0, 0, 0.01]])
def test_the_pinhole_image_shows_each_ray_in_the_colour_the_lens_gave_it(coefficients):
    coefficients = np.array(coefficients)
    height, width = 90, 120
    y, x = np.mgrid[:height, :width] + 0.5
    image = smooth_colors(np.stack([x, y], axis=-1), width, height)
    pinhole_image, pinhole = undistorted(image, K, coefficients), pinhole_intrinsics(K, coefficients, (width, height))
    mask = undistorted(np.ones((height, width), bool), K, coefficients)
    assert mask.dtype == bool and mask.all()
    # Independently: each pixel's ray through OpenCV's lens.
    pixels = torch.from_numpy(np.stack([x, y, np.ones_like(x)], axis=-1).reshape(-1, 3))
    rays = (pixels @ torch.linalg.inv(pinhole).T).numpy()
    seen, _ = cv2.projectPoints(rays, np.zeros(3), np.zeros(3), K.numpy(), coefficients)
    # The formula of `smooth_colors` without rounding: 200 levels from side to side.
    expected = 20 + 200 * seen.reshape(height, width, 2) / [width, height]
    difference = (expected - pinhole_image[:, :, :2])[3:-3, 3:-3]
    # Single pixels are good to their rounding; all together show an error of a hundredth of a pixel.
    assert np.abs(difference).max() < 1.5
    assert np.abs(difference.mean(axis=(0, 1))).max() < 0.02


def test_a_mask_bends_like_its_image():
    y, x = np.mgrid[:90, :120]
    mask = (x - 70) ** 2 + (y - 30) ** 2 < 20**2
    image = np.repeat(mask[:, :, None], 3, axis=2).astype(np.uint8) * 255
    bent_image, bent_mask = (undistorted(pixels, K, np.array([-0.2, 0.05, 0.0, 0.0])) for pixels in (image, mask))
    assert ((bent_image[:, :, 0] > 127) == bent_mask).mean() > 0.99
    assert (bent_mask != mask).sum() > 50


def test_the_maps_of_a_camera_are_computed_once_for_all_its_images(monkeypatch):
    calls, compute = [], cv2.initUndistortRectifyMap
    monkeypatch.setattr(cv2, "initUndistortRectifyMap", lambda *a: calls.append(1) or compute(*a))
    coefficients = (-0.19, 0.03, 0.0, 0.0)  # of no other test
    for _ in range(3):
        undistorted(np.zeros((90, 120, 3), np.uint8), K, coefficients)
        undistorted(np.zeros((90, 120), bool), K, coefficients)
    assert len(calls) == 1


def seen_by(coefficients, focal, width=120, height=90):
    """Where on the lens's image each corner of a pixel of the pinhole camera lies: (H + 1, W + 1, 2), the image from 0 to its size."""
    k = torch.tensor([[focal, 0.0, width / 2], [0.0, focal, height / 2], [0.0, 0.0, 1.0]], dtype=torch.float64)
    pinhole = pinhole_intrinsics(k, coefficients, (width, height))
    y, x = np.mgrid[: height + 1, : width + 1].astype(np.float64)
    rays = np.stack([x, y, np.ones_like(x)], axis=-1).reshape(-1, 3) @ np.linalg.inv(pinhole.numpy()).T
    return cv2.projectPoints(rays, np.zeros(3), np.zeros(3), k.numpy(), np.array(coefficients))[0].reshape(*x.shape, 2)


@pytest.mark.parametrize(
    ("coefficients", "focal"),
    [
        ((-0.3, 0.08, 0.0, 0.0), 54.0),
        ((-0.3, 0.08, 0.0, 0.0, 0.0), 45.0),
        ((-0.28, 0.07, 0.002, -0.001), 60.0),
        ((0.3, 0.1, 0.0, 0.0), 60.0),
        ((-0.25, 0.0, 0.0, 0.0), 80.0),
    ],
)
def test_a_strong_lens_is_cropped_to_what_it_shows_in_order(coefficients, focal):
    seen = seen_by(coefficients, focal)
    # A thousandth of the width, as `lens_models.BORDER`.
    assert seen.min() > -0.12 and seen[..., 0].max() < 120.12 and seen[..., 1].max() < 90.12
    assert (np.diff(seen[..., 0], axis=1) > 0.0).all() and (np.diff(seen[..., 1], axis=0) > 0.0).all()
    assert np.ptp(seen[..., 0]) > 0.6 * 120 and np.ptp(seen[..., 1]) > 0.6 * 90


@pytest.mark.parametrize("coefficients", [(-0.35, 0.0, 0.0, 0.0), (-0.5, 0.1, 0.0, 0.0, 0.0)])
def test_a_lens_that_folds_back_within_the_image_is_refused(coefficients):
    with pytest.raises(InputError, match=r"its lens .* folds back \d+ degrees from the optical axis, and the image reaches farther"):
        seen_by(coefficients, 54.0)
