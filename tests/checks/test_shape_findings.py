from dataclasses import replace

import numpy as np
import pytest

from neus.checks.check import check_scene
from tests.checks.alterations import found_in, turned, with_region, with_sphere


def test_a_right_scene_has_no_finding(right):
    assert found_in(right, fast=True) == {}


@pytest.mark.parametrize(
    ("factor", "kind"), [(2.2, "region_too_large"), (0.4, "region_too_small")], ids=["too large", "too small"]
)
def test_a_sphere_of_another_size_is_found_and_the_advised_one_is_right(right, factor, kind):
    scene = with_sphere(right, factor)
    found = found_in(scene, fast=True)
    assert set(found) == {kind}
    settings = found[kind].settings
    assert f"--set 'dataset.center={settings['dataset.center']}'" in found[kind].suggestion
    assert f"--set 'dataset.radius={settings['dataset.radius']}'" in found[kind].suggestion
    assert found_in(with_region(scene, settings), fast=True) == {}


def test_cameras_inside_the_sphere_are_advised_the_same_sphere(right):
    scene = with_sphere(right, 4.0)
    found = found_in(scene, fast=True)
    assert len(found["camera_inside"].views) == len(right)
    assert found["camera_inside"].settings == found["region_too_large"].settings
    assert found_in(with_region(scene, found["camera_inside"].settings), fast=True) == {}


def test_the_region_of_a_camera_file_is_given_as_its_matrix(right):
    finding = found_in(replace(with_sphere(right, 2.2), format="idr"), fast=True)["region_too_large"]
    assert "scale_mat_i to scale" in finding.suggestion and "--set" not in finding.suggestion and not finding.settings


def test_a_camera_that_looks_away_is_named_with_the_option_that_leaves_it_out(right):
    finding = found_in(turned(right, 7, 180, 1), fast=True)["camera_away"]
    assert finding.views == (7,)
    assert finding.suggestion.endswith("""--set 'dataset.exclude=["007.png"]'""")


@pytest.mark.parametrize("n_views", [1, 2])
def test_one_or_two_masks_prove_nothing(right, n_views):
    masks = [np.roll(mask, 25 * view, axis=1) for view, mask in enumerate(right.masks)]
    found = found_in(replace(right, masks=masks).subset(list(range(n_views))), fast=True)
    assert set(found) == {"few_views"}
    assert found["few_views"].found == ("only 1 view" if n_views == 1 else "only 2 views")


def test_masks_that_are_empty_or_full_are_named(right):
    masks = list(right.masks)
    masks[2], masks[5] = np.zeros_like(masks[2]), np.ones_like(masks[5])
    found = found_in(replace(right, masks=masks), fast=True)
    assert found["masks_empty"].views == (2,) and found["masks_full"].views == (5,)


def test_inverted_masks_are_said_to_be_inverted_and_nothing_else(right):
    found = found_in(replace(right, masks=[~mask for mask in right.masks]))
    assert set(found) == {"masks_inverted"} and "object in white" in found["masks_inverted"].suggestion


def test_white_masks_say_nothing_about_the_region(right):
    found = found_in(replace(right, masks=[np.ones_like(mask) for mask in right.masks]), fast=True)
    assert set(found) == {"masks_full"}


def test_masks_that_disagree_say_nothing_about_the_region(right):
    masks = [np.roll(mask, 60 * (view % 3 - 1), axis=1) for view, mask in enumerate(right.masks)]
    result = check_scene(with_sphere(replace(right, masks=masks), 2.2), fast=True)
    kinds = {finding.kind for finding in result.findings}
    assert "masks_disagree" in kinds and "region_too_large" not in kinds
    assert "region of interest by masks: not before the masks agree" in result.unchecked


def test_masks_of_another_object_have_no_point_in_common(right):
    corner = np.zeros_like(right.masks[0])
    corner[:6, :30] = True
    finding = found_in(replace(right, masks=[corner] * len(right)), fast=True)["masks_disagree"]
    assert finding.found == "no point in space lies in all masks" and "same scan" in finding.suggestion


def test_cameras_from_one_side_do_not_determine_depth(right):
    scene = right.subset([0, 0, 0, 0, 0])
    assert "no_spread" in found_in(replace(scene, masks=None), fast=True)
