"""How often the CPU would wait for a GPU in an iteration: counted by the operations that need a result, on any device."""

from dataclasses import replace

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from neus.kernels.dispatch import VARIABLE
from neus.rendering.sdf_grid import SdfGrid
from neus.runs.build import model_for_scene
from neus.scenes.readers import read_scene
from neus.training.config import GuidedSamplingConfig
from neus.training.trainer import Trainer
from tests.kernels.backends import HAS_GPU, NEEDS_TRITON

aten = torch.ops.aten
# Their results are numbers or sizes that the CPU needs to go on.
SYNCING = (aten._local_scalar_dense.default, aten.nonzero.default, aten.masked_select.default)


class HostSyncs(TorchDispatchMode):
    """Counts what is asked of tensors of numbers; counts of levels and views are whole numbers, which stay on the CPU."""

    def __init__(self) -> None:
        super().__init__()
        self.n = 0

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        is_mask = function is aten.index.Tensor and any(i is not None and i.dtype == torch.bool for i in arguments[1])
        if is_mask or (function in SYNCING and arguments[0].dtype != torch.int64):
            self.n += 1
        return function(*arguments, **(options or {}))


def syncs_of_a_step(trainer: Trainer) -> int:
    trainer._step()  # what is made once is made
    trainer.optimizer.step = lambda: None  # torch's own: it asks for its number of steps, which stays on the CPU
    with HostSyncs() as syncs:
        trainer._step()
    return syncs.n


def test_host_syncs_are_counted():
    numbers = torch.arange(3.0)
    with HostSyncs() as syncs:
        assert bool(numbers[1] > 0.5) and len(numbers[numbers > 0.5]) == 2 and int(torch.tensor(3)) == 3
    assert syncs.n == 2


def test_a_sampled_iteration_syncs_once(tiny_config, scene_folder):
    scene = read_scene(scene_folder)
    assert syncs_of_a_step(Trainer(model_for_scene(tiny_config, scene), scene, tiny_config.train)) == 1


@NEEDS_TRITON
@pytest.mark.parametrize(
    "settings",
    [{"mask_weight": 0.0, "n_outside": 4}, {"mask_weight": 0.1}, {"mask_weight": 0.1, "curvature_weight": 0.02}],
)
def test_a_guided_iteration_syncs_once(tiny_hash_config, scene_folder, settings, monkeypatch):
    if HAS_GPU:
        pytest.skip("Triton is interpreted only where there is no GPU")
    monkeypatch.setenv(VARIABLE, "gpu")
    color = replace(tiny_hash_config.model.rendering_network, weight_norm=False)
    guided, settings = GuidedSamplingConfig(n_intervals=6, initial_shape=False), {"n_outside": 0, **settings}
    renderer = replace(tiny_hash_config.model.neus_renderer, n_outside=settings.pop("n_outside"))
    config = replace(
        tiny_hash_config,
        model=replace(tiny_hash_config.model, rendering_network=color, neus_renderer=renderer),
        train=replace(tiny_hash_config.train, guided_sampling=guided, **settings),
    )
    scene = read_scene(scene_folder)
    trainer = Trainer(model_for_scene(config, scene), scene, config.train)
    trainer.steps.sdf_grid = SdfGrid(torch.full((33, 33, 33), 0.1))
    # Between two refreshes; they and notes are done in its own way on a CPU.
    trainer.iteration, trainer.steps.sdf_grid.update = 1, lambda seen: None
    assert trainer.steps.is_fused and syncs_of_a_step(trainer) == 1
