"""Images to a textured model in one command."""

import json

import pytest
import trimesh

from neus.errors import InputError
from neus.workflows.reconstruct import reconstruct
from tests.capture import corner


def test_another_format_is_refused_before_any_image_is_read(tmp_path):
    with pytest.raises(InputError, match=r"unknown model format; name the file \.glb"):
        reconstruct(tmp_path / "none", tmp_path / "model.fbx")


def test_images_that_are_not_there_are_named(tmp_path):
    with pytest.raises(InputError, match="none"):
        reconstruct(tmp_path / "none", tmp_path / "model.glb", run=tmp_path / "run")
    assert not (tmp_path / "model.glb").exists()


@pytest.mark.slow
def test_images_become_a_textured_model_and_too_little_time_keeps_the_poses(tmp_path):
    """The corner of a room, of known walls: the capture is kept when no time is left, and used by the next call."""
    corner.write(tmp_path / "corner", 8)
    with pytest.raises(InputError, match="the posed scene is kept"):
        reconstruct(tmp_path / "corner", tmp_path / "model.glb", minutes=0.5, run=tmp_path / "run")
    assert (tmp_path / "run" / "scene" / "capture.json").is_file() and not (tmp_path / "model.glb").exists()
    result = reconstruct(tmp_path / "corner", tmp_path / "model.glb", minutes=1.5, faces=5000, run=tmp_path / "run")
    assert result.capture.was_done and len(result.capture.registered) == 8
    mesh = trimesh.load(tmp_path / "model.glb", force="mesh")
    assert 500 < len(mesh.faces) < 7000 and mesh.visual.uv is not None
    assert result.texture.difference.levels < 20.0
    facts = json.loads((tmp_path / "run" / "reconstruction.json").read_text())
    assert facts["registered"] == 8 and set(facts["seconds"]) == {"capture", "training", "texture"}
