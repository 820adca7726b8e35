from dataclasses import replace

import pytest
import torch

from neus.datasets.readers import read_scene
from neus.errors import InputError, InputWarning
from neus.experiment.build import model_for_scene
from neus.training.checkpoint import read_checkpoint
from neus.training.config import MarchConfig
from neus.training.steps import MarchedSteps, SampledSteps
from neus.training.trainer import Trainer

MARCH = MarchConfig(n_sections=6, first_shape=False)


@pytest.fixture(scope="module")
def scene(scene_folder):
    return read_scene(scene_folder)


@pytest.fixture
def marched_config(tiny_hash_config):
    color = replace(tiny_hash_config.model.rendering_network, weight_norm=False)
    return replace(
        tiny_hash_config,
        model=replace(tiny_hash_config.model, rendering_network=color),
        train=replace(tiny_hash_config.train, batch_size=64, march=MARCH),
    )


@pytest.fixture
def make_trainer(scene, marched_config):
    def make(march=MARCH, scene=scene, **changes):
        config = replace(marched_config, train=replace(marched_config.train, march=march, **changes))
        return Trainer(model_for_scene(config, scene), scene, config.train, on_message=lambda text: None)

    return make


def states(trainer):
    return trainer.model.state_dict()


def test_sections_choose_the_steps(make_trainer):
    assert isinstance(make_trainer().steps, MarchedSteps)
    assert isinstance(make_trainer(march=MarchConfig()).steps, SampledSteps)


def test_marched_training_gives_the_same_numbers_twice(make_trainer):
    first, second = make_trainer(), make_trainer()
    first.run([])
    second.run([])
    assert all(torch.equal(a, b) for a, b in zip(states(first).values(), states(second).values(), strict=True))


def test_marched_training_moves_every_part_of_the_model(make_trainer):
    trainer = make_trainer()
    before = {name: value.clone() for name, value in states(trainer).items()}
    trainer.run([])
    for name, value in states(trainer).items():
        if not name.startswith("nerf") and not name.endswith("n_active"):
            assert not torch.equal(before[name], value), name


def test_a_resumed_marched_run_goes_on_to_the_same_numbers(make_trainer, tmp_path):
    whole, half = make_trainer(), make_trainer()
    whole.run([])
    half.run([lambda trainer, terms: trainer.iteration == 3 and trainer.stop()])
    half.save(tmp_path / "half.pth", {"config": {}, "scene": {}, "run": {}})
    resumed = make_trainer()
    resumed.load(read_checkpoint(tmp_path / "half.pth"), tmp_path / "half.pth")
    resumed.run([])
    assert all(torch.equal(a, b) for a, b in zip(states(whole).values(), states(resumed).values(), strict=True))


def test_a_sampled_run_cannot_be_resumed_as_a_marched_one(make_trainer, tmp_path):
    sampled = make_trainer(march=MarchConfig())
    sampled.run([])
    sampled.save(tmp_path / "sampled.pth", {"config": {}, "scene": {}, "run": {}})
    with pytest.raises(InputError, match="n_sections"):
        make_trainer().load(read_checkpoint(tmp_path / "sampled.pth"), tmp_path / "sampled.pth")


def test_the_plain_step_is_taken_with_a_warning_where_kernels_are_off(make_trainer, monkeypatch):
    fused = make_trainer(end_iter=2, warm_up_end=0)
    fused.run([])
    monkeypatch.setenv("NEUS_KERNELS", "reference")
    with pytest.warns(InputWarning, match="slower, plain step"):
        plain = make_trainer(end_iter=2, warm_up_end=0)
    assert not plain.steps.is_fused
    plain.run([])
    for name, value in states(fused).items():
        # Adam's first steps are as long for a gradient of rounding errors as for any other: most agree, not all.
        is_same = torch.isclose(value.float(), states(plain)[name].float(), atol=1e-5)
        assert is_same.float().mean() > 0.95, name


def test_batches_grow_when_it_is_time(make_trainer):
    trainer = make_trainer(march=replace(MARCH, growth=3, growth_at=0.5), end_iter=6)
    trainer.run([])
    assert trainer.steps.n_rays == 64 * (3 + 3 * 3)


def test_the_first_shape_is_taken_and_pulled_at_for_a_while(make_trainer):
    trainer = make_trainer(march=replace(MARCH, first_shape=True, anchor_until=0.5), end_iter=4)
    pulls = []
    trainer.run([lambda t, terms: pulls.append(float(terms.anchor))])
    assert trainer.steps.first_shape.shape == (128, 128, 128)
    assert pulls[0] > 0.0 and pulls[-1] == 0.0
    # The centre of the cup's table is matter in the hull; far corners are not.
    assert trainer.steps.first_shape[0, 0, 0] > 0.5


def test_marched_training_without_masks_takes_every_ray(make_trainer, scene):
    blind = replace(scene, masks=None)
    trainer = make_trainer(scene=blind, mask_weight=0.0)
    trainer.run([])
    assert trainer.iteration == 6
