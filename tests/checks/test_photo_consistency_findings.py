from dataclasses import replace

import pytest
import torch

from neus.scenes.region import Region, framed
from tests.checks.alterations import (
    brightened,
    found_in,
    reordered,
    rotated,
    smaller,
    swapped,
    turned,
    with_region,
    with_sphere,
)

ALTERED = 7


@pytest.mark.parametrize("has_masks", [True, False])
@pytest.mark.parametrize(
    ("views", "width"), [(range(24), 120), (range(0, 24, 2), 240), ((0, 5, 10, 15, 20), 120), ((3, 4, 11), 120)]
)
def test_a_right_scene_has_no_finding_however_few_and_small_its_images(right, has_masks, views, width):
    scene = smaller(right, width).subset(list(views))
    found = found_in(scene if has_masks else replace(scene, masks=None))
    assert set(found) <= ({"few_views"} if len(scene) < 4 else set())


@pytest.mark.parametrize("masks_too", [True, False])
def test_two_exchanged_images_are_named_with_the_cameras_they_fit(right, masks_too):
    found = found_in(reordered(right, swapped(len(right), ALTERED), masks=masks_too))
    assert set(found) == {"photos_misfit"} and found["photos_misfit"].views == (7, 8)
    assert "7 007.png fits the camera of 8 008.png" in found["photos_misfit"].suggestion
    assert "swap" in found["photos_misfit"].suggestion


@pytest.mark.parametrize("by", [1, 2])
def test_an_order_moved_on_is_one_finding_about_the_whole_order(right, by):
    found = found_in(reordered(right, rotated(len(right), by), masks=False))
    assert len(found["photos_misfit"].views) > len(right) / 4
    assert f"{by} position{'s' if by > 1 else ''} on in the list" in found["photos_misfit"].suggestion
    assert "swap" not in found["photos_misfit"].suggestion


def test_where_most_pairs_misfit_no_two_files_are_blamed(right):
    order = [(view * 5) % len(right) for view in range(len(right))]
    suggestion = found_in(reordered(right, order, masks=False))["photos_misfit"].suggestion
    assert "images and cameras belong together" in suggestion and "swap" not in suggestion and "exclude" not in suggestion


@pytest.mark.parametrize(("degrees", "axis"), [(20, 1), (30, 2), (-5, 0)], ids=["away", "rolled", "tilted"])
def test_one_turned_camera_is_named_and_its_mask_is_not_blamed(right, degrees, axis):
    found = found_in(turned(right, ALTERED, degrees, axis))
    assert set(found) == {"photos_misfit"} and found["photos_misfit"].views == (ALTERED,)
    assert """--set 'dataset.exclude=["007.png"]'""" in found["photos_misfit"].suggestion


def test_masks_in_another_order_are_found_and_the_images_are_not_blamed(right):
    found = found_in(reordered(right, rotated(len(right), 2), images=False))
    assert "masks_off_object" in found and "photos_misfit" not in found


def test_one_mask_off_the_object_is_named(right):
    masks = list(right.masks)
    masks[ALTERED] = masks[ALTERED].copy()
    masks[ALTERED][:, :110] = False
    assert ALTERED in found_in(replace(right, masks=masks))["masks_off_object"].views


@pytest.mark.parametrize(
    ("factor", "kind"), [(1.9, "region_too_large"), (0.4, "region_too_small")], ids=["too large", "too small"]
)
def test_without_masks_a_wrong_sphere_is_found_by_points_and_the_advised_one_is_right(right, factor, kind):
    scene = with_sphere(replace(right, masks=None), factor)
    found = found_in(scene)
    assert set(found) == {kind}
    assert found_in(with_region(scene, found[kind].settings)) == {}


def test_a_sphere_beside_the_object_is_found_though_it_holds_some_points(right):
    # As where the optical axes meet on its rim: it cuts half of the cup off.
    astray = framed(replace(right, masks=None), Region(torch.tensor([0.5, 0.3, 0.0], dtype=torch.float64), 0.55))
    finding = found_in(replace(astray, scene_to_world=right.scene_to_world))["region_too_small"]
    assert "of those that the cameras look at" in finding.found


def test_points_do_not_contradict_a_sphere_found_from_depth_maps(right):
    # They lie on a table as well as on the object.
    small = with_sphere(replace(right, masks=None, region_from="sparse points and depth maps"), 0.4)
    assert "region_too_small" not in found_in(small)


@pytest.mark.parametrize("factor", [1.5, 1 / 1.5])
def test_one_image_with_another_exposure_is_named(right, factor):
    found = found_in(brightened(right, {ALTERED}, factor))
    assert set(found) == {"exposure"} and found["exposure"].views == (ALTERED,)
    assert f"{factor:.2f} times as bright" in found["exposure"].found


def test_of_few_views_none_is_left_out_for_its_exposure(right):
    assert found_in(brightened(right, {ALTERED}).subset(list(range(19)))) == {}
