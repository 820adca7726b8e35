from dataclasses import replace

import numpy as np
import pytest
import torch

from neus.errors import InputError
from neus.geometry.similarity import similarity
from neus.scenes.arrays import scene_from_arrays
from neus.scenes.region import region_from_axes
from neus.scenes.region_from_masks import region_from_masks
from tests.scenes.layouts import largest_pixel_difference, ring_scene

SIZES = [(40, 30), (32, 24), (30, 40), (40, 30)]


@pytest.fixture(scope="module")
def scene():
    return ring_scene(SIZES)


@pytest.fixture
def arrays(scene):
    """What `from_arrays` takes for that scene."""
    poses = scene.scene_to_world @ scene.camera_to_scene
    poses[:, :3, :3] /= 3.7
    return {"images": scene.images, "intrinsics": scene.intrinsics.numpy(), "camera_to_world": poses.numpy()}


def test_a_scene_of_arrays_is_that_of_its_cameras(scene, arrays):
    center = scene.scene_to_world[:3, 3].tolist()
    made = scene_from_arrays(**arrays, masks=scene.masks, region=(center, 3.7), names=["a", "b", "c", "d"])
    assert largest_pixel_difference(scene, made) < 1e-9 and made.names == ["a", "b", "c", "d"]
    torch.testing.assert_close(made.camera_to_scene, scene.camera_to_scene)
    assert made.images[0] is scene.images[0]
    as_bytes = scene_from_arrays(
        **arrays, masks=[255 * mask.astype(np.uint8) for mask in scene.masks], region=(center, 3.7)
    )
    assert all(np.array_equal(a, b) for a, b in zip(as_bytes.masks, scene.masks, strict=True))


def test_the_region_is_found_from_the_masks_or_from_where_the_cameras_look(scene, arrays):
    for masks, find in ((scene.masks, region_from_masks), (None, region_from_axes)):
        made = scene_from_arrays(**arrays, masks=masks)
        in_world = replace(
            made, camera_to_scene=torch.from_numpy(arrays["camera_to_world"]), scene_to_world=torch.eye(4).double()
        )
        expected = find(in_world)
        torch.testing.assert_close(made.scene_to_world, similarity(expected.radius, expected.center))


def test_one_camera_matrix_serves_all_images(arrays):
    same = arrays | {"images": [arrays["images"][0]] * 4, "intrinsics": arrays["intrinsics"][0]}
    made = scene_from_arrays(**same)
    assert made.intrinsics.shape == (4, 3, 3) and torch.equal(made.intrinsics[0], made.intrinsics[3])


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"images": [np.zeros((3, 4, 3))] * 4}, "image 0: shape .* of float64, expected .*uint8"),
        ({"images": [np.zeros((3, 4), np.uint8)] * 4}, "image 0: shape"),
        ({"intrinsics": np.eye(4)}, r"intrinsics: shape \(4, 4\), expected one 3x3 matrix"),
        ({"camera_to_world": np.zeros((4, 3, 4))}, r"camera_to_world: shape \(4, 3, 4\), expected one 4x4"),
        ({"camera_to_world": np.eye(4)[None]}, "1 camera_to_scene but 4 images"),
        ({"masks": [np.zeros((3, 4))] * 4}, "mask 0: shape .* of float64, expected .*bool"),
        (
            {"masks": [np.ones((3, 4), bool)] * 4, "region": ((11.3, -4.1, 25.9), 3.7)},
            "is 4x3 pixels but its image 40x30",
        ),
    ],
)
def test_other_arrays_are_refused(arrays, changed, said):
    with pytest.raises(InputError, match=said):
        scene_from_arrays(**arrays | changed)
