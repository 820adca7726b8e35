import pickle
import shutil
import subprocess
import sys
import tracemalloc
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from neus.errors import InputError, InputWarning
from neus.geometry.cameras import project
from neus.scenes.idr import read_camera_file, read_idr
from neus.scenes.readers import DatasetConfig, layout_of, read_scene
from neus.scenes.selection import Selection
from neus.scenes.view_order import cameras_by_number
from neus.scenes.writers import write_idr
from tests.scenes.layouts import largest_pixel_difference, ring_scene, world_points

ROOT = Path(__file__).parents[2]
DTU = ROOT.parent / "shared/data/dtu_scan65"
READ = np.lib.format.read_array
SIZES = [(40, 30), (32, 24), (30, 40), (40, 30)]


@pytest.fixture
def written(tmp_path):
    scene = ring_scene(SIZES)
    return scene, write_idr(scene, tmp_path / "scene")


def change_cameras(folder, name="cameras_sphere.npz", **changes):
    """Replace matrices of the camera file; None removes one."""
    with np.load(folder / "cameras_sphere.npz") as archive:
        matrices = dict(archive)
    matrices.update(changes)
    np.savez(folder / name, **{k: m for k, m in matrices.items() if m is not None})


def test_a_scene_written_and_read_back_has_the_same_rays_and_pixels(written):
    scene, folder = written
    read = read_idr(folder)
    assert largest_pixel_difference(scene, read) < 0.01
    torch.testing.assert_close(read.scene_to_world, scene.scene_to_world)
    assert read.format == "idr" and read.source == folder
    for view in range(len(scene)):
        assert np.array_equal(read.images[view], scene.images[view])
        assert np.array_equal(read.masks[view], scene.masks[view])


def test_pixels_lie_half_a_pixel_beyond_those_of_the_projection_matrix(written):
    # NeuS projects with world_mat onto integer pixel centres.
    scene, folder = written
    points = world_points(scene)
    with np.load(folder / "cameras_sphere.npz") as archive:
        homogeneous = points.numpy() @ archive["world_mat_2"][:3, :3].T + archive["world_mat_2"][:3, 3]
    expected = homogeneous[:, :2] / homogeneous[:, 2:] + 0.5
    in_scene = (points - scene.scene_to_world[:3, 3]) / scene.scene_to_world[0, 0]
    pixels, _ = project(in_scene, read_idr(folder).camera(2))
    np.testing.assert_allclose(pixels.numpy(), expected, atol=1e-6)


def test_views_are_matched_in_the_order_people_count(tmp_path):
    scene = ring_scene([(40, 30)] * 12)
    folder = write_idr(scene, tmp_path)
    for view in range(12):
        (folder / "image" / f"{view:03d}.png").rename(folder / "image" / f"{view + 1}.png")
        cv2.imwrite(str(folder / "image" / f"{view + 1}.png"), np.full((30, 40, 3), view * 20, np.uint8))
    with pytest.warns(InputWarning, match=r"as numbers \(1\.png, 2\.png.*as text \(1\.png, 10\.png.* that of numbers is taken"):
        read = read_idr(folder)
    assert read.names == [f"{view}.png" for view in range(1, 13)]
    assert [image[0, 0, 0] for image in read.images] == [view * 20 for view in range(12)]


def test_masks_are_optional_and_both_names_of_the_folders_are_known(written):
    scene, folder = written
    (folder / "image").rename(folder / "images")
    (folder / "mask").rename(folder / "masks")
    assert len(read_idr(folder).masks) == len(scene)
    shutil.rmtree(folder / "masks")
    assert read_idr(folder).masks is None


def test_another_camera_file_gives_the_box_of_the_object(written):
    scene, folder = written
    smaller = scene.scene_to_world.clone()
    smaller[:3, :3] *= 0.5
    smaller[:3, 3] += 0.1 * scene.scene_to_world[0, 0]
    change_cameras(folder, "object.npz", scale_mat_0=smaller.numpy())
    box = read_idr(folder, object_cameras="object.npz").box
    torch.testing.assert_close(box, torch.tensor([[0.1 - 0.505] * 3, [0.1 + 0.505] * 3], dtype=torch.float64))


def test_missing_folders_and_files_are_named(written, tmp_path):
    _, folder = written
    with pytest.raises(InputError, match="nowhere: no such folder"):
        read_idr(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"other\.npz: no such camera file"):
        read_idr(folder, object_cameras="other.npz")
    (folder / "cameras_sphere.npz").unlink()
    with pytest.raises(InputError, match=r"cameras_sphere\.npz: no such camera file"):
        read_idr(folder)
    shutil.rmtree(folder / "image")
    with pytest.raises(InputError, match="no image/ folder"):
        read_idr(folder)
    (folder / "image").mkdir()
    with pytest.raises(InputError, match="no images found"):
        read_idr(folder)


