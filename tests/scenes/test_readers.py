from dataclasses import replace
from pathlib import Path

import pytest
import torch

import neus
from neus.errors import InputError, InputWarning
from neus.geometry.poses import rotation_from_vector
from neus.geometry.similarity import similarity
from neus.runs.config import read_config
from neus.scenes import readers
from neus.scenes.readers import DatasetConfig, layout_of, read_scene, read_split
from neus.scenes.writers import write_colmap, write_idr
from tests.scenes.layouts import (
    WORLD,
    largest_pixel_difference,
    ring_scene,
    world_points,
    write_blendedmvs,
    write_blender,
)


@pytest.mark.parametrize(
    ("files", "layout"),
    [
        (["cameras_sphere.npz"], "idr"),
        (["cams/pair.txt", "blended_images/00000000.jpg"], "blendedmvs"),
        (["transforms_train.json"], "blender"),
        (["sparse/0/cameras.bin"], "colmap"),
        (["sparse/cameras.txt"], "colmap"),
        (["cameras.bin"], "colmap"),
        (["cameras_sphere.npz", "sparse/0/cameras.bin", "transforms_train.json"], "idr"),
    ],
)
def test_a_layout_is_recognised_by_the_files_that_only_it_has(tmp_path, files, layout):
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert layout_of(tmp_path, DatasetConfig()) == layout


def test_a_transforms_file_itself_may_be_named(tmp_path):
    (tmp_path / "transforms_test.json").touch()
    assert layout_of(tmp_path / "transforms_test.json", DatasetConfig()) == "blender"


def test_a_folder_of_no_known_layout_is_refused_with_what_was_looked_for(tmp_path):
    with pytest.raises(InputError, match=r"no known layout; expected cameras_sphere.npz \(IDR/NeuS\), cams/"):
        read_scene(tmp_path)
    with pytest.raises(InputError, match="no such folder"):
        read_scene(tmp_path / "none")


def test_a_layout_given_is_a_layout_used(scene_folder):
    assert read_scene(scene_folder, DatasetConfig(format="idr")).format == "idr"
    with pytest.raises(InputError):
        read_scene(scene_folder, DatasetConfig(format="colmap"))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"center": (0.0, 1.0), "radius": 1.0}, "expected three numbers"),
        ({"center": (0.0, 1.0, 2.0)}, "belong together"),
        ({"radius": 1.0}, "belong together"),
        ({"center": (0.0, 1.0, 2.0), "radius": 1.0}, "IDR scenes carry their region of interest"),
    ],
)
def test_a_region_of_interest_that_makes_no_sense_is_refused(scene_folder, settings, said):
    with pytest.raises(InputError, match=said):
        read_scene(scene_folder, DatasetConfig(**settings))


@pytest.mark.parametrize("write", [write_idr, write_blendedmvs, write_blender, write_colmap])
def test_no_reader_loses_a_view_in_silence(tmp_path, recwarn, write):
    scene = ring_scene([(24, 18)] * 12)
    scene.intrinsics[:, 1, 1] = scene.intrinsics[:, 0, 0]
    keywords = {"points": world_points(scene, 60)} if write is write_colmap else {}
    folder = write(scene, tmp_path / "scene", **keywords)
    assert len(read_scene(folder)) == 12 and not recwarn.list
    if write is not write_idr:  # there an image more or less changes all that follow
        image = sorted(f for f in folder.rglob("*.*g") if "mask" not in str(f.relative_to(folder)))[4]
        image.unlink()
        with pytest.warns(InputWarning, match=rf"1 of 12 images do not exist.*{image.stem}"):
            assert len(read_scene(folder)) == 11


@pytest.mark.parametrize("write", [write_idr, write_blendedmvs, write_blender])
def test_views_are_selected_in_every_layout(tmp_path, write):
    scene = ring_scene([(24, 18)] * 6)
    folder = write(scene, tmp_path / "scene")
    names = read_scene(folder).names
    read = read_scene(folder, DatasetConfig(exclude=(names[1], 3)))
    assert read.names == [names[view] for view in (0, 2, 4, 5)]
    assert largest_pixel_difference(scene.subset([0, 2, 4, 5]), read) < 0.01
    assert read_scene(folder, DatasetConfig(views=(0, 2))).names == [names[0], names[2]]
    with pytest.raises(InputError, match="dataset.exclude has 'nobody', which is no view; the nearest name is"):
        read_scene(folder, DatasetConfig(exclude=("nobody",)))


def test_numbers_and_names_of_views_can_be_set_in_a_conf(tmp_path):
    (tmp_path / "a.conf").write_text('dataset { exclude = [3, "IMG 2.jpg"], views = 7 }')
    dataset = read_config(tmp_path / "a.conf", ["dataset.exclude=[3,IMG_2.jpg]"]).dataset
    assert dataset.exclude == (3, "IMG_2.jpg") and dataset.views == (7,)


def test_another_split_comes_in_the_frame_of_the_model(tmp_path):
    scene, test = ring_scene([(40, 30)] * 6), ring_scene([(40, 30)] * 4)
    folder = write_blender(scene, tmp_path / "scene")
    write_blender(test, tmp_path / "other")
    (tmp_path / "other" / "transforms_train.json").rename(folder / "transforms_test.json")
    turned = similarity(2.9, WORLD[:3, 3] + 0.4, rotation_from_vector(torch.tensor([0.3, -0.2, 0.5]).double()))
    read = read_split(folder, DatasetConfig(exclude=(0,)), "test", turned)
    assert torch.equal(read.scene_to_world, turned) and len(read) == 4
    assert largest_pixel_difference(test, read) < 0.01
    rotations = read.camera_to_scene[:, :3, :3]
    torch.testing.assert_close(rotations @ rotations.mT, torch.eye(3, dtype=torch.float64).expand(4, 3, 3))
    with pytest.raises(InputError, match="no split val; expected transforms_val.json, or val_filenames"):
        read_split(folder, DatasetConfig(), "val", turned)


@pytest.fixture
def registry(monkeypatch):
    """Readers registered in a test are forgotten after it."""
    monkeypatch.setattr(readers, "_REGISTERED", {})
    before = list(readers.FORMATS)
    yield
    readers.FORMATS[:] = before


def test_a_registered_layout_is_read_by_name_and_where_it_is_recognised(registry, scene_folder, tmp_path):
    (tmp_path / "mine.txt").write_text(str(scene_folder))

    def read(folder, config):
        return replace(read_scene(Path((folder / "mine.txt").read_text())), format="mine")

    readers.register_reader("mine", read)
    with pytest.raises(InputError, match="no known layout"):
        neus.load_scene(tmp_path)
    assert neus.load_scene(tmp_path, format="mine").format == "mine"
    readers.register_reader("mine", read, lambda folder: (folder / "mine.txt").is_file())
    assert neus.load_scene(tmp_path).format == "mine" and neus.load_scene(scene_folder).format == "idr"


def test_a_registered_reader_is_checked_like_the_others(registry, scene_folder, tmp_path):
    inside = torch.eye(4, dtype=torch.float64).expand(4, 4, 4)
    readers.register_reader("mine", lambda folder, config: replace(read_scene(scene_folder), camera_to_scene=inside))
    with pytest.raises(InputError, match="inside the unit sphere"):
        neus.load_scene(tmp_path, format="mine")
