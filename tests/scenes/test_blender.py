import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from neus.errors import InputError, InputWarning
from neus.geometry.cameras import project
from neus.scenes.blender import read_blender
from tests.scenes.layouts import OBJECT_RADIUS, largest_pixel_difference, ring_scene, write_blender

LEGO = Path(__file__).parents[2].parent / "shared/data/lego"
SIZES = [(40, 30), (32, 24), (30, 40), (40, 30), (40, 30), (32, 24)]


@pytest.fixture
def written(tmp_path):
    scene = ring_scene(SIZES)
    return scene, write_blender(scene, tmp_path / "scene")


def change_file(folder, change):
    """Apply `change` to the contents of transforms_train.json."""
    path = folder / "transforms_train.json"
    transforms = json.loads(path.read_text())
    change(transforms)
    path.write_text(json.dumps(transforms))


def change_frame(folder, **changes):
    """Replace entries of the second frame; None removes one."""

    def change(transforms):
        frame = {**transforms["frames"][1], **changes}
        transforms["frames"][1] = {key: value for key, value in frame.items() if value is not None}

    change_file(folder, change)


def test_a_scene_written_and_read_back_has_the_same_rays(written):
    scene, folder = written
    read = read_blender(folder)
    assert largest_pixel_difference(scene, read) < 0.01
    assert read.format == "blender" and read.names == [f"r_{view}.png" for view in range(len(scene))]
    assert [image.shape for image in read.images] == [image.shape for image in scene.images]


def test_the_alpha_channel_is_the_mask(written):
    scene, folder = written
    for found, expected in zip(read_blender(folder).masks, scene.masks, strict=True):
        assert np.array_equal(found, expected)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_the_background_is_laid_behind_the_object(written, value):
    scene, folder = written
    read = read_blender(folder, background=(value,) * 3)
    assert read.background.tolist() == [value] * 3
    for found, image, mask in zip(read.images, scene.images, scene.masks, strict=True):
        assert np.array_equal(found, np.where(mask[:, :, None], image, np.uint8(255 * value)))


def test_the_region_found_holds_the_object_with_little_room_to_spare(written):
    scene, folder = written
    read = read_blender(folder)
    center, radius = read.scene_to_world[:3, 3], float(read.scene_to_world[0, 0])
    object_radius = OBJECT_RADIUS * float(scene.scene_to_world[0, 0])
    offset = float((center - scene.scene_to_world[:3, 3]).norm())
    assert offset + object_radius < radius < 1.6 * object_radius


def test_a_region_given_is_the_region_used(written):
    scene, folder = written
    center = scene.scene_to_world[:3, 3]
    read = read_blender(folder, center=center.tolist(), scale=3.0)
    assert torch.equal(read.scene_to_world[:3, 3], center) and float(read.scene_to_world[0, 0]) == 3.0
    assert largest_pixel_difference(scene, read) < 0.01
    with pytest.raises(InputError, match="no radius; give both"):
        read_blender(folder, center=center.tolist())


def test_one_angle_of_view_for_all_says_the_same_as_focal_lengths(tmp_path):
    scene = ring_scene([(40, 30)] * 4)
    # What camera_angle_x can say: square pixels and the axis through the middle.
    scene.intrinsics[:, 1, 1] = scene.intrinsics[:, 0, 0]
    scene.intrinsics[:, :2, 2] = torch.tensor([20.0, 15.0]).double()
    folder = write_blender(scene, tmp_path / "scene")

    def one_angle(transforms):
        transforms["camera_angle_x"] = 2 * float(torch.atan(20.0 / scene.intrinsics[0, 0, 0]))
        for frame in transforms["frames"]:
            for key in ("fl_x", "fl_y", "cx", "cy", "w", "h"):
                del frame[key]

    change_file(folder, one_angle)
    assert largest_pixel_difference(scene, read_blender(folder, center=[11.3, -4.1, 25.9], scale=3.7)) < 0.01


def test_images_made_smaller_see_the_same(tmp_path):
    scene = ring_scene([(40, 30)] * 4)
    folder = write_blender(scene, tmp_path / "scene")
    for file in (folder / "train").iterdir():
        half = cv2.resize(cv2.imread(str(file), cv2.IMREAD_UNCHANGED), (20, 15), interpolation=cv2.INTER_AREA)
        cv2.imwrite(str(file), half)
    read = read_blender(folder)
    torch.testing.assert_close(2.0 * read.intrinsics[:, :2], scene.intrinsics[:, :2])


def test_images_without_alpha_have_no_masks_and_no_background(written):
    scene, folder = written
    for view, file in enumerate(sorted((folder / "train").iterdir())):
        cv2.imwrite(str(file), np.full((*scene.images[view].shape[:2], 3), 99, np.uint8))
    read = read_blender(folder)
    assert read.masks is None and read.background is None
    assert largest_pixel_difference(scene, read) < 0.01


def test_alpha_is_kept_as_it_is_beside_the_mask(written):
    _, folder = written
    assert all(set(np.unique(alpha)) <= {0, 255} for alpha in read_blender(folder).alphas)
    file = folder / "train" / "r_0.png"
    pixels = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
    pixels[:2, :3, 3] = [[0, 127, 128], [200, 255, 1]]
    cv2.imwrite(str(file), pixels)
    read = read_blender(folder)
    assert read.alphas[0][:2, :3].tolist() == [[0, 127, 128], [200, 255, 1]]
    assert read.masks[0][:2, :3].tolist() == [[False, False, True], [True, True, False]]
    assert [alpha.shape for alpha in read.subset([2, 0]).alphas] == [read.masks[v].shape for v in (2, 0)]


