import warnings

import cv2
import numpy as np
import pytest

from neus.errors import InputError, InputWarning
from neus.scenes.masks import mask_code, outlines, read_mask

OBJECT = np.zeros((6, 8), bool)
OBJECT[1:4, 2:7] = True
PHOTO = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
BYTE = OBJECT * np.uint8(255)
ZERO = BYTE * 0


def written(folder, *masks, ending=".png"):
    files = [folder / f"{i}{ending}" for i in range(len(masks))]
    for file, mask in zip(files, masks, strict=True):
        assert cv2.imwrite(str(file), mask)
    return files


@pytest.mark.parametrize(
    "mask",
    [
        BYTE,
        np.dstack([BYTE] * 3),
        BYTE.astype(np.uint16) * 257,
        np.dstack([ZERO, BYTE, ZERO]),
        np.dstack([BYTE, ZERO, ZERO]),
        np.dstack([ZERO + 255] * 3 + [BYTE]),
        np.dstack([PHOTO, BYTE]),
        np.dstack([BYTE] * 3 + [ZERO + 255]),
    ],
    ids=["grey", "RGB", "16 bits", "green", "blue", "alpha beside white", "cut-out", "opaque alpha"],
)
def test_masks_are_understood_without_a_word_in_every_usual_coding(tmp_path, mask):
    files = written(tmp_path, mask)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        code = mask_code(files)
    assert np.array_equal(read_mask(files[0], code), OBJECT)


@pytest.mark.parametrize(
    ("mask", "said"),
    [
        (OBJECT.astype(np.uint8), "no mask has a value above 1 of 255; every number above 0"),
        (OBJECT.astype(np.uint16) * 3, "no mask has a value above 3 of 65535; every number above 0"),
        (np.dstack([ZERO, ZERO, BYTE // 4]), "no mask has a value above 63 of 255; every number above 0"),
    ],
    ids=["0 and 1", "16 bits", "VOC colour"],
)
def test_labels_are_the_object_and_the_user_hears_of_it(tmp_path, mask, said):
    files = written(tmp_path, ZERO, mask)
    with pytest.warns(InputWarning, match=said):
        code = mask_code(files)
    assert [read_mask(file, code).sum() for file in files] == [0, OBJECT.sum()]


def test_a_dim_image_is_no_label(tmp_path):
    dim = np.linspace(0, 100, 48).reshape(6, 8).round().astype(np.uint8)
    with pytest.warns(InputWarning, match="what is above 50 is taken"):
        code = mask_code(written(tmp_path, dim))
    assert np.array_equal(read_mask(tmp_path / "0.png", code), dim > 50)


def test_what_the_numbers_mean_is_found_for_all_masks_together(tmp_path):
    # A mask of JPEG noise alone is no label where others reach white; an opaque cut-out is one where others vary.
    files = written(tmp_path, ZERO + 3, BYTE)
    assert not read_mask(files[0], mask_code(files)).any()
    files = written(tmp_path, np.dstack([PHOTO, ZERO + 255]), np.dstack([PHOTO, BYTE]))
    assert read_mask(files[0], mask_code(files)).all()


def test_a_mask_is_what_lies_above_one_half(tmp_path):
    files = written(tmp_path, np.array([[0, 127, 128, 255]], np.uint8))
    assert read_mask(files[0], mask_code(files)).tolist() == [[False, False, True, True]]


def test_black_masks_stay_black(tmp_path, recwarn):
    files = written(tmp_path, ZERO, ZERO)
    assert not read_mask(files[0], mask_code(files)).any() and not recwarn.list


def test_one_mask_for_all_views_is_no_outline_unless_the_user_says_so(tmp_path):
    files, names = written(tmp_path, BYTE, BYTE, BYTE), ["a", "b", "c"]
    for same in (files, [files[0]] * 3):
        with pytest.warns(InputWarning, match="one mask serves all views.*mask_meaning = object"):
            assert outlines(same, names, "auto", tmp_path) is None
        assert outlines(same, names, "object", tmp_path) == same
    assert outlines(files[:2], names[:2], "auto", tmp_path) == files[:2]
    cv2.imwrite(str(files[1]), ~BYTE)
    assert outlines(files, names, "auto", tmp_path) == files


def test_masks_of_another_meaning_are_left_out_on_request(tmp_path):
    files = written(tmp_path, BYTE, ~BYTE)
    with pytest.warns(InputWarning, match="mask_meaning is ignore"):
        assert outlines([files[0], None], ["a", "b"], "ignore", tmp_path) is None
    with pytest.raises(InputError, match=r"1 of 2 images have .* a mask \(b has not\).*dataset.exclude.*mask_meaning = ignore"):
        outlines([files[0], None], ["a", "b"], "auto", tmp_path)
    assert outlines([None, None], ["a", "b"], "auto", tmp_path) is None
