from dataclasses import replace

import pytest
import torch

from neus.errors import InputWarning
from neus.kernels.dispatch import VARIABLE
from neus.rendering.sdf_grid import SdfGrid
from neus.runs.build import model_for_scene, placed
from neus.scenes.readers import read_scene
from neus.training import cuda_graphs
from neus.training.config import GuidedSamplingConfig
from neus.training.cuda_graphs import CapturedGraph
from neus.training.trainer import Trainer
from tests.kernels.backends import HAS_GPU, NEEDS_TRITON, on_gpu
from tests.training.test_trainer import nan_loss, parameters, same, spoiled


def tensors_in(results):
    if isinstance(results, torch.Tensor):
        return [results]
    parts = vars(results).values() if hasattr(results, "__dict__") else results
    return [] if results is None else [tensor for part in parts for tensor in tensors_in(part)]


class Again:
    """Records on a CPU as a GPU does: the results' memory is there from the recording on, their values come with each replay."""

    def __init__(self):
        self.n_captures, self.errors = 0, []

    def record(self, function):
        self.n_captures += 1
        if self.errors:
            raise self.errors.pop()
        results = function()

        def replay():
            for memory, value in zip(tensors_in(results), tensors_in(function()), strict=True):
                memory.detach().copy_(value.detach())

        for tensor in tensors_in(results):
            tensor.detach().fill_(torch.nan)
        return results, replay


def doubled(x, y):
    return 2.0 * x, [x.sum() + y, None]


ONE = torch.tensor(1.0)


def test_a_recorded_function_follows_its_inputs_in_the_same_memory():
    capture = Again()
    captured, places = CapturedGraph(doubled, capture), []
    for start in (0.0, 3.0):
        x = torch.arange(start, start + 4.0)
        twice, (total, nothing) = captured(x, ONE)
        assert torch.equal(twice, 2.0 * x) and total == x.sum() + 1.0 and nothing is None
        places.append((twice.data_ptr(), total.data_ptr()))
    assert capture.n_captures == 1 and places[0] == places[1]


def test_the_callers_tensors_are_not_kept():
    captured, x = CapturedGraph(doubled, Again()), torch.ones(3)
    captured(x, ONE)
    captured(torch.zeros(3), ONE)
    assert x.tolist() == [1.0, 1.0, 1.0]


def test_other_shapes_and_types_are_recorded_anew():
    capture = Again()
    captured = CapturedGraph(doubled, capture)
    for x in (torch.ones(4), torch.ones(2), torch.ones(2), torch.ones(2, dtype=torch.float64)):
        assert torch.equal(captured(x, ONE)[0], 2.0 * x)
    assert capture.n_captures == 3


def test_what_cannot_be_recorded_is_called_as_it_is_and_one_line_says_so():
    capture = Again()
    captured = CapturedGraph(doubled, capture)
    capture.errors.append(RuntimeError("operation not permitted when stream is capturing\nand more"))
    with pytest.warns(InputWarning) as caught:
        assert torch.equal(captured(torch.ones(2), ONE)[0], torch.full((2,), 2.0))
    assert [str(w.message) for w in caught] == [
        "the step cannot be recorded (operation not permitted when stream is capturing); training continues without."
    ]
    for n in (2, 5):
        assert torch.equal(captured(torch.ones(n), ONE)[0], torch.full((n,), 2.0))
    assert capture.n_captures == 1


def test_another_variant_is_recorded_anew():
    capture, factor = Again(), [1.0]
    captured = CapturedGraph(lambda x: factor[0] * x, capture)
    for factor[0] in (1.0, 2.0, 2.0, 1.0):
        assert torch.equal(captured(torch.ones(2), key=factor[0]), factor[0] * torch.ones(2))
    assert capture.n_captures == 3


@pytest.mark.parametrize("is_masked", [False, True])
def test_want_of_memory_is_passed_on_and_the_next_call_records(is_masked):
    capture = Again()
    captured = CapturedGraph(doubled, capture)
    error = torch.OutOfMemoryError("CUDA out of memory.")
    if is_masked:
        masked = RuntimeError("operation failed due to a previous error during capture")
        error, masked.__context__ = masked, error
    capture.errors.append(error)
    with pytest.raises(torch.OutOfMemoryError):
        captured(torch.ones(4), ONE)
    assert torch.equal(captured(torch.ones(2), ONE)[0], torch.full((2,), 2.0)) and capture.n_captures == 2


@pytest.fixture
def make_trainer(tiny_config, scene_folder):
    def make(device="cpu", n_outside=0, with_masks=True, **changes):
        renderer = replace(tiny_config.model.neus_renderer, n_outside=n_outside)
        if not with_masks:
            changes["mask_weight"] = 0.0
        config = replace(
            tiny_config,
            model=replace(tiny_config.model, neus_renderer=renderer),
            train=replace(tiny_config.train, **changes),
        )
        scene = read_scene(scene_folder)
        scene = scene if with_masks else replace(scene, masks=None)
        model = placed(model_for_scene(config, scene), torch.device(device))
        return Trainer(model, scene, config.train, on_message=lambda text: None)

    return make


@pytest.fixture
def capture(monkeypatch):
    """Steps on a CPU are recorded by it."""
    made = Again()
    monkeypatch.setattr(cuda_graphs, "why_not_captured", lambda model: "")
    monkeypatch.setattr(cuda_graphs, "CudaGraphs", lambda device: made)
    return made


@pytest.mark.parametrize("settings", [{}, {"n_outside": 4}, {"with_masks": False}])
def test_recorded_training_is_the_same_training(make_trainer, capture, settings):
    plain, captured = make_trainer(**settings), make_trainer(cuda_graphs=True, **settings)
    for trainer in (plain, captured):
        trainer.run([])
    assert capture.n_captures == 1 and same(parameters(plain), parameters(captured))
    assert torch.equal(plain.generator.get_state(), captured.generator.get_state())


