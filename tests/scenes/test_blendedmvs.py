import cv2
import numpy as np
import pytest
import torch

from neus.errors import InputError
from neus.scenes.blendedmvs import read_blendedmvs
from tests.scenes.layouts import OBJECT_RADIUS, largest_pixel_difference, ring_scene, write_blendedmvs

SIZES = [(40, 30), (32, 24), (30, 40), (40, 30), (40, 30), (32, 24)]


@pytest.fixture
def written(tmp_path):
    scene = ring_scene(SIZES)
    return scene, write_blendedmvs(scene, tmp_path / "scene")


def change_camera(folder, old, new, view=1):
    path = folder / "cams" / f"{view:08d}_cam.txt"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_a_scene_written_and_read_back_has_the_same_rays(written):
    scene, folder = written
    read = read_blendedmvs(folder)
    assert largest_pixel_difference(scene, read) < 0.01
    assert read.format == "blendedmvs" and read.names[2] == "00000002.jpg"
    for found, expected in zip(read.images, scene.images, strict=True):
        assert found.shape == expected.shape
        assert np.abs(found.astype(int) - expected).mean() < 2.0  # JPEG


def test_masked_images_give_the_masks_but_not_the_colours(written):
    scene, folder = written
    read = read_blendedmvs(folder)
    for found, expected, image in zip(read.masks, scene.masks, read.images, strict=True):
        # JPEG blurs the outline by a pixel or so.
        inner = cv2.erode(expected.astype(np.uint8), np.ones((5, 5))) > 0
        outer = cv2.dilate(expected.astype(np.uint8), np.ones((5, 5))) > 0
        assert found[inner].all() and not found[~outer].any()
        assert image[~outer].min() > 12


def test_without_masked_images_there_are_no_masks(written):
    _, folder = written
    masked = sorted((folder / "blended_images").glob("*_masked.jpg"))
    masked[3].unlink()
    with pytest.raises(InputError, match=r"5 of 6 images have .* a mask \(00000003\.jpg has not\)"):
        read_blendedmvs(folder)
    for file in masked:
        file.unlink(missing_ok=True)
    assert read_blendedmvs(folder).masks is None


def test_the_region_found_holds_the_object(written):
    scene, folder = written
    read = read_blendedmvs(folder)
    offset = float((read.scene_to_world[:3, 3] - scene.scene_to_world[:3, 3]).norm())
    object_radius = OBJECT_RADIUS * float(scene.scene_to_world[0, 0])
    assert offset + object_radius < float(read.scene_to_world[0, 0]) < 1.5 * object_radius


def test_a_region_given_is_the_region_used(written):
    scene, folder = written
    center = (scene.scene_to_world[:3, 3] + 0.3).tolist()
    read = read_blendedmvs(folder, center, 2.5)
    assert read.scene_to_world[:3, 3].tolist() == center and float(read.scene_to_world[0, 0]) == 2.5
    assert largest_pixel_difference(scene, read) < 0.01


def test_the_pair_file_says_which_views_are_in_use(written):
    scene, folder = written
    (folder / "cams" / "pair.txt").write_text("4\n0\n1 2 9.0\n2\n1 0 9.0\n3\n0\n5\n0\n")
    read = read_blendedmvs(folder)
    assert [int(name[:8]) for name in read.names] == [0, 2, 3, 5]
    assert largest_pixel_difference(scene.subset([0, 2, 3, 5]), read) < 0.01
    (folder / "cams" / "pair.txt").write_text("1\n7\n0\n")
    with pytest.raises(InputError, match="no image of view 00000007"):
        read_blendedmvs(folder)


@pytest.mark.parametrize("text", ["", "two\n0\n0\n1\n0\n", "3\n0\n0\n1\n0\n", "1\nfirst\n0\n"])
def test_a_damaged_pair_file_is_refused(written, text):
    _, folder = written
    (folder / "cams" / "pair.txt").write_text(text)
    with pytest.raises(InputError, match=r"pair\.txt: expected the number of views"):
        read_blendedmvs(folder)


