import shutil

import cv2
import numpy as np
import pycolmap
import pytest
import torch

from neus.errors import InputError
from neus.geometry.cameras import project
from neus.geometry.poses import invert
from neus.geometry.similarity import transform_points
from neus.scenes.downscale import downscale_factor, jpeg_reduction, resized_pixels
from neus.scenes.images import read_rgb
from neus.scenes.readers import DatasetConfig, read_scene
from neus.scenes.writers import write_colmap, write_idr
from tests.scenes.layouts import ring_scene, world_points, write_blender

# Sides that the factors do not divide are among them.
SIZES = [(160, 120), (162, 121), (90, 163)]
pytestmark = pytest.mark.filterwarnings("ignore::neus.errors.InputWarning")  # a COLMAP model without points


def read(folder, downscale, **options):
    return read_scene(folder, DatasetConfig(downscale=downscale), **options)


def assert_is_smaller_copy(small, full, factor, wrong_fraction=0.0):
    """World points fall in the same places of images, and images and masks are the averages of the full ones."""
    points = world_points(full)
    for view, (width, height) in enumerate(full.sizes):
        assert small.sizes[view] == (round(width / factor), round(height / factor))
        stretch = torch.tensor([width, height]) / torch.tensor(small.sizes[view])
        pixels = [project(transform_points(invert(s.scene_to_world), points), s.camera(view))[0] for s in (full, small)]
        assert (pixels[0] / stretch - pixels[1]).norm(dim=-1).max() < 0.01
        expected = cv2.resize(np.ascontiguousarray(full.images[view]), small.sizes[view], interpolation=cv2.INTER_AREA)
        inner = abs(small.images[view].astype(int) - expected)[2:-2, 2:-2]
        assert small.images[view].shape == expected.shape and inner.mean() < 0.5
        cover = cv2.resize(full.masks[view].astype(np.float32), small.sizes[view], interpolation=cv2.INTER_AREA)
        is_clear = abs(cover - 0.5) > 0.45
        assert (small.masks[view] != (cover > 0.5))[is_clear].mean() <= wrong_fraction
        assert small.masks[view].dtype == bool


@pytest.mark.parametrize("write", [write_idr, write_blender, write_colmap])
@pytest.mark.parametrize("factor", [2, 3, 4])
def test_cameras_images_and_masks_shrink_together(tmp_path, write, factor):
    folder = write(ring_scene(SIZES), tmp_path / "scene")
    full, small = read(folder, 1), read(folder, factor)
    assert_is_smaller_copy(small, full, factor)
    assert (full.downscale, small.downscale) == (1, factor)
    lazy = read(folder, factor, lazy=True)
    assert lazy.sizes == small.sizes and torch.equal(lazy.intrinsics, small.intrinsics)
    assert all(np.array_equal(a, b) for a, b in zip(lazy.images, small.images, strict=True))


@pytest.mark.parametrize(
    ("model", "extra"), [("OPENCV", [-0.15, 0.03, 0.001, -0.002]), ("OPENCV_FISHEYE", [0.02, -0.01, 0.0, 0.0])]
)
def test_with_a_lens_the_smaller_images_have_the_camera_of_the_full_ones(tmp_path, model, extra):
    folder = write_colmap(ring_scene(SIZES), tmp_path / "scene", model)
    model_folder = str(folder / "sparse" / "0")
    reconstruction = pycolmap.Reconstruction(model_folder)
    for camera in reconstruction.cameras.values():
        camera.params = [*camera.params[:4], *extra]
    reconstruction.write(model_folder)
    # A mask is bent by taking the nearest pixel, so its outline may move by half a pixel.
    assert_is_smaller_copy(read(folder, 2), read(folder, 1), 2, wrong_fraction=0.01)


def test_alphas_are_averaged(tmp_path):
    folder = write_blender(ring_scene(SIZES), tmp_path / "scene")
    full, small = read(folder, 1), read(folder, 4)
    for view, size in enumerate(small.sizes):
        expected = cv2.resize(np.ascontiguousarray(full.alphas[view]), size, interpolation=cv2.INTER_AREA)
        assert np.array_equal(small.alphas[view], expected) and ((expected > 0) & (expected < 255)).any()
        assert np.array_equal(small.masks[view], expected > 127)


def test_auto_halves_until_the_longer_side_has_1600_pixels():
    expected = {1599: 1, 1600: 1, 1602: 2, 3200: 2, 4032: 4, 8000: 8}
    assert {side: downscale_factor("auto", [(12, 9), (9, side)]) for side in expected} == expected


def test_images_of_1600_pixels_are_read_in_full_by_default(tmp_path):
    folder = write_idr(ring_scene([(1600, 4), (40, 30)]), tmp_path / "scene")
    assert read_scene(folder).sizes == [(1600, 4), (40, 30)]
    wide = write_idr(ring_scene([(1620, 8), (40, 30)]), tmp_path / "wide")
    assert read_scene(wide).sizes == [(810, 4), (20, 15)]


@pytest.mark.parametrize("asked", ["half", 0, -2, "1.5", True])
def test_other_factors_are_refused(asked):
    with pytest.raises(InputError, match="dataset.downscale = .*expected auto or a whole number"):
        downscale_factor(asked, [(4, 4)])
    assert downscale_factor("2", [(4, 4)]) == 2


def test_jpegs_decoded_at_a_smaller_size_show_the_same(tmp_path):
    y, x = np.mgrid[:96, :128]
    rendered = np.stack([2 * x, 2 * y, 128 + 60 * np.sin(x / 9)], axis=-1).clip(0, 255).astype(np.uint8)
    cv2.imwrite(str(tmp_path / "a.jpg"), rendered[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 98])
    full = read_rgb(tmp_path / "a.jpg")
    for reduction in (2, 4, 8):
        small = read_rgb(tmp_path / "a.jpg", reduction=reduction)
        assert small.shape == (96 // reduction, 128 // reduction, 3)
        assert abs(small.astype(float) - resized_pixels(full, small.shape[1::-1])).mean() < 1.0
    assert [jpeg_reduction(size, 4) for size in ((128, 96), (130, 96), (129, 96))] == [4, 2, 1]


def test_smaller_copies_beside_the_images_of_a_colmap_scene_are_read_instead(tmp_path):
    folder = write_colmap(ring_scene([(160, 120)] * 3), tmp_path / "scene")
    full = read(folder, 1)
    shutil.copytree(folder / "images", folder / "images_2")
    for file in (folder / "images_2").iterdir():
        cv2.imwrite(str(file), np.full((60, 80, 3), 77, np.uint8))
    small = read(folder, 2)
    assert {int(image.max()) for image in small.images} == {77}
    assert [mask.shape for mask in small.masks] == [(60, 80)] * 3  # of masks at full size
    torch.testing.assert_close(small.intrinsics[:, :2] * 2, full.intrinsics[:, :2])
    assert read(folder, 4).sizes == [(40, 30)] * 3 and {int(image.max()) for image in read(folder, 4).images} != {77}
    (folder / "images_2" / "1.png").unlink()
    assert {int(image.max()) for image in read(folder, 2).images} != {77}
