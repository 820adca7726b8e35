from dataclasses import replace

import numpy as np
import pytest
import torch

from neus.errors import InputError
from neus.geometry.similarity import similarity
from neus.scenes.readers import DatasetConfig, read_scene
from neus.scenes.writers import save_scene
from tests.scenes.layouts import WORLD, largest_pixel_difference, ring_scene

SIZES = [(40, 30), (32, 24), (30, 40)]
# The region of interest that COLMAP's model does not hold.
REGION = DatasetConfig(center=tuple(WORLD[:3, 3].tolist()), radius=3.7)


@pytest.mark.parametrize("has_masks", [True, False])
@pytest.mark.parametrize(("layout", "config"), [("idr", None), ("transforms", None), ("colmap", REGION)])
def test_a_saved_scene_reads_back_the_same(tmp_path, layout, config, has_masks):
    scene = ring_scene(SIZES)
    scene = scene if has_masks else replace(scene, masks=None)
    read = read_scene(save_scene(scene, tmp_path / "scene", layout), config)
    assert largest_pixel_difference(scene, read) < 1e-6
    torch.testing.assert_close(read.scene_to_world, scene.scene_to_world, rtol=1e-9, atol=1e-9)
    assert all(np.array_equal(a, b) for a, b in zip(scene.images, read.images, strict=True))
    assert (read.masks is None) == (not has_masks)
    assert not has_masks or all(np.array_equal(a, b) for a, b in zip(scene.masks, read.masks, strict=True))


@pytest.mark.parametrize("layout", ["transforms", "colmap"])
@pytest.mark.parametrize(
    "names", [["../a.png", "b.png", "c.png"], ["a.heic", "b", "c.png"], ["a.png", "a.png", "b.png"]]
)
def test_names_that_cannot_be_files_become_numbers(tmp_path, layout, names):
    folder = save_scene(replace(ring_scene(SIZES), names=names), tmp_path / "scene", layout)
    assert sorted(file.name for file in (folder / "images").iterdir()) == ["000.png", "001.png", "002.png"]
    assert len(read_scene(folder, REGION)) == 3 and [place.name for place in tmp_path.iterdir()] == ["scene"]


def test_folders_with_files_and_unknown_layouts_are_refused(tmp_path):
    scene = ring_scene(SIZES)
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="already exists"):
        save_scene(scene, tmp_path)
    with pytest.raises(InputError, match="layout 'ply': expected one of idr, colmap, transforms"):
        save_scene(scene, tmp_path / "scene", "ply")
    turned = replace(
        scene,
        scene_to_world=similarity(2.0, torch.zeros(3).double(), torch.diag(torch.tensor([-1.0, -1.0, 1.0])).double()),
    )
    with pytest.raises(InputError, match="no rotation of the region"):
        save_scene(turned, tmp_path / "turned", "transforms")
    assert [place.name for place in tmp_path.iterdir()] == ["mine.txt"]