def test_counts_of_images_masks_and_cameras_must_agree(written):
    _, folder = written
    (folder / "mask" / "003.png").unlink()
    with pytest.raises(InputError, match="3 masks but 4 images"):
        read_idr(folder)
    shutil.rmtree(folder / "mask")
    (folder / "image" / "003.png").unlink()
    with pytest.warns(InputWarning, match="4 cameras .* but 3 images; the first 3 cameras are taken, as NeuS does"):
        assert len(read_idr(folder)) == 3
    change_cameras(folder, world_mat_2=None, world_mat_3=None)
    with pytest.raises(InputError, match="2 cameras .* but 3 images"):
        read_idr(folder)


@pytest.mark.parametrize(
    ("first", "form", "removed"),
    [(0, "{:03d}.png", [1]), (1, "{:d}.png", [3]), (1, "a2_{:02d}.png", [1, 2]), (0, "{:03d}.png", [1, 3]), (41, "IMG_{:04d}b.png", [2])],
)
def test_images_that_are_missing_between_others_leave_the_others_their_cameras(written, first, form, removed):
    scene, folder = written
    for view in range(4):
        for kind in ("image", "mask"):
            file = (folder / kind / f"{view:03d}.png").rename(folder / kind / f"n_{form.format(view + first)}")
            if view in removed:
                file.unlink()
    kept = [view for view in range(4) if view not in removed]
    with pytest.warns(InputWarning, match=rf"4 cameras .* but {len(kept)} images; (cameras are taken by the numbers|the first 3)"):
        read = read_idr(folder)
    assert largest_pixel_difference(scene.subset(kept), read) < 0.01


def test_which_of_unpadded_names_are_missing_is_not_known():
    with pytest.raises(InputError, match="9 images of 12 cameras"):
        cameras_by_number([Path(f"{number}.png") for number in range(10) if number != 4], 12)


@pytest.mark.parametrize("names", [["1", "2", "7"], ["3", "4", "9"], ["02", "04", "05", "09"], ["8", "9", "11"]])
def test_names_that_do_not_tell_which_images_are_missing_are_refused(written, names):
    _, folder = written
    for number in range(len(names), 4):
        (folder / "image" / f"{number:03d}.png").unlink()
    change_cameras(folder, **{f"{kind}_mat_4": np.eye(4) for kind in ("world", "scale")} if len(names) == 4 else {})
    for number, name in enumerate(names):
        (folder / "image" / f"{number:03d}.png").rename(folder / "image" / f"x{name}.png")
    with pytest.raises(InputError, match=r"\d images of \d cameras, and their names .* do not tell which are missing"):
        read_idr(folder)


def test_images_of_formats_that_are_not_read_are_refused_by_name(written):
    _, folder = written
    (folder / "image" / "003.HEIC").write_bytes(b"ftypheic")
    assert len(read_idr(folder)) == 4  # beside a PNG of the same name
    (folder / "image" / "003.png").unlink()
    with pytest.raises(InputError, match=r"003\.HEIC: \.HEIC files are not read; convert all of the images to PNG or JPEG"):
        read_idr(folder)


def test_a_mask_of_another_size_is_refused(written):
    _, folder = written
    cv2.imwrite(str(folder / "mask" / "001.png"), np.full((11, 12), 255, np.uint8))
    with pytest.raises(InputError, match=r"001\.png: the mask is 12x11 pixels but its image 32x24"):
        read_idr(folder)


def test_a_truncated_image_is_named(written):
    _, folder = written
    file = folder / "image" / "002.png"
    file.write_bytes(file.read_bytes()[:-30])
    with pytest.raises(InputError, match=r"002\.png: the image is truncated"):
        read_idr(folder)


def test_missing_matrices_are_named(written):
    _, folder = written
    change_cameras(folder, world_mat_1=None, world_mat_7=np.eye(4))
    with pytest.raises(InputError, match="world_mat_1 is missing"):
        read_idr(folder)
    change_cameras(folder, world_mat_1=np.eye(4), world_mat_7=None, scale_mat_2=None)
    with pytest.raises(InputError, match="scale_mat_2 is missing"):
        read_idr(folder)


