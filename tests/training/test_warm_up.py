import torch

from neus.runs.build import model_for_scene
from neus.scenes.readers import read_scene
from neus.training.trainer import Trainer


def test_compiling_the_kernels_changes_no_number_of_the_training(tiny_hash_config, scene_folder):
    results = []
    for prepares in (False, True):
        scene = read_scene(scene_folder)
        trainer = Trainer(model_for_scene(tiny_hash_config, scene), scene, tiny_hash_config.train)
        if prepares:
            assert trainer.prepare() > 0
            assert all(p.grad is None for p in trainer.model.parameters()) and trainer.iteration == 0
        trainer.run([])
        results.append(trainer.model.state_dict())
    assert all(torch.equal(results[0][name], results[1][name]) for name in results[0])
