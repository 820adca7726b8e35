from dataclasses import replace

import numpy as np
import pytest

from neus.checks.silhouettes import compare_silhouettes, complement, complement_agrees, disagreeing
from neus.scenes.region_from_masks import MasksDisagree
from tests.checks.alterations import reordered, with_sphere


@pytest.fixture(scope="module")
def agreed(right):
    return compare_silhouettes(right)


def test_right_masks_agree(right, agreed):
    assert not disagreeing(agreed).any() and np.nanmax(agreed.missed) < 0.05
    assert len(agreed.hull) > 1000 and 0.5 < agreed.region.radius < 1.5


def test_the_frame_does_not_matter(right, agreed):
    larger = compare_silhouettes(with_sphere(right, 0.5))
    assert larger.region.radius == pytest.approx(2 * agreed.region.radius, rel=0.02)
    np.testing.assert_allclose(larger.missed, agreed.missed, atol=0.02)


@pytest.mark.parametrize("how", ["moved", "cut"])
def test_one_wrong_mask_is_named(right, how):
    wrong = np.roll(right.masks[3], 40, axis=1)
    if how == "cut":
        wrong = right.masks[3] & (np.arange(wrong.shape[1]) > wrong.shape[1] / 2)
    masks = [wrong if view == 3 else mask for view, mask in enumerate(right.masks)]
    assert np.flatnonzero(disagreeing(compare_silhouettes(replace(right, masks=masks)))).tolist() == [3]


def test_empty_masks_say_nothing(right):
    masks = [np.zeros_like(mask) if view == 5 else mask for view, mask in enumerate(right.masks)]
    found = compare_silhouettes(replace(right, masks=masks))
    assert np.isnan(found.missed[5]) and not disagreeing(found).any()


def test_masks_of_nothing_have_no_point_in_common(right):
    corner = np.zeros_like(right.masks[0])
    corner[:4, :4] = True
    with pytest.raises(MasksDisagree, match="no point in common"):
        compare_silhouettes(replace(right, masks=[corner] * len(right)))


def test_only_inverted_masks_have_complements_that_agree(right, agreed):
    assert not complement_agrees(right, agreed)
    inverted = complement(right)
    assert complement_agrees(inverted, compare_silhouettes(inverted))
    rotated = reordered(right, [(view + 5) % len(right) for view in range(len(right))], images=False)
    assert not complement_agrees(rotated, compare_silhouettes(rotated))


def test_an_object_that_fills_the_images_is_not_inverted(right):
    masks = [np.ones_like(mask) for mask in right.masks]
    for view, mask in enumerate(masks):  # a corner of background here and there
        mask[: 10 + view % 3, :20] = False
    scene = replace(right, masks=masks)
    assert not complement_agrees(scene, compare_silhouettes(scene))
