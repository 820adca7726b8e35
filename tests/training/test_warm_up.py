from dataclasses import replace

import pytest
import torch

from neus.runs.build import model_for_scene
from neus.scenes.readers import read_scene
from neus.training.config import GuidedSamplingConfig
from neus.training.trainer import Trainer


@pytest.mark.parametrize("n_intervals", [0, 6])
def test_compiling_the_kernels_changes_no_number_of_the_training(tiny_hash_config, scene_folder, n_intervals):
    results, model = [], tiny_hash_config.model
    model = replace(model, rendering_network=replace(model.rendering_network, weight_norm=False))
    guided = GuidedSamplingConfig(n_intervals=n_intervals, initial_shape=False)
    config = replace(tiny_hash_config, model=model, train=replace(tiny_hash_config.train, guided_sampling=guided))
    for prepares in (False, True):
        scene = read_scene(scene_folder)
        trainer = Trainer(model_for_scene(config, scene), scene, config.train)
        if prepares:
            assert trainer.prepare() > 0
            assert all(p.grad is None for p in trainer.model.parameters()) and trainer.iteration == 0
        trainer.run([])
        results.append(trainer.model.state_dict())
    assert all(torch.equal(results[0][name], results[1][name]) for name in results[0])
