"""capture.json beside a scene."""

import json

import pytest
import torch

from neus.errors import InputError
from neus.scenes.capture_file import read_capture, up_of
from neus.scenes.readers import DatasetConfig, read_scene
from neus.scenes.synthetic import render_scene
from neus.scenes.writers import save_scene


def test_the_vertical_of_a_scene_is_the_one_beside_it(tmp_path):
    folder = save_scene(render_scene(4, 32, 24, antialias=1), tmp_path / "scene", "colmap")
    region = {"center": (25.0, -40.0, 610.0), "radius": 60.0}
    assert read_scene(folder, DatasetConfig(**region)).up is None
    (folder / "capture.json").write_text(json.dumps({"up": [0, 3, 4]}))
    scene = read_scene(folder, DatasetConfig(**region))
    assert torch.allclose(scene.up, torch.tensor([0.0, 0.6, 0.8], dtype=torch.float64))
    quarter = torch.tensor([[0.0, -2, 0, 1], [2, 0, 0, 2], [0, 0, 2, 3], [0, 0, 0, 1]], dtype=torch.float64)
    turned = scene.in_frame(quarter, scene.box)
    assert torch.equal(turned.up, scene.up)
    assert torch.allclose(turned.up_in_scene, torch.tensor([0.6, 0.0, 0.8], dtype=torch.float64))


@pytest.mark.parametrize("up", [[0, 0, 0], [0, 1], "z", [0, 0, float("nan")]])
def test_a_vertical_that_is_none_is_refused(tmp_path, up):
    (tmp_path / "capture.json").write_text(json.dumps({"up": up}))
    with pytest.raises(InputError, match="expected three numbers"):
        up_of(tmp_path)


def test_a_damaged_file_is_refused_and_none_is_no_error(tmp_path):
    assert read_capture(tmp_path) == {} and up_of(tmp_path) is None
    (tmp_path / "capture.json").write_text("{")
    with pytest.raises(InputError, match="run `neus process` again"):
        read_capture(tmp_path)
