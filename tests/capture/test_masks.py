"""Masks that are given with images."""

import cv2
import numpy as np
import pytest
from PIL import Image

from neus.capture.intake import take_in
from neus.capture.masks import find_masks, write_masks
from neus.capture.sources import find_source
from neus.errors import InputError
from neus.scenes.masks import read_mask
from tests.capture.corner import phone_exif
from tests.capture.test_intake import sample_image


@pytest.fixture
def folders(tmp_path):
    """Two images, the second shown upright by a quarter turn clockwise; the intake, and an empty folder of masks."""
    for name, orientation in (("a b.jpg", 1), ("c.jpg", 6)):
        (tmp_path / "in").mkdir(exist_ok=True)
        Image.fromarray(sample_image(orientation)).save(tmp_path / "in" / name, exif=phone_exif(orientation))
    found = find_source(tmp_path / "in")
    (tmp_path / "given").mkdir()
    return tmp_path, take_in(found.root, found.files, tmp_path / "images", tmp_path / "features").images


def left_upper() -> np.ndarray:
    """(300, 400) uint8 that is white in the left upper corner."""
    mask = np.zeros((300, 400), np.uint8)
    mask[:100, :150] = 255
    return mask


def test_masks_come_out_in_the_raster_of_their_images_by_the_scenes_names(folders):
    tmp_path, images = folders
    cv2.imwrite(str(tmp_path / "given" / "a b.png"), left_upper())
    cv2.imwrite(str(tmp_path / "given" / "c.jpg.png"), np.rot90(left_upper(), -1))  # drawn on the image as it is shown
    write_masks(find_masks(tmp_path / "given", images), images, tmp_path / "images", tmp_path / "out")
    for name in ("a_b.jpg.png", "c.jpg.png"):
        assert np.array_equal(read_mask(tmp_path / "out" / name), left_upper() > 0)


def test_a_missing_mask_and_one_of_another_size_are_named(folders):
    tmp_path, images = folders
    cv2.imwrite(str(tmp_path / "given" / "a b.png"), left_upper())
    with pytest.raises(InputError, match=r"1 of 2 images have no mask \(c.jpg"):
        find_masks(tmp_path / "given", images)
    cv2.imwrite(str(tmp_path / "given" / "c.png"), left_upper()[:200])
    with pytest.raises(InputError, match="400x200 pixels but its image 400x300"):
        write_masks(find_masks(tmp_path / "given", images), images, tmp_path / "images", tmp_path / "out")
