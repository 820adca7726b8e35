import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch

from neus.errors import InputError, InputWarning
from neus.geometry.cameras import project
from neus.geometry.similarity import similarity
from neus.scenes.scene import Scene
from neus.scenes.scene_checks import checked
from tests.scenes.layouts import ring_scene


@pytest.fixture
def scene():
    return ring_scene([(40, 30), (32, 24), (30, 40)])


def with_entry(tensor, index, value):
    changed = tensor.clone()
    changed[index] = value
    return changed


def test_a_sound_scene_of_images_of_different_sizes_is_returned_unchanged(scene):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert checked(scene) is scene


def test_views_come_as_tensors_of_their_own_size(scene):
    assert scene.image(2).shape == (40, 30, 3) and scene.image(2).dtype == torch.float32
    assert scene.mask(2).shape == (40, 30)
    assert (scene.camera(2).width, scene.camera(2).height) == (30, 40)


def test_a_subset_keeps_what_belongs_together(scene):
    part = scene.subset([2, 0])
    assert part.names == [scene.names[2], scene.names[0]] and len(part.masks) == 2
    assert torch.equal(part.camera_to_scene[0], scene.camera_to_scene[2])
    assert torch.equal(part.intrinsics[1], scene.intrinsics[0])
    assert replace(scene, masks=None).subset([1]).mask(0) is None


def test_a_scene_without_images_is_refused():
    empty = torch.zeros(0, 4, 4)
    with pytest.raises(InputError, match="no images"):
        checked(Scene([], None, empty[:, :3, :3], empty, torch.eye(4), []))


@pytest.mark.parametrize("what", ["intrinsics", "camera_to_scene", "names"])
def test_counts_that_differ_are_refused(scene, what):
    with pytest.raises(InputError, match=f"2 {what} but 3 images"):
        checked(replace(scene, **{what: getattr(scene, what)[:2]}))


def test_missing_masks_are_counted(scene):
    with pytest.raises(InputError, match="2 masks but 3 images"):
        checked(replace(scene, masks=scene.masks[:2]))


def test_a_mask_of_another_size_names_its_view(scene):
    masks = [scene.masks[0], np.ones((10, 20), bool), scene.masks[2]]
    with pytest.raises(InputError, match=r"view 1 \(1\.png\) is 20x10 pixels but its image 32x24"):
        checked(replace(scene, masks=masks))


def test_black_masks_are_an_error_and_white_ones_a_warning(scene):
    with pytest.raises(InputError, match="all 3 masks are black"):
        checked(replace(scene, masks=[np.zeros_like(m) for m in scene.masks]))
    with pytest.warns(InputWarning, match="all masks are white"):
        checked(replace(scene, masks=[np.ones_like(m) for m in scene.masks]))


def test_one_black_mask_among_others_is_named(scene):
    masks = [*scene.masks[:2], np.zeros_like(scene.masks[2])]
    with pytest.warns(InputWarning, match=r"1 masks are black \(2\.png\)"):
        checked(replace(scene, masks=masks))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_are_none_name_their_view(scene, value):
    with pytest.raises(InputError, match=r"view 1 \(1\.png\): its intrinsics"):
        checked(replace(scene, intrinsics=with_entry(scene.intrinsics, (1, 0, 0), value)))
    with pytest.raises(InputError, match=r"view 2 \(2\.png\): its pose"):
        checked(replace(scene, camera_to_scene=with_entry(scene.camera_to_scene, (2, 1, 3), value)))


def test_a_negative_focal_length_is_refused(scene):
    with pytest.raises(InputError, match="focal lengths"):
        checked(replace(scene, intrinsics=with_entry(scene.intrinsics, (1, 1, 1), -50.0)))


@pytest.mark.parametrize("factors", [[2.0, 2.0, 2.0], [1.0, 1.0, -1.0], [1.0, 1.0, 0.0], [1.0, 1.0, 1.5]])
def test_poses_that_scale_mirror_or_flatten_are_refused(scene, factors):
    poses = scene.camera_to_scene.clone()
    poses[1, :3, :3] *= torch.tensor(factors)
    with pytest.raises(InputError, match=r"view 1 \(1\.png\): its pose is not a rotation"):
        checked(replace(scene, camera_to_scene=poses))


def test_a_scale_matrix_must_be_a_similarity(scene):
    with pytest.raises(InputError, match="singular or not finite"):
        checked(replace(scene, scene_to_world=torch.zeros(4, 4)))
    with pytest.raises(InputError, match="singular or not finite"):
        checked(replace(scene, scene_to_world=torch.full((4, 4), float("nan"))))
    with pytest.raises(InputError, match="stretches its axes"):
        checked(replace(scene, scene_to_world=torch.diag(torch.tensor([1.0, 2.0, 1.0, 1.0]))))
    with pytest.raises(InputError, match="or mirrors them"):
        checked(replace(scene, scene_to_world=torch.diag(torch.tensor([1.0, 1.0, -1.0, 1.0]))))
    checked(replace(scene, scene_to_world=similarity(0.001, torch.tensor([1e6, 0.0, 0.0]))))


def test_a_camera_inside_the_unit_sphere_is_named_unless_allowed(scene):
    poses = with_entry(scene.camera_to_scene, (1, slice(0, 3), 3), torch.tensor([0.0, 0.5, 0.0]).double())
    inside = replace(scene, camera_to_scene=poses)
    with pytest.raises(InputError, match=r"view 1 \(1\.png\) is 0\.500 from the centre, inside the unit sphere"):
        checked(inside)
    assert checked(inside, allow_inside=True) is inside


def test_a_camera_that_looks_away_is_named(scene):
    backwards = torch.diag(torch.tensor([-1.0, 1.0, -1.0, 1.0], dtype=torch.float64))
    poses = with_entry(scene.camera_to_scene, 2, scene.camera_to_scene[2] @ backwards)
    with pytest.raises(InputError, match=r"view 2 \(2\.png\) looks 17\d degrees away"):
        checked(replace(scene, camera_to_scene=poses))


def test_a_resized_scene_shows_the_same_in_fewer_pixels(scene):
    scene = replace(scene, alphas=[200 * mask.astype(np.uint8) for mask in scene.masks])
    small = scene.resized(0.5)
    assert small.sizes == [(20, 15), (16, 12), (15, 20)] and small.downscale == 2.0
    points = torch.tensor([[0.1, 0.2, -0.3], [0.0, -0.5, 0.4]]).double()
    for view in range(3):
        full, half = (project(points, s.camera(view))[0] for s in (scene, small))
        torch.testing.assert_close(full / 2, half)
        blocks = scene.images[view].reshape(small.sizes[view][1], 2, small.sizes[view][0], 2, 3).mean(axis=(1, 3))
        assert abs(small.images[view] - blocks).max() <= 1.0
        assert small.masks[view].dtype == bool and abs(small.masks[view].mean() - scene.masks[view].mean()) < 0.05
        assert small.alphas[view].max() == 200
    assert scene.resized(1.0).sizes == scene.sizes


@pytest.mark.parametrize("factor", [0.0, 1.5, -1.0, float("nan")])
def test_scenes_do_not_grow(scene, factor):
    with pytest.raises(InputError, match="expected above 0 and at most 1"):
        scene.resized(factor)
