"""Viewpoints, comparisons and camera paths against what is known of them."""

import json
import math

import numpy as np
import pytest
import torch

from neus.errors import InputError
from neus.geometry.cameras import project
from neus.geometry.similarity import similarity
from neus.rendering.path_files import read_camera_path
from neus.viewer.comparison import compared
from neus.viewer.content import points_in_scene
from neus.viewer.path_editor import PathEditor
from neus.viewer.viewpoint import camera_at, viewpoint_of


def test_a_viewpoint_there_and_back_is_the_same():
    rng = np.random.default_rng(0)
    for _ in range(20):
        wxyz = rng.normal(size=4)
        wxyz /= np.linalg.norm(wxyz) * np.sign(wxyz[0])
        position, fov, aspect = rng.normal(size=3), rng.uniform(0.2, 2.5), rng.choice([0.5, 1.0, 1.75])
        found = viewpoint_of(camera_at(wxyz, position, fov, aspect, 400))
        assert np.allclose(found[0] * np.sign(found[0][0]), wxyz) and np.allclose(found[1], position)
        assert found[2:] == pytest.approx((fov, aspect))


def test_the_edge_of_the_field_of_view_is_the_edge_of_the_image():
    camera = camera_at((1, 0, 0, 0), (0, 0, 0), 1.0, 1.5, 100)
    top = torch.tensor([0.0, -math.tan(0.5), 1.0], dtype=torch.float64)
    pixels, depth = project(top, camera)
    assert pixels.tolist() == pytest.approx([75.0, 0.0]) and float(depth) == 1.0


@pytest.mark.parametrize(
    "numbers",
    [
        ((0, 0, 0, 0), (0, 0, 0), 1.0, 1.0), ((1, 0, 0, 0), (math.inf, 0, 0), 1.0, 1.0), ((1, 0, 0, 0), (0, 0, 0), math.nan, 1.0),
        ((1, 0, 0, 0), (0, 0, 0), 3.2, 1.0), ((1, 0, 0, 0), (0, 0, 0), 1.0, 1e9), ((1, 0, 0, 0), (0, 0, 0), 1.0, 0.0),
    ],
)  # fmt: skip
def test_numbers_that_no_camera_has_are_refused(numbers):
    with pytest.raises(InputError, match="viewpoint"):
        camera_at(*numbers, 100)


def test_an_exported_path_is_read_by_render(tmp_path):
    to_world = similarity(50.0, torch.tensor([3.0, -2.0, 900.0]))
    editor = PathEditor(to_world.double())
    with pytest.raises(InputError, match="two or more"):
        editor.file_content(10)
    for x in (-1.0, 0.0, 1.0, 9.0):
        editor.add(camera_at((1, 0, 0, 0), (x, 0, -3), 0.8, 1.5, 100 if x < 0 else 400))
    editor.remove_last()
    (tmp_path / "path.json").write_bytes(editor.file_content(21))
    path = read_camera_path(tmp_path / "path.json", to_world.double())
    assert len(path.cameras) == 21 and {(c.width, c.height) for c in path.cameras} == {(150, 100)}
    for place, x in ((0, -1.0), (10, 0.0), (20, 1.0)):
        assert torch.allclose(path.cameras[place].center, torch.tensor([x, 0.0, -3.0]).double(), atol=1e-6)
    assert viewpoint_of(path.cameras[0])[2] == pytest.approx(0.8)
    assert np.allclose(json.loads((tmp_path / "path.json").read_text())["cameras"][0]["camera_to_world"][2][3], 900.0 - 150.0)


class Constant:
    """A renderer of one colour."""

    device, rays_at_a_time = torch.device("cpu"), 1000

    def __init__(self, rgb):
        self.rgb = torch.tensor(rgb)

    def render(self, origins, directions, background=None, forward=None):
        from neus.rendering.renderer import RenderedPixels

        n = len(origins)
        return RenderedPixels(self.rgb.expand(n, 3), *[torch.ones(n)] * 4, torch.zeros(n, 3))


def test_a_comparison_shows_the_image_and_measures_the_difference(scene_folder):
    import neus

    scene = neus.load_scene(scene_folder)
    found = compared(Constant([0.5, 0.5, 0.5]), scene, 1, width=320)
    assert np.array_equal(found.image, scene.images[1])
    expected = -10 * math.log10(np.mean((128 / 255.0 - scene.images[1] / 255.0) ** 2))
    assert found.psnr == pytest.approx(expected, abs=1e-3)
    mask = scene.masks[1]
    masked = -10 * math.log10(np.mean((128 / 255.0 - scene.images[1][mask] / 255.0) ** 2))
    assert found.psnr_masked == pytest.approx(masked, abs=1e-3) and f"{masked:.2f} dB within the mask" in found.scores
    assert found.side_by_side.shape == (24, 96, 3) and (found.rendered == 128).all()
    difference = np.abs(scene.images[1].astype(float) - 128).mean(axis=-1)
    brightness = found.error.astype(float).sum(axis=-1)
    assert brightness[difference.argmax() // 32, difference.argmax() % 32] == brightness.max() > brightness.min()


def test_scenes_without_points_show_none(scene_folder):
    import neus

    assert points_in_scene(neus.load_scene(scene_folder)) is None
