from dataclasses import replace

import pytest
import torch

from neus.datasets.readers import read_scene
from neus.errors import InputError
from neus.experiment.build import build_model, model_for_scene, pick_device, scene_facts, take_scene_facts


def test_a_seed_gives_the_same_model_and_leaves_global_randomness_alone(tiny_config):
    state = torch.get_rng_state()
    one, same, other = (build_model(tiny_config.model, seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["sdf_network.lin0.weight_v"], other["sdf_network.lin0.weight_v"])
    assert torch.equal(state, torch.get_rng_state())


def test_a_model_knows_frame_and_box_of_its_scene(tiny_config, scene_folder):
    scene = read_scene(scene_folder)
    model = model_for_scene(tiny_config, scene)
    assert torch.equal(model.scene_to_world, scene.scene_to_world) and torch.equal(model.box, scene.box)
    assert model.background is None
    facts = scene_facts(model)
    other = build_model(tiny_config.model)
    take_scene_facts(other, facts)
    assert torch.equal(other.scene_to_world, scene.scene_to_world) and torch.equal(other.box, scene.box)


def test_white_background_of_the_conf_and_of_the_scene(tiny_config, scene_folder):
    scene = read_scene(scene_folder)
    white = replace(tiny_config, train=replace(tiny_config.train, use_white_bkgd=True))
    assert torch.equal(model_for_scene(white, scene).background, torch.ones(3))
    gray = replace(scene, background=torch.full((3,), 0.5))
    assert torch.equal(model_for_scene(tiny_config, gray).background, torch.full((3,), 0.5))


def test_devices_by_name():
    assert pick_device("cpu") == torch.device("cpu")
    assert pick_device("auto").type in ("cpu", "cuda", "mps")


@pytest.mark.parametrize("name", ["gpu", "cuda:x", "cpu:-1", "", "tpu:0"])
def test_an_unknown_device_is_refused(name):
    with pytest.raises(InputError, match=r"--device .*: expected auto, cpu, cuda, cuda:N or mps"):
        pick_device(name)


def test_a_device_that_is_not_there_is_refused():
    with pytest.raises(InputError, match=r"--device cuda:99: not on this machine"):
        pick_device("cuda:99")
    with pytest.raises(InputError, match=r"--device cpu:1: not on this machine"):
        pick_device("cpu:1")