@pytest.mark.parametrize(
    "matrix, message",
    [
        (np.full((4, 4), np.nan), "NaN or infinity"),
        (np.zeros((4, 4)), "singular"),
        (np.diag([1.0, 1.0, 0.0, 1.0]), "singular"),
        (np.diag([2.0, 2.0, -2.0, 1.0]), "mirrors the scene"),
        (np.eye(3), r"shape \(3, 3\)"),
        (np.array("text"), "expected 4x4 numbers"),
        (np.eye(4) * 1j, "complex128"),
    ],
)
def test_matrices_that_are_no_cameras_are_named(written, matrix, message):
    _, folder = written
    change_cameras(folder, scale_mat_1=matrix)
    with pytest.raises(InputError, match=f"scale_mat_1 .*{message}"):
        read_idr(folder)


class Burglar:
    """Its pickle creates a file when it is loaded."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize("name", ["world_mat_1", "scale_mat_0"])
def test_pickled_objects_are_never_executed(written, tmp_path, name):
    _, folder = written
    trace = tmp_path / "burgled"
    pickle.loads(pickle.dumps(Burglar(trace)))
    assert trace.exists()  # the pickle does work
    trace.unlink()
    change_cameras(folder, **{name: np.array([[Burglar(trace)] * 4] * 4, dtype=object)})
    with pytest.raises(InputError, match=f"{name} holds a pickled object"):
        read_idr(folder)
    (folder / "cameras_sphere.npz").write_bytes(pickle.dumps(Burglar(trace)))
    with pytest.raises(InputError, match="not a readable npz file"):
        read_idr(folder)
    assert not trace.exists()


def test_files_that_are_no_npz_are_named(tmp_path):
    path = tmp_path / "cameras.npz"
    path.write_bytes(b"")
    with pytest.raises(InputError, match="not a readable npz file"):
        read_camera_file(path, 1)
    path.write_bytes(b"PK\x03\x04 and then nothing")
    with pytest.raises(InputError, match="not a readable npz file"):
        read_camera_file(path, 1)
    np.savez(path, world_mat_0=np.eye(4))
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x01\x02") + 6] = 99  # a version of zip that nobody has
    path.write_bytes(data)
    with pytest.raises(InputError, match="not a readable npz file"):
        read_camera_file(path, 1)
    with open(path, "wb") as file:
        np.save(file, np.eye(4))
    with pytest.raises(InputError, match="a single array"):
        read_camera_file(path, 1)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("world_mat_0", "text")
        archive.writestr("scale_mat_0", "text")
    with pytest.raises(InputError, match="world_mat_0 holds a pickled object, which is never loaded, or is damaged"):
        read_camera_file(path, 1)


def test_an_array_of_another_shape_is_refused_before_it_is_unpacked(tmp_path):
    np.savez_compressed(tmp_path / "cameras.npz", world_mat_0=np.zeros((1000, 50_000), np.float32))
    tracemalloc.start()
    with pytest.raises(InputError, match=r"world_mat_0 has shape \(1000, 50000\)"):
        read_camera_file(tmp_path / "cameras.npz", 1)
    with open(tmp_path / "single.npz", "wb") as file:
        np.save(file, np.zeros((1000, 50_000), np.float32))
    tracemalloc.reset_peak()
    with pytest.raises(InputError, match="a single array"):
        read_camera_file(tmp_path / "single.npz", 1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 50e6


def test_an_npz_with_flipped_bytes_is_damaged(written):
    _, folder = written
    path = folder / "cameras_sphere.npz"
    data = bytearray(path.read_bytes())
    data[300:308] = b"\x55" * 8
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"cameras_sphere\.npz"):
        read_idr(folder)


def test_a_camera_inside_the_unit_sphere_is_named_unless_allowed(written):
    scene, folder = written
    larger = scene.scene_to_world.numpy().copy()
    larger[:3, :3] *= 4.0
    change_cameras(folder, **{f"scale_mat_{view}": larger for view in range(len(scene))})
    with pytest.raises(InputError, match=r"view 0 \(000\.png\).* inside the unit sphere"):
        read_idr(folder)
    assert len(read_idr(folder, allow_inside=True)) == len(scene)


MEASURE = """
import resource, sys
from neus.scenes.idr import read_idr
scene = read_idr(sys.argv[1])
assert len(scene) == 64 and scene.images[0].shape == (1200, 1600, 3)
unit = 1 if sys.platform == "darwin" else 1024
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30)
"""


@pytest.mark.slow
def test_64_views_of_two_megapixels_load_below_one_and_a_half_gigabytes(tmp_path):
    scene = ring_scene([(16, 12)] * 64)
    scene.intrinsics[:, :2] *= 100.0
    folder = write_idr(scene, tmp_path)
    noise = np.random.default_rng(0).integers(0, 255, (1200, 1600, 3), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "large.png"), noise)
    cv2.imwrite(str(tmp_path / "large_mask.png"), noise[:, :, 0])
    for view in range(64):
        shutil.copy(tmp_path / "large.png", folder / "image" / f"{view:03d}.png")
        shutil.copy(tmp_path / "large_mask.png", folder / "mask" / f"{view:03d}.png")
    done = subprocess.run([sys.executable, "-c", MEASURE, str(folder)], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 1.5


@pytest.mark.skipif(not DTU.is_dir(), reason=f"no DTU scan at {DTU}")
def test_the_cameras_of_a_dtu_scan_see_its_masks_in_the_unit_sphere():
    scene = read_idr(DTU)
    assert len(scene) == 49 and 100 < float(scene.scene_to_world[0, 0]) < 300
    assert all(1.0 < float(scene.camera(view).center.norm()) < 6.0 for view in range(49))
    # The centre of the object's sphere lies on the object in most views.
    on_object = 0
    for view in range(49):
        x, y = project(torch.zeros(3, dtype=torch.float64), scene.camera(view))[0].long().tolist()
        on_object += bool(scene.masks[view][y, x])
    assert on_object > 40


def test_the_camera_file_of_idr_is_found_by_its_own_name(written):
    scene, folder = written
    (folder / "cameras_sphere.npz").rename(folder / "cameras.npz")
    assert layout_of(folder, DatasetConfig()) == "idr"
    assert largest_pixel_difference(scene, read_scene(folder)) < 0.01
    with pytest.raises(InputError, match=r"cameras_large\.npz: no such camera file"):
        read_idr(folder, object_cameras="cameras_large.npz")


def test_cut_out_images_give_the_masks_where_there_is_no_folder_of_them(written):
    scene, folder = written
    for view, file in enumerate(sorted((folder / "image").iterdir())):
        cv2.imwrite(str(file), np.dstack([scene.images[view][:, :, ::-1], scene.masks[view] * np.uint8(255)]))
    read = read_idr(folder)
    assert read.alphas is None and read.background is None  # mask/ is there, so colours stay as they are
    assert all(np.array_equal(found, image) for found, image in zip(read.images, scene.images, strict=True))
    shutil.rmtree(folder / "mask")
    read = read_idr(folder)
    assert read.background.tolist() == [1.0] * 3 and len(read.alphas) == len(scene)
    for view, mask in enumerate(scene.masks):
        assert np.array_equal(read.masks[view], mask)
        assert np.array_equal(read.images[view], np.where(mask[:, :, None], scene.images[view], 255))


def test_views_left_out_keep_the_cameras_of_the_others(written):
    scene, folder = written
    read = read_idr(folder, selection=Selection(exclude=("001.png", 2)))
    assert read.names == ["000.png", "003.png"]
    assert largest_pixel_difference(scene.subset([0, 3]), read) < 0.01
    for found, view in zip(read.masks, (0, 3), strict=True):
        assert np.array_equal(found, scene.masks[view])


def test_masks_of_fewer_views_are_matched_by_name(written):
    scene, folder = written
    (folder / "mask" / "extra.png").write_bytes((folder / "mask" / "000.png").read_bytes())
    read = read_idr(folder)
    assert all(np.array_equal(found, mask) for found, mask in zip(read.masks, scene.masks, strict=True))


def test_a_mirrored_scale_matrix_is_refused(written):
    scene, folder = written
    mirrored = scene.scene_to_world.numpy() @ np.diag([-1.0, 1.0, 1.0, 1.0])
    change_cameras(folder, **{f"scale_mat_{view}": mirrored for view in range(len(scene))})
    with pytest.raises(InputError, match="mirrors the scene"):
        read_idr(folder)


def test_intrinsics_in_fractions_of_the_image_are_refused_with_the_suggestion(written):
    _, folder = written
    fractions = {}
    with np.load(folder / "cameras_sphere.npz") as archive:
        for view, (width, height) in enumerate(SIZES):
            fractions[f"world_mat_{view}"] = np.diag([1 / width, 1 / height, 1.0, 1.0]) @ archive[f"world_mat_{view}"]
    change_cameras(folder, **fractions)
    with pytest.raises(InputError, match="are fractions of the image, expected pixels"):
        read_idr(folder)
