import shutil

import numpy as np
import pytest
import torch

import neus
from neus.errors import InputError
from neus.runs.config import config_text
from neus.training.checkpoint import published_checkpoint, read_checkpoint


def test_the_library_offers_what_its_users_begin_with(scene_folder, trained_run):
    scene, model = neus.load_scene(scene_folder), neus.load_model(trained_run)
    assert len(scene) == 4 and scene.masks is not None
    camera = scene.camera(0)
    points = camera.center.float() + camera.forward.float() * torch.linspace(1, 4, 5).unsqueeze(-1)
    assert model.sdf(points).shape == (5,)
    seen = model.render(camera.center.float().unsqueeze(0), camera.forward.float().unsqueeze(0))
    assert seen.rgb.shape == (1, 3)
    with pytest.raises(AttributeError, match="no attribute 'load_mesh'"):
        _ = neus.load_mesh


def test_a_run_folder_stands_for_its_newest_checkpoint(trained_run):
    by_folder = neus.load_model(trained_run)
    by_file = neus.load_model(str(trained_run / "checkpoints" / "ckpt_000006.pth"))
    older = neus.load_model(trained_run / "checkpoints" / "ckpt_000003.pth")
    weights = [m.state_dict()["sdf_network.lin0.weight_v"] for m in (by_folder, by_file, older)]
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])
    assert not by_folder.training


def test_our_checkpoints_carry_their_scene(trained_run, scene_folder):
    model, scene = neus.load_model(trained_run), neus.load_scene(scene_folder)
    assert torch.equal(model.scene_to_world, scene.scene_to_world) and torch.equal(model.box, scene.box)


def test_settings_reach_the_reader(scene_folder, tmp_path):
    folder = shutil.copytree(scene_folder, tmp_path / "scene")
    (folder / "cameras_sphere.npz").rename(folder / "other.npz")
    with pytest.raises(InputError, match="no known layout"):
        neus.load_scene(folder)
    scene = neus.load_scene(folder, render_cameras_name="other.npz", object_cameras_name="other.npz")
    assert np.array_equal(scene.images[0], neus.load_scene(scene_folder).images[0])


def test_an_unknown_setting_is_refused(scene_folder):
    with pytest.raises(InputError, match="unknown key dataset.colour"):
        neus.load_scene(scene_folder, colour="red")


def test_a_published_run_folder_gives_its_recorded_conf(trained_run, tiny_config, tmp_path):
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "recording").mkdir()
    content = read_checkpoint(trained_run / "checkpoints" / "ckpt_000006.pth")
    torch.save(published_checkpoint(content), tmp_path / "checkpoints" / "ckpt_000006.pth")
    (tmp_path / "recording" / "config.conf").write_text(config_text(tiny_config))
    model = neus.load_model(tmp_path)
    ours = neus.load_model(trained_run)
    assert all(torch.equal(value, ours.state_dict()[name]) for name, value in model.state_dict().items())
    assert model.scene_to_world is None
    (tmp_path / "recording" / "config.conf").unlink()
    with pytest.raises(InputError, match="does not know its config"):
        neus.load_model(tmp_path)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("nowhere", "nowhere: no such run folder or checkpoint"),
        ("nowhere.pth", "nowhere.pth: no such run folder or checkpoint"),
        ("", "no checkpoint yet"),
    ],
)
def test_a_missing_model_is_named(tmp_path, source, said):
    with pytest.raises(InputError, match=said):
        neus.load_model(tmp_path / source)


def test_a_missing_scene_is_named(tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        neus.load_scene(tmp_path / "nowhere")