def test_a_recorded_step_knows_of_annealing(make_trainer, capture):
    annealed, captured = make_trainer(anneal_end=6), make_trainer(anneal_end=6, cuda_graphs=True)
    losses = []
    for trainer in (annealed, captured):
        losses.append([])
        trainer.run([lambda t, terms: losses[-1].append(float(terms.total.detach()))])
    # 1 - cos_anneal is rounded to single precision where it is a tensor.
    assert losses[0] == pytest.approx(losses[1], rel=1e-5) and capture.n_captures == 1


def test_recorded_training_recovers_from_numbers_that_are_not_finite(make_trainer, capture, monkeypatch):
    trainer = make_trainer(cuda_graphs=True)
    spoiled(monkeypatch, {4}, nan_loss)
    trainer.run([])
    assert trainer.rollbacks == 1 and trainer.iteration == 6
    assert all(p.isfinite().all() for p in trainer.model.parameters())


def test_fewer_rays_are_recorded_anew(make_trainer, capture):
    trainer = make_trainer(cuda_graphs=True, end_iter=2, batch_size=16)
    capture.errors.append(torch.OutOfMemoryError("CUDA out of memory."))
    trainer.run([])
    assert trainer.iteration == 2 and trainer.steps.batch_size == 8 and capture.n_captures == 2


def test_where_nothing_is_recorded_a_line_says_why(make_trainer, tiny_hash_config, scene_folder):
    with pytest.warns(InputWarning, match="train.cuda_graphs has no effect: the model is on cpu"):
        assert make_trainer(cuda_graphs=True).steps.captured is None
    scene, guided = read_scene(scene_folder), GuidedSamplingConfig(n_intervals=6, initial_shape=False)
    config = replace(tiny_hash_config.train, guided_sampling=guided, cuda_graphs=True)
    plain = pytest.warns(InputWarning, match="training takes the slower, plain step")
    with plain, pytest.warns(InputWarning, match="train.cuda_graphs has no effect: the step is not fused"):
        Trainer(model_for_scene(tiny_hash_config, scene), scene, config)


@pytest.fixture
def guided_trainer(tiny_hash_config, scene_folder):
    def make(device="cpu", mask_weight=0.1, n_outside=0, **changes):
        color = replace(tiny_hash_config.model.rendering_network, weight_norm=False)
        renderer = replace(tiny_hash_config.model.neus_renderer, n_outside=n_outside)
        guided = GuidedSamplingConfig(n_intervals=6, initial_shape=False, batch_growth=2, batch_growth_at=0.5)
        config = replace(
            tiny_hash_config,
            model=replace(tiny_hash_config.model, rendering_network=color, neus_renderer=renderer),
            train=replace(tiny_hash_config.train, guided_sampling=guided, mask_weight=mask_weight, batch_size=32, **changes),
        )
        scene = read_scene(scene_folder)
        model = placed(model_for_scene(config, scene), torch.device(device))
        trainer = Trainer(model, scene, config.train, on_message=lambda text: None)
        values = torch.full((17, 17, 17), 0.1, device=device)
        trainer.steps.sdf_grid, trainer._has_begun = SdfGrid(values), True
        return trainer

    return make


@NEEDS_TRITON
@pytest.mark.parametrize("settings", [{"mask_weight": 0.1}, {"mask_weight": 0.0, "n_outside": 4}])
def test_a_recorded_fused_step_is_the_same_step(guided_trainer, capture, monkeypatch, settings):
    if HAS_GPU:
        pytest.skip("Triton is interpreted only where there is no GPU")
    monkeypatch.setenv(VARIABLE, "gpu")
    plain, captured = guided_trainer(**settings), guided_trainer(cuda_graphs=True, **settings)
    terms = []
    for trainer in (plain, captured):
        terms.append([])
        trainer.run([lambda t, found: terms[-1].append(found.named())])
    # Levels are switched on in the 3rd, 5th and 6th iteration, and from the 4th on there are twice as many rays.
    assert capture.n_captures == 5
    for expected, found in zip(*terms, strict=True):
        assert found == pytest.approx(expected, rel=1e-5, abs=1e-6)
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(parameters(plain), parameters(captured), strict=True))


@on_gpu
@pytest.mark.parametrize("precision", ["float32", "tf32", "bfloat16"])
def test_a_fused_step_recorded_by_a_gpu_is_the_same_step(guided_trainer, precision, recwarn):
    found = []
    for is_captured in (False, True):
        trainer, losses = guided_trainer("cuda", cuda_graphs=is_captured, precision=precision), []
        trainer.run([lambda t, terms, to=losses: to.append(float(terms.total))])
        found.append(losses)
    assert not [w for w in recwarn if "cannot be recorded" in str(w.message)]
    assert found[0] == pytest.approx(found[1], rel=1e-2)


@on_gpu
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("n_outside", [0, 4])
def test_training_recorded_by_a_gpu_is_the_same_training(make_trainer, precision, n_outside, recwarn):
    settings = {"device": "cuda", "n_outside": n_outside, "precision": precision, "anneal_end": 6}
    found = []
    for is_captured in (False, True):
        trainer, losses = make_trainer(cuda_graphs=is_captured, **settings), []
        trainer.run([lambda t, terms, to=losses: to.append(float(terms.total.detach()))])
        found.append(losses)
    assert not [w for w in recwarn if "cannot be recorded" in str(w.message)]
    assert found[0] == pytest.approx(found[1], rel=1e-3)
