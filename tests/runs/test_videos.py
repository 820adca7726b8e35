from pathlib import Path

import numpy as np
import pytest
import torch

from neus.errors import InputError
from neus.geometry.cameras import Camera
from neus.rendering.views import RenderedView
from neus.runs import videos as views
from neus.runs.run import Run
from neus.runs.videos import images_of, write_video


def test_a_run_knows_its_scene(trained_run, scene_folder):
    scene = Run(trained_run).scene()
    assert len(scene) == 4 and scene.source == scene_folder.resolve()
    assert len(Run(trained_run, scene_folder).scene()) == 4


def test_what_is_not_there_is_asked_for(trained_run, tmp_path):
    with pytest.raises(InputError, match="no checkpoint yet"):
        Run(tmp_path).scene()
    with pytest.raises(InputError, match="none: no such folder"):
        Run(trained_run, tmp_path / "none").scene()


def test_images_by_name():
    plane = torch.ones(4, 6)
    seen = RenderedView(torch.zeros(4, 6, 3), plane, 0.5 * plane, plane, plane, torch.zeros(4, 6, 3))
    camera = Camera(torch.eye(3, dtype=torch.float64), torch.eye(4, dtype=torch.float64), 6, 4)
    images = images_of(seen, camera, ["opacity", "rgb", "depth", "normal"])
    assert list(images) == ["opacity", "rgb", "depth", "normal"]
    assert all(p.shape == (4, 6, 3) and p.dtype == np.uint8 for p in images.values())
    assert (images["opacity"] == 128).all() and (images["rgb"] == 0).all()


def test_an_error_while_rendering_leaves_no_half_video(tmp_path):
    def frames():
        yield np.zeros((16, 16, 3), np.uint8)
        raise InputError("the model fell over.")

    with pytest.raises(InputError, match="fell over"):
        write_video(tmp_path / "a.mp4", frames(), 16, 16)
    assert not list(Path(tmp_path).iterdir())


def test_a_video_that_the_encoder_cut_short_is_no_video(tmp_path, monkeypatch):
    monkeypatch.setattr(views, "_frames_in", lambda path: 1)
    with pytest.raises(InputError, match="x.mp4: cannot be written"):
        write_video(tmp_path / "x.mp4", [np.zeros((32, 32, 3), np.uint8)] * 3, 32, 32)
    assert not list(tmp_path.iterdir())
