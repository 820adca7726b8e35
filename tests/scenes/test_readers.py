from dataclasses import replace
from pathlib import Path

import pytest
import torch

import neus
from neus.errors import InputError
from neus.scenes import readers
from neus.scenes.readers import DatasetConfig, layout_of, read_scene


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
def test_a_layout_is_told_by_the_files_that_only_it_has(tmp_path, files, layout):
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
