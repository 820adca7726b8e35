from dataclasses import replace

import pytest
import torch

from tests.checks.alterations import found_in, reordered, with_intrinsics_scaled


@pytest.mark.parametrize("has_masks", [True, False])
@pytest.mark.parametrize("factor", [2.0, 4.0, 0.4])
def test_intrinsics_of_another_size_are_the_one_finding(right, has_masks, factor):
    scene = with_intrinsics_scaled(right if has_masks else replace(right, masks=None), factor)
    found = found_in(scene)
    assert set(found) == {"intrinsics"}
    assert f"for images {factor:g} times as large" in found["intrinsics"].found
    assert "100% of the image pairs match" in found["intrinsics"].found
    assert set(found_in(scene, fast=True)) == {"intrinsics"}


def test_a_factor_too_small_for_the_principal_point_to_tell_is_found_by_matches(right):
    found = found_in(with_intrinsics_scaled(right, 1.3))
    assert set(found) == {"intrinsics"} and "1.3 times as large" in found["intrinsics"].found


def test_wrong_order_is_not_blamed_on_right_intrinsics(right):
    assert "intrinsics" not in found_in(reordered(right, [(5 * view) % 24 for view in range(24)]))


def test_a_strong_crop_with_intrinsics_that_fit_is_right(right):
    intrinsics = right.intrinsics.clone()
    intrinsics[:, 0, 2] -= 80.0  # the left third is cut off: the principal point moves to a quarter of the width
    images, masks = ([array[:, 80:] for array in arrays] for arrays in (right.images, right.masks))
    images = [image.copy() for image in images]
    intrinsics[:, 1, 2] -= 60.0
    images, masks = [image[60:].copy() for image in images], [mask[60:].copy() for mask in masks]
    crop = replace(right, images=images, masks=masks, intrinsics=intrinsics)
    assert "intrinsics" not in found_in(crop)


@pytest.mark.parametrize(("focal", "degrees"), [(6000.0, "2.29 by 1.72"), (15.0, "166 by 161")], ids=["long", "wide"])
def test_fields_of_view_that_no_lens_has_are_found(right, focal, degrees):
    intrinsics = right.intrinsics.clone()
    intrinsics[:, [0, 1], [0, 1]] = focal
    finding = found_in(replace(right, intrinsics=intrinsics, masks=None), fast=True)["intrinsics"]
    assert degrees in finding.found and "in pixels" in finding.suggestion


def test_fractions_of_the_image_size_are_named_so(right):
    fractions = torch.diag(torch.tensor([1 / 240, 1 / 180, 1.0], dtype=torch.float64)) @ right.intrinsics
    finding = found_in(replace(right, intrinsics=fractions), fast=True)["intrinsics"]
    assert "fractions of the image size" in finding.found and "times the width and the height" in finding.suggestion