def test_masks_in_files_of_their_own_are_read(written):
    scene, folder = written
    for view in range(len(scene)):
        cv2.imwrite(str(folder / "train" / f"r_{view}.png"), np.ascontiguousarray(scene.images[view][:, :, ::-1]))
        cv2.imwrite(str(folder / f"m_{view}.png"), scene.masks[view] * np.uint8(255))
    change_file(folder, lambda t: [frame.update(mask_path=f"m_{view}") for view, frame in enumerate(t["frames"])])
    read = read_blender(folder)
    assert read.background is None and read.alphas is None
    assert all(np.array_equal(found, expected) for found, expected in zip(read.masks, scene.masks, strict=True))
    change_frame(folder, mask_path=None)
    with pytest.raises(InputError, match=r"5 of 6 images have an alpha channel or a mask \(r_1\.png has not\)"):
        read_blender(folder)


def test_a_missing_image_is_named_and_most_of_them_are_an_error(written):
    scene, folder = written
    (folder / "train" / "r_1.png").rename(folder / "train" / "r_1_depth.png")
    with pytest.warns(InputWarning, match=r"transforms_train\.json: 1 of 6 images do not exist.*\(\./train/r_1\)"):
        read = read_blender(folder)
    assert largest_pixel_difference(scene.subset([0, 2, 3, 4, 5]), read) < 0.01
    for view in (2, 3):
        (folder / "train" / f"r_{view}.png").unlink()
    with pytest.raises(InputError, match=r"3 of 6 images are not in .*no such image \./train/r_1"):
        read_blender(folder)


def test_missing_folders_and_files_are_named_with_what_was_found(written, tmp_path):
    _, folder = written
    with pytest.raises(InputError, match="nowhere: no such folder"):
        read_blender(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"transforms_train\.json in it; expected transforms_test\.json"):
        read_blender(folder, split="test")
    assert len(read_blender(folder / "transforms_train.json")) == len(SIZES)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not a readable json file"),
        ('{"frames": [', "not a readable json file"),
        ("[1, 2]", "no list of frames"),
        ('{"frames": 7}', "no list of frames"),
        ('{"frames": []}', "no images"),
        ('{"frames": [3]}', "frame 0 has no file_path"),
        ('{"frames": [{"file_path": 3}]}', "frame 0 has no file_path"),
    ],
)
def test_a_file_that_is_no_transforms_json_is_refused(tmp_path, text, message):
    (tmp_path / "transforms_train.json").write_text(text)
    with pytest.raises(InputError, match=rf"transforms_train\.json: .*{message}"):
        read_blender(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"transform_matrix": "identity"}, "not 4x4 plain numbers"),
        ({"transform_matrix": [[1.0] * 4] * 2}, r"transform_matrix has shape \(2, 4\)"),
        ({"transform_matrix": [[float("nan")] * 4] * 4}, "NaN or infinity"),
        ({"transform_matrix": [[0.0] * 4] * 3}, "pose is singular"),
        ({"transform_matrix": [[2.0, 0, 0, 0], [0, 2.0, 0, 0], [0, 0, 1.9, 9.0]]}, "shears or stretches"),
        ({"transform_matrix": [[-1.0, 0, 0, 0], [0, 1.0, 0, 0], [0, 0, 1.0, 9.0]]}, "mirrors"),
        ({"transform_matrix": [[1.0, 0, 0, 0], [0, 1.0, 0, 0], [0, 0, 1.0, 9.0], [0, 0, 1, 1]]}, "the last row of its pose"),
        ({"fl_x": None}, "neither camera_angle_x nor fl_x"),
        ({"fl_x": "wide"}, "fl_x is 'wide', expected a finite number"),
        ({"fl_x": None, "camera_angle_x": 4.0}, "camera_angle_x is 4.0, expected radians between 0 and pi"),
        ({"w": 64}, "expected the same size or both sides scaled by one factor"),
        ({"h": -24, "w": -32}, "expected positive numbers"),
        ({"camera_model": "OPENCV_FISHEYE"}, "camera model is OPENCV_FISHEYE, .* undistort the images"),
        ({"is_fisheye": True}, "camera model is fisheye, .* undistort the images"),
    ],
)
def test_a_frame_that_makes_no_sense_is_named(written, changes, message):
    _, folder = written
    change_frame(folder, **changes)
    with pytest.raises(InputError, match=rf"(frame 1|view 1).*{message}"):
        read_blender(folder, center=[11.3, -4.1, 25.9], scale=3.7)


@pytest.mark.skipif(not LEGO.is_dir(), reason=f"no lego scene at {LEGO}")
def test_the_lego_lies_within_the_projected_unit_sphere_in_all_views():
    scene = read_blender(LEGO)
    assert len(scene) == 100
    for view in range(len(scene)):
        camera = scene.camera(view)
        y, x = np.nonzero(scene.masks[view])
        pixels = torch.from_numpy(np.stack([x, y, np.ones_like(x)], axis=-1) + np.array([0.5, 0.5, 0.0]))
        rays = torch.nn.functional.normalize(pixels @ torch.linalg.inv(camera.intrinsics).T, dim=-1)
        to_center = -camera.camera_to_scene[:3, :3].T @ camera.center
        distances = torch.linalg.cross(rays, to_center.expand_as(rays)).norm(dim=-1)
        assert float(distances.max()) < 1.0
        assert project(torch.zeros(3, dtype=torch.float64), camera)[1] > 1.0
    # The brick is about 2.4 units long: the region is no larger than it must be.
    assert 1.0 < float(scene.scene_to_world[0, 0]) < 1.6
