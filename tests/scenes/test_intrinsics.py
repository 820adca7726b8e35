from dataclasses import replace

import numpy as np
import pytest
import torch

from neus.errors import RegionError
from neus.scenes.intrinsics import common_factor, fields_of_view, intrinsics_fault
from neus.scenes.region import point_nearest_to_axes, region_from_axes
from neus.scenes.region_from_masks import MasksDisagree, region_from_masks
from tests.scenes.layouts import ring_scene


@pytest.fixture
def scene():
    return ring_scene([(60, 50)] * 8, torch.eye(4, dtype=torch.float64))


def scaled(scene, across, down, views=slice(None)):
    intrinsics = scene.intrinsics.clone()
    intrinsics[views] = torch.diag(torch.tensor([across, down, 1.0], dtype=torch.float64)) @ intrinsics[views]
    return replace(scene, intrinsics=intrinsics)


def test_the_field_of_view_does_not_change_where_the_principal_point_leaves_the_image():
    intrinsics = torch.tensor([[50.0, 0.0, 150.0], [0.0, 50.0, -50.0], [0.0, 0.0, 1.0]], dtype=torch.float64)
    expected = [np.arctan(3.0) - np.arctan(1.0), np.arctan(3.0) - np.arctan(1.0)]
    np.testing.assert_allclose(fields_of_view(intrinsics, 100, 100), expected)


def test_intrinsics_of_these_images_have_no_fault(scene):
    assert intrinsics_fault(scene) is None
    assert common_factor(scene, tuple(range(8))) == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize(("factor", "said"), [(2.0, "2 times as large: 120x100"), (0.25, "0.25 times as large")])
def test_the_factor_is_the_one_that_was_laid_on(scene, factor, said):
    fault = intrinsics_fault(scaled(scene, factor, factor))
    assert fault.factor == pytest.approx(factor) and said in fault.text and len(fault.views) == 8


@pytest.mark.parametrize("layout", ["idr", "blender", "colmap", "blendedmvs"])
def test_the_suggestion_is_in_terms_of_the_layout(scene, layout):
    suggestion = intrinsics_fault(replace(scaled(scene, 2.0, 2.0), format=layout)).suggestion
    assert {"idr": "diag(0.5, 0.5, 1, 1) @ world_mat_i", "blender": 'give "w": 120 and "h": 100'}.get(
        layout, "divide fx, fy, cx and cy by 2"
    ) in suggestion


def test_another_aspect_ratio_is_no_scale(scene):
    fault = intrinsics_fault(scaled(scene, 3.0, 1.0))
    assert fault.factor is None and "cropped, resized" in fault.suggestion


def test_a_few_views_are_no_reason_to_doubt_all(scene):
    assert intrinsics_fault(scaled(scene, 2.0, 2.0, slice(0, 4))) is None
    assert len(intrinsics_fault(scaled(scene, 2.0, 2.0, slice(0, 5))).views) == 5


def test_the_region_is_a_sphere_however_far_out_the_principal_point_lies(scene):
    for factor in (2.0, 4.0, 0.02):
        assert 0.0 < region_from_axes(scaled(scene, factor, factor)).radius < 10.0


def test_where_no_region_is_found_intrinsics_of_another_size_are_named_as_the_cause(scene):
    corner = [np.zeros_like(mask) for mask in scene.masks]
    for view, mask in enumerate(corner):
        mask[(slice(0, 4), slice(-4, None))[view % 2]] = True
    with pytest.raises(MasksDisagree):
        region_from_masks(replace(scene, masks=corner))
    with pytest.raises(RegionError, match="for images 2 times as large: 120x100 pixels") as caught:
        region_from_masks(scaled(replace(scene, masks=corner), 2.0, 2.0))
    assert not isinstance(caught.value, MasksDisagree)
    parallel = scaled(scene, 4.0, 4.0)
    parallel.camera_to_scene[:, :3, :3] = parallel.camera_to_scene[0, :3, :3]
    with pytest.raises(RegionError, match="for images 4 times as large"):
        point_nearest_to_axes(parallel)
