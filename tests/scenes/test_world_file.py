"""world.json beside a scene."""

import json

import pytest
import torch

from neus.errors import InputError
from neus.scenes.readers import DatasetConfig, read_scene
from neus.scenes.synthetic import render_scene
from neus.scenes.writers import save_scene


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A scene in COLMAP's layout."""
    return save_scene(render_scene(4, 32, 24, antialias=1), tmp_path_factory.mktemp("world") / "scene", "colmap")


REGION = DatasetConfig(center=(25.0, -40.0, 610.0), radius=60.0)


def test_the_vertical_of_a_scene_is_the_one_beside_it(folder):
    (folder / "world.json").unlink(missing_ok=True)
    assert read_scene(folder, REGION).up is None
    (folder / "world.json").write_text(json.dumps({"up": [0, 3, 4]}))
    scene = read_scene(folder, REGION)
    quarter = torch.tensor([[0.0, -2, 0, 1], [2, 0, 0, 2], [0, 0, 2, 3], [0, 0, 0, 1]], dtype=torch.float64)
    turned = scene.in_frame(quarter, scene.box)
    assert turned.up == scene.up
    assert torch.allclose(turned.vertical(), torch.tensor([0.6, 0.0, 0.8], dtype=torch.float64))


@pytest.mark.parametrize("up", [[0, 0, 0], [0, 1], "z", [0, 0, float("nan")]])
def test_a_vertical_that_is_none_is_refused(folder, up):
    (folder / "world.json").write_text(json.dumps({"up": up}))
    with pytest.raises(InputError, match=r"world\.json: .*three numbers"):
        read_scene(folder, REGION)
