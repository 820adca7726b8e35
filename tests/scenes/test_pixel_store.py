from dataclasses import replace

import numpy as np
import pytest
import torch

from neus.errors import InputError
from neus.scenes import view_files
from neus.scenes.pixel_store import Layer, PackedPixels, packed_pixels
from neus.scenes.readers import read_scene
from neus.scenes.scene_checks import checked
from neus.scenes.writers import write_colmap, write_idr
from tests.scenes.layouts import ring_scene, write_blender

SIZES = [(40, 30), (32, 24), (30, 40)]
WRITERS = {"idr": write_idr, "blender": write_blender, "colmap": write_colmap}
pytestmark = pytest.mark.filterwarnings("ignore::neus.errors.InputWarning")  # a COLMAP model without points


@pytest.fixture(params=WRITERS)
def folder(request, tmp_path):
    return WRITERS[request.param](ring_scene(SIZES), tmp_path / "scene")


@pytest.fixture
def reads(monkeypatch):
    """The files that were decoded, in order."""
    files = []
    for name in ("read_rgb", "read_rgba", "read_mask"):
        original = getattr(view_files, name)
        counted = lambda path, *rest, original=original: files.append(path) or original(path, *rest)  # noqa: E731
        monkeypatch.setattr(view_files, name, counted)
    return files


def test_a_lazy_scene_holds_the_same_pixels_and_cameras(folder):
    eager, lazy = read_scene(folder), read_scene(folder, lazy=True)
    assert eager.sizes == lazy.sizes == SIZES
    assert torch.equal(eager.intrinsics, lazy.intrinsics) and torch.equal(eager.camera_to_scene, lazy.camera_to_scene)
    for layer in ("images", "masks", "alphas"):
        one, other = getattr(eager, layer), getattr(lazy, layer)
        assert (one is None) == (other is None)
        for a, b in zip(one or (), other or (), strict=True):
            assert a.dtype == b.dtype and np.array_equal(a, b)


def test_cameras_sizes_and_checks_of_a_lazy_scene_decode_nothing(tmp_path, reads):
    scene = checked(read_scene(write_idr(ring_scene(SIZES), tmp_path / "scene"), lazy=True))
    part = scene.subset([2, 0])
    cameras = [part.camera(view) for view in range(len(part))]
    assert [(camera.width, camera.height) for camera in cameras] == [SIZES[2], SIZES[0]] == part.sizes
    assert part.masks is not None and part.alphas is None and len(scene.masks[1:]) == 2
    assert reads == []
    assert part.images[0].shape == (40, 30, 3) and [file.name for file in reads] == ["002.png"]
    assert part.masks[1].shape == (30, 40) and [file.name for file in reads] == ["002.png", "000.png"]
    part.images[0]
    assert len(reads) == 2  # kept for a while


def test_each_file_is_decoded_once_and_counted_when_all_are_read(folder, reads):
    seen = []
    read_scene(folder, on_progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 3), (2, 3), (3, 3)]
    assert len(reads) == len(set(reads)) >= 3


def test_threads_read_the_same_scene(folder):
    alone = read_scene(folder)
    torch.set_num_threads(3)
    try:
        together = read_scene(folder)
    finally:
        torch.set_num_threads(1)
    assert all(np.array_equal(a, b) for a, b in zip(alone.images, together.images, strict=True))
    assert all(np.array_equal(a, b) for a, b in zip(alone.masks, together.masks, strict=True))


def test_reading_stops_at_the_first_view_that_fails():
    asked = []

    def read(view):
        asked.append(view)
        if view == 1:
            raise InputError("view 1 is damaged")
        return np.zeros((2, 2, 3), np.uint8), None, None

    with pytest.raises(InputError, match="view 1 is damaged"):
        packed_pixels([(2, 2)] * 5, read, False, False)
    assert asked == [0, 1]


@pytest.mark.parametrize("has_alphas", [False, True])
def test_packed_pixels_hold_what_was_put_into_them_without_a_copy(has_alphas):
    generator = np.random.default_rng(0)
    store = PackedPixels(SIZES, has_masks=True, has_alphas=has_alphas)
    views = [
        (
            generator.integers(0, 256, (h, w, 3), np.uint8),
            generator.random((h, w)) > 0.5,
            generator.integers(0, 256, (h, w), np.uint8),
        )
        for w, h in SIZES
    ]
    for view, pixels in enumerate(views):
        store.put(view, *pixels)
    for view, (image, mask, alpha) in enumerate(views):
        assert np.array_equal(store.image(view), image) and np.array_equal(store.mask(view), mask)
        assert (~store.mask(view)).sum() == (~mask).sum() and store.mask(view).mean() == mask.mean()
        assert np.shares_memory(store.image(view), store.packed)
        if has_alphas:
            assert np.array_equal(store.alpha(view), alpha)


def test_layers_behave_like_lists(folder):
    scene = read_scene(folder)
    assert isinstance(scene.images, Layer) and len(scene.images) == 3
    assert [image.shape[1::-1] for image in scene.images] == SIZES
    assert np.array_equal(scene.images[-1], scene.images[np.int64(2)])
    with pytest.raises(IndexError):
        scene.images[3]
    plain = replace(scene, images=list(scene.images), masks=list(scene.masks))
    assert plain.sizes == SIZES and plain.camera(1).width == 32
