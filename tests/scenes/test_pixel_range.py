import cv2
import numpy as np
import pytest

from neus.errors import InputWarning
from neus.scenes.images import read_pixels
from neus.scenes.pixel_range import white_level

SHADES = np.linspace(0.0, 1.0, 48).reshape(6, 8)


def written(folder, *images, ending=".png"):
    files = [folder / f"{i}{ending}" for i in range(len(images))]
    for file, image in zip(files, images, strict=True):
        assert cv2.imwrite(str(file), image)
    return files


@pytest.mark.parametrize(
    ("white", "dtype", "ending", "said"),
    [
        (4095, np.uint16, ".png", "no value of its sixteen-bit images is above 4095, so 4095 is taken as white"),
        (1023, np.uint16, ".png", "no value of its sixteen-bit images is above 1023, so 1023 is taken as white"),
        (16383, np.uint16, ".tiff", "no value of its sixteen-bit images is above 16383, so 16383 is taken as white"),
        (255, np.uint16, ".tiff", "so 255 is taken as white"),
        (255, np.float32, ".tiff", "no value of its floating-point images is above 255, so 255 is taken as white"),
        (65535, np.float32, ".tiff", "so 65535 is taken as white"),
    ],
)
def test_a_range_that_the_type_does_not_tell_is_found_and_said(tmp_path, white, dtype, ending, said):
    files = written(tmp_path, *((fraction * white * SHADES).round().astype(dtype) for fraction in (0.2, 1.0)), ending=ending)
    with pytest.warns(InputWarning, match=said):
        level = white_level(files)
    assert level == white
    # The scene has one range: the darker image stays darker.
    for file, fraction in zip(files, (0.2, 1.0), strict=True):
        assert np.abs(read_pixels(file, level)[:, :, 0] - 255 * fraction * SHADES).max() < 1.1


@pytest.mark.parametrize(
    ("images", "ending"),
    [
        ([255 * SHADES.astype(np.uint8)], ".png"),
        ([(4095 * SHADES).astype(np.uint16), (65535 * SHADES).astype(np.uint16)], ".png"),
        ([SHADES.astype(np.float32)], ".tiff"),
        ([np.zeros((4, 4), np.uint16)], ".png"),
        ([np.zeros((4, 4), np.float32)], ".tiff"),
    ],
)
def test_the_range_of_the_type_holds_where_the_values_reach_beyond_another(tmp_path, images, ending, recwarn):
    assert white_level(written(tmp_path, *images, ending=ending)) is None and not recwarn.list


def test_values_above_white_that_are_no_whole_numbers_are_light(tmp_path):
    files = written(tmp_path, (7.3 * SHADES).astype(np.float32), ending=".tiff")
    with pytest.warns(InputWarning, match="numbers up to 7.3; those above 1 are shown as white"):
        assert white_level(files) is None
    assert read_pixels(files[0]).max() == 255


@pytest.mark.parametrize(("highest", "white"), [(255, 255), (256, 1023), (1024, 4095), (4096, 16383), (16320, 16383)])
def test_sixteen_bit_files_hold_the_least_depth_that_their_values_fit(tmp_path, highest, white):
    with pytest.warns(InputWarning, match=f"above {highest}, so {white} is taken"):
        assert white_level(written(tmp_path, (highest * SHADES).astype(np.uint16))) == white


def test_alpha_keeps_the_range_of_its_type(tmp_path):
    pixels = np.dstack([(4095 * SHADES).astype(np.uint16)] * 3 + [np.full((6, 8), 65535, np.uint16)])
    with pytest.warns(InputWarning, match="4095"):
        level = white_level(files := written(tmp_path, pixels))
    assert read_pixels(files[0], level)[-1, -1].tolist() == [255] * 4
