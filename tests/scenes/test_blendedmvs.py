import cv2
import numpy as np
import pytest
import torch

from neus.errors import InputError, InputWarning
from neus.scenes.blendedmvs import read_blendedmvs
from neus.scenes.readers import DatasetConfig, layout_of
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


@pytest.mark.filterwarnings("ignore:.*not in it")
def test_the_pair_file_says_which_views_are_in_use(written):
    scene, folder = written
    (folder / "cams" / "pair.txt").write_text("4\n0\n1 2 9.0\n2\n1 0 9.0\n3\n0\n5\n0\n")
    with pytest.warns(InputWarning, match="2 of 6 images are not in it"):
        read = read_blendedmvs(folder)
    assert [int(name[:8]) for name in read.names] == [0, 2, 3, 5]
    assert largest_pixel_difference(scene.subset([0, 2, 3, 5]), read) < 0.01
    (folder / "cams" / "pair.txt").write_text("1\n7\n0\n")
    with pytest.raises(InputError, match="no image of view 00000007"):
        read_blendedmvs(folder)


@pytest.mark.filterwarnings("ignore:.*not in it")
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


@pytest.mark.parametrize("n_numbers", [1, 2, 3, 4])
def test_only_the_nearest_depth_is_needed(written, n_numbers):
    scene, folder = written
    whole = read_blendedmvs(folder)
    for file in (folder / "cams").glob("*_cam.txt"):
        *lines, depths = file.read_text().rstrip().split("\n")
        file.write_text("\n".join([*lines, " ".join(depths.split()[:n_numbers])]) + "\n")
    read = read_blendedmvs(folder)
    assert torch.equal(read.scene_to_world, whole.scene_to_world) and len(read) == len(scene)


@pytest.mark.parametrize("without", [0, 2, 5])
def test_a_view_without_neighbours_loses_no_other_view(written, without):
    scene, folder = written
    lines = [f"{view}\n{'' if view == without else '1 0 10.0'}\n" for view in range(6)]
    (folder / "cams" / "pair.txt").write_text("6\n" + "".join(lines))
    assert largest_pixel_difference(scene, read_blendedmvs(folder)) < 0.01


def test_a_view_named_twice_in_the_pair_file_is_refused(written):
    _, folder = written
    (folder / "cams" / "pair.txt").write_text("3\n0\n0\n1\n0\n1\n0\n")
    with pytest.raises(InputError, match="view 1 is named 2 times, expected once"):
        read_blendedmvs(folder)


def test_images_that_the_pair_file_leaves_out_are_named(written):
    _, folder = written
    (folder / "cams" / "pair.txt").write_text("4\n0\n0\n2\n0\n3\n0\n5\n0\n")
    with pytest.warns(InputWarning, match=r"2 of 6 images are not in it .*\(00000001\.jpg, 00000004\.jpg\)"):
        read_blendedmvs(folder)


def test_the_folders_of_mvsnet_are_read(written):
    scene, folder = written
    (folder / "blended_images").rename(folder / "images")
    (folder / "cams" / "pair.txt").rename(folder / "pair.txt")
    (folder / "cams").rename(folder / "cams_1")
    assert layout_of(folder, DatasetConfig()) == "blendedmvs"
    assert largest_pixel_difference(scene, read_blendedmvs(folder)) < 0.01


def test_a_few_missing_images_are_left_out_and_named(written):
    scene, folder = written
    (folder / "blended_images" / "00000001.jpg").unlink()
    with pytest.warns(InputWarning, match=r"1 of 6 images do not exist, so their views are left out \(00000001\)"):
        read = read_blendedmvs(folder)
    assert largest_pixel_difference(scene.subset([0, 2, 3, 4, 5]), read) < 0.01


def test_two_images_of_one_view_are_refused(written):
    _, folder = written
    (folder / "blended_images" / "1.jpg").write_bytes((folder / "blended_images" / "00000001.jpg").read_bytes())
    with pytest.raises(InputError, match=r"view 1 is .*already; remove one of the two"):
        read_blendedmvs(folder)


@pytest.mark.parametrize("change", ["3 decimals", "a scale"])
def test_extrinsics_that_are_rounded_or_scaled_are_repaired(tmp_path, change):
    scene = ring_scene(SIZES, torch.eye(4, dtype=torch.float64))
    folder = write_blendedmvs(scene, tmp_path / "scene")
    for file in (folder / "cams").glob("*_cam.txt"):
        lines = file.read_text().split("\n")
        rows = np.array([[float(word) for word in line.split()] for line in lines[1:5]])
        rows = np.round(rows, 3) if change == "3 decimals" else np.diag([2.0, 2.0, 2.0, 1.0]) @ rows
        lines[1:5] = [" ".join(f"{x:.17g}" for x in row) for row in rows]
        file.write_text("\n".join(lines))
    with pytest.warns(InputWarning, match="poses are rounded" if change == "3 decimals" else "6 poses scale by about 2"):
        read = read_blendedmvs(folder)
    assert largest_pixel_difference(scene, read) < 0.1


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_camera_files_saved_on_windows_are_read(written, encoding):
    scene, folder = written
    for file in (folder / "cams").glob("*.txt"):
        file.write_bytes(file.read_text().replace("\n", "\r\n").encode(encoding))
    assert largest_pixel_difference(scene, read_blendedmvs(folder)) < 0.01


def test_a_folder_of_masks_is_read_where_there_are_no_masked_images(written):
    scene, folder = written
    (folder / "masks").mkdir()
    for view, mask in enumerate(scene.masks):
        (folder / "blended_images" / f"{view:08d}_masked.jpg").unlink()
        cv2.imwrite(str(folder / "masks" / f"{view:08d}.png"), mask * np.uint8(255))
    for found, expected in zip(read_blendedmvs(folder).masks, scene.masks, strict=True):
        assert np.array_equal(found, expected)
    for file in (folder / "masks").iterdir():
        file.rename(file.with_name(f"m_{file.name}_x.png"))
    with pytest.warns(InputWarning, match="none of its 6 files is the mask of an image"):
        assert read_blendedmvs(folder).masks is None
