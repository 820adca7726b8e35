import numpy as np

from neus.reports.error_map import FULL_SCALE, NOT_COUNTED, color_error, error_image, scale_bar


def test_the_error_is_the_mean_over_the_channels_whichever_image_is_brighter():
    dark, light = np.zeros((2, 2, 3), np.uint8), np.full((2, 2, 3), (255, 0, 51), np.uint8)
    assert np.allclose(color_error(dark, light), (1.0 + 0.0 + 0.2) / 3)
    assert np.array_equal(color_error(dark, light), color_error(light, dark))


def test_larger_errors_are_brighter_until_the_full_scale():
    bar = scale_bar(64, 1)[0].astype(int) @ (299, 587, 114)
    assert (np.diff(bar) >= 0).all() and bar[-1] > 5 * bar[0]
    assert np.array_equal(error_image(np.array([[FULL_SCALE]])), error_image(np.array([[1.0]])))


def test_what_is_not_counted_is_grey_whatever_its_error():
    image = error_image(np.array([[0.1, 0.1]]), np.array([[True, False]]))
    assert (image[0, 1] == NOT_COUNTED).all() and not (image[0, 0] == NOT_COUNTED).all()