def test_without_a_pair_file_every_image_has_its_camera(written):
    scene, folder = written
    (folder / "cams" / "pair.txt").unlink()
    assert largest_pixel_difference(scene, read_blendedmvs(folder)) < 0.01
    (folder / "cams" / "00000004_cam.txt").rename(folder / "cams" / "4_old.txt")
    with pytest.raises(InputError, match="5 cameras but 6 images"):
        read_blendedmvs(folder)


def test_a_camera_file_with_a_short_number_is_missing_rather_than_misread(written):
    _, folder = written
    (folder / "cams" / "pair.txt").unlink()
    (folder / "cams" / "00000004_cam.txt").rename(folder / "cams" / "4_cam.txt")
    with pytest.raises(InputError, match=r"00000004_cam\.txt: no such camera file"):
        read_blendedmvs(folder)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("extrinsic", "extrinsics", "not a camera file"),
        ("intrinsic\n", "", "not a camera file"),
        ("extrinsic\n", "extrinsic\n1.0 ", "not a camera file"),
        ("extrinsic\n", "extrinsic\nnan", "could not convert string|not a camera file|NaN or infinity"),
        ("0.0 0.0 0.0 1.0", "0.0 0.0 0.0 one", "could not convert string to float: 'one'; expected plain numbers"),
        ("0.0 0.0 0.0 1.0", "0.0 0.0 0.0 nan", "NaN or infinity"),
        ("0.0 0.0 0.0 1.0", "0.0 0.0 0.0 0.0", "its extrinsic matrix is singular"),
        ("0.0 0.0 1.0", "0.0 0.0 0.0", "singular"),
        ("0.0 0.0 0.0 1.0", "0.0 0.0 0.1 1.0", "the last row of its pose is .*expected 0, 0, 0, 1"),
    ],
)
def test_a_malformed_camera_file_is_named(written, old, new, message):
    _, folder = written
    change_camera(folder, old, new)
    with pytest.raises(InputError, match=rf"00000001_cam\.txt: .*({message})"):
        read_blendedmvs(folder)


def test_depths_that_make_no_sense_matter_only_where_they_are_used(written):
    scene, folder = written
    change_camera(folder, " 128 ", " 128 -", view=2)
    with pytest.raises(InputError, match="give centre and radius"):
        read_blendedmvs(folder)
    assert largest_pixel_difference(scene, read_blendedmvs(folder, scene.scene_to_world[:3, 3].tolist(), 3.7)) < 0.01


def test_an_empty_camera_file_and_missing_folders_are_named(written, tmp_path):
    _, folder = written
    (folder / "cams" / "00000001_cam.txt").write_text("")
    with pytest.raises(InputError, match="not a camera file"):
        read_blendedmvs(folder)
    (folder / "cams").rename(folder / "cameras")
    with pytest.raises(InputError, match="cams: no such folder"):
        read_blendedmvs(folder)
    with pytest.raises(InputError, match="nowhere: no such folder"):
        read_blendedmvs(tmp_path / "nowhere")


def test_an_image_without_a_number_is_named(written):
    _, folder = written
    (folder / "blended_images" / "00000001.jpg").rename(folder / "blended_images" / "front.jpg")
    with pytest.raises(InputError, match=r"front\.jpg: the name is no number"):
        read_blendedmvs(folder)


def test_principal_points_move_from_integer_centres_by_half_a_pixel(written):
    scene, folder = written
    lines = (folder / "cams" / "00000000_cam.txt").read_text().split("\n")
    stored = torch.tensor([[float(word) for word in line.split()] for line in lines[7:10]], dtype=torch.float64)
    torch.testing.assert_close(read_blendedmvs(folder).intrinsics[0, :2, 2], stored[:2, 2] + 0.5)
