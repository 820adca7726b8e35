import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from neus.errors import InputError
from neus.runs.build import model_for_scene
from neus.runs.run_folder import RunFolder
from neus.runs.train import train
from neus.scenes.readers import read_scene
from neus.training import hierarchical_training as steps_module
from neus.training import trainer as trainer_module
from neus.training.checkpoint import checkpoints_in, read_checkpoint
from neus.training.metrics import read_metrics
from neus.training.step import training_step
from neus.training.trainer import MAX_ROLLBACKS, ROLLBACK_RATE_FACTOR, Trainer, TrainingDiverged
from tests.test_oracle import assert_same


@pytest.fixture
def scene(scene_folder):
    return read_scene(scene_folder)


@pytest.fixture
def make_trainer(tiny_config, scene):
    """Trainers from the same start; their messages are in `messages`."""

    def make(**changes):
        config = replace(tiny_config, train=replace(tiny_config.train, **changes))
        messages = []
        trainer = Trainer(model_for_scene(config, scene), scene, config.train, messages.append)
        trainer.messages = messages
        return trainer

    return make


def parameters(trainer):
    return [p.detach().clone() for p in trainer.model.parameter_list()]


def same(one, other):
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def spoiled(monkeypatch, when, spoil):
    """Makes the training steps whose number is in `when` not finite."""
    calls = iter(range(10**6))

    def step(model, *arguments):
        terms = training_step(model, *arguments)
        return spoil(model, terms) if next(calls) in when else terms

    monkeypatch.setattr(steps_module, "training_step", step)


def nan_loss(model, terms):
    nan = terms.color * float("nan")
    return replace(terms, total=terms.total + nan, color=nan)


def infinite_gradient(model, terms):
    # The root of zero: a fine value with an infinite slope.
    return replace(terms, total=terms.total + (model.sdf_network.lin1.bias[0] * 0.0).sqrt())


def test_training_runs_to_the_end_and_calls_hooks_after_each_iteration(make_trainer):
    trainer, seen = make_trainer(), []
    before = parameters(trainer)
    trainer.run([lambda t, terms: seen.append((t.iteration, terms.total.item()))])
    assert [i for i, _ in seen] == [1, 2, 3, 4, 5, 6]
    assert not trainer.stopped and not same(before, parameters(trainer))
    assert trainer.rays_per_second() > 0


def test_the_first_step_of_a_warm_up_moves_nothing(make_trainer):
    trainer = make_trainer(end_iter=1)
    before = parameters(trainer)
    trainer.run([])
    assert same(before, parameters(trainer))


def test_the_same_seed_gives_the_same_numbers_and_another_does_not(make_trainer):
    runs = {}
    for name, seed in (("one", 3), ("same", 3), ("other", 4)):
        trainer = make_trainer(seed=seed)
        trainer.run([])
        runs[name] = parameters(trainer)
    assert same(runs["one"], runs["same"]) and not same(runs["one"], runs["other"])


def test_global_randomness_neither_matters_nor_changes(make_trainer):
    torch.manual_seed(1)
    first = make_trainer()
    first.run([])
    torch.manual_seed(2)
    state = torch.get_rng_state()
    second = make_trainer()
    second.run([])
    assert same(parameters(first), parameters(second))
    assert torch.equal(state, torch.get_rng_state())


def test_every_view_is_seen_once_in_each_round(make_trainer, monkeypatch):
    views, rays = [], steps_module.random_rays
    monkeypatch.setattr(
        steps_module, "random_rays", lambda scene, view, *a: (views.append(view), rays(scene, view, *a))[1]
    )
    make_trainer(end_iter=12).run([])
    assert [sorted(views[i : i + 4]) for i in (0, 4, 8)] == [[0, 1, 2, 3]] * 3
    assert views[:4] != views[4:8] or views[4:8] != views[8:]


def test_stop_ends_training_after_the_present_iteration(make_trainer):
    trainer = make_trainer()
    trainer.run([lambda t, terms: t.iteration == 2 and t.stop()])
    assert trainer.stopped and trainer.iteration == 2


def test_masks_are_asked_for_by_a_mask_loss(make_trainer, scene, tiny_config):
    blind = replace(scene, masks=None)
    with pytest.raises(InputError, match="train.mask_weight is 0.1 but the scene has no masks"):
        Trainer(model_for_scene(tiny_config, blind), blind, tiny_config.train)
    config = replace(tiny_config, train=replace(tiny_config.train, mask_weight=0.0, end_iter=1))
    Trainer(model_for_scene(config, blind), blind, config.train).run([])


@pytest.mark.parametrize(
    ("spoil", "what"), [(nan_loss, "the color loss"), (infinite_gradient, "the gradient of sdf_network")]
)
def test_a_step_that_is_not_finite_is_named_and_training_goes_on_with_smaller_steps(
    make_trainer, monkeypatch, spoil, what
):
    trainer = make_trainer()
    start = parameters(trainer)
    rates, full_rate = [], trainer.config.learning_rate
    spoiled(monkeypatch, {4}, spoil)

    def after_recovery(t, terms):
        rates.append(t.learning_rate)
        assert t.messages or t.iteration <= 4
        if t.messages and t.iteration == 1:
            assert same(start, parameters(t)), "back at the good state, then a first step of the warm-up, which is zero"

    trainer.run([after_recovery])
    assert trainer.iteration == 6 and trainer.rollbacks == 1
    (message,) = trainer.messages
    assert what in message and "iteration 4" in message and "from iteration 0" in message
    assert len(rates) == 4 + 6 and all(p.isfinite().all() for p in trainer.model.parameters())
    assert rates[4] == pytest.approx(rates[0] * ROLLBACK_RATE_FACTOR) and trainer.lr_scale == ROLLBACK_RATE_FACTOR
    assert max(rates[4:]) <= full_rate * ROLLBACK_RATE_FACTOR


def test_good_states_are_kept_on_the_way(make_trainer, monkeypatch):
    monkeypatch.setattr(trainer_module, "ITERATIONS_BETWEEN_SNAPSHOTS", 2)
    trainer = make_trainer()
    spoiled(monkeypatch, {5}, nan_loss)
    trainer.run([])
    assert "continuing from iteration 4" in trainer.messages[0] and trainer.iteration == 6


def test_optimizer_moments_go_back_with_the_parameters(make_trainer, monkeypatch):
    trainer = make_trainer(end_iter=3)
    trainer.run([])
    trainer._last_snapshot = trainer._snapshot()
    good = [trainer.optimizer.state[p]["exp_avg"].clone() for p in trainer.model.sdf_network.parameters()]
    trainer.config = replace(trainer.config, end_iter=5)
    spoiled(monkeypatch, {1}, nan_loss)
    seen = []
    monkeypatch.setattr(trainer, "on_message", lambda text: seen.append(
        [trainer.optimizer.state[p]["exp_avg"].clone() for p in trainer.model.sdf_network.parameters()]
    ))  # fmt: skip
    trainer.run([])
    assert same(seen[0], good)


def test_training_that_is_never_finite_stops_and_says_so(make_trainer, monkeypatch):
    trainer = make_trainer()
    spoiled(monkeypatch, range(4, 10**6), nan_loss)
    with pytest.raises(
        TrainingDiverged, match=r"color loss is not finite.*4th time.*lower train.learning_rate.*--resume"
    ):
        trainer.run([])
    assert len(trainer.messages) == MAX_ROLLBACKS


def test_after_divergence_the_last_checkpoint_is_intact(tiny_config, tmp_path, monkeypatch):
    spoiled(monkeypatch, range(4, 10**6), nan_loss)
    run = RunFolder(tmp_path / "run")
    with pytest.raises(TrainingDiverged):
        train(tiny_config, run, device="cpu")
    monkeypatch.undo()
    content = read_checkpoint(run.latest_checkpoint())
    assert content["iter_step"] == 3
    assert train(tiny_config, run, resume=True, device="cpu").iteration == 6


def test_a_nan_in_the_network_is_named_and_recovered_from(make_trainer):
    trainer = make_trainer()
    assert trainer.steps.weights.mask > 0

    def poison(trainer, terms):
        if trainer.iteration == 4 and not trainer.rollbacks:
            trainer.model.sdf_network.lin0.bias.data[0] = torch.nan

    trainer.run([poison])
    assert trainer.iteration == 6 and trainer.rollbacks == 1
    assert "color and eikonal and mask loss is not finite in iteration 4" in trainer.messages[0]
    assert all(p.isfinite().all() for p in trainer.model.parameters())


def test_a_checkpoint_whose_next_step_is_not_finite_is_removed(tiny_config, tmp_path):
    def poison(trainer, terms):
        if trainer.iteration == 2:
            trainer.model.sdf_network.lin0.bias.data[0] = torch.nan

    config = replace(tiny_config, train=replace(tiny_config.train, save_freq=1))
    run = RunFolder(tmp_path / "run")
    # The hook of a test comes after the checkpoint's: the second one is spoiled only when it is written for iteration 3.
    with pytest.raises(TrainingDiverged):
        train(config, run, device="cpu", extra_hooks=[poison])
    content = read_checkpoint(run.latest_checkpoint())
    assert all(tensor.isfinite().all() for tensor in content["sdf_network_fine"].values())


def test_a_large_finite_gradient_is_not_taken_for_infinite(make_trainer):
    from neus.training.optimizer import gradients_are_finite

    trainer = make_trainer()
    for parameter in trainer.model.parameters():
        parameter.grad = torch.full_like(parameter, 1e25)
    assert gradients_are_finite(trainer.optimizer)
    trainer.model.sharpness.variance.grad.fill_(torch.inf)
    assert not gradients_are_finite(trainer.optimizer)


def test_another_scene_is_not_resumed(tiny_config, tmp_path):
    from neus.scenes.idr import read_camera_file

    run = finished_run(tmp_path / "run", tiny_config, ())
    scene = Path(shutil.copytree(tiny_config.dataset.data_dir, tmp_path / "other"))
    cameras = read_camera_file(scene / "cameras_sphere.npz", 4)
    larger = np.diag([2.0, 2.0, 2.0, 1.0])
    matrices = {f"world_mat_{i}": m for i, m in enumerate(cameras["world_mat"])}
    matrices |= {f"scale_mat_{i}": m @ larger for i, m in enumerate(cameras["scale_mat"])}
    np.savez(scene / "cameras_sphere.npz", **matrices)
    config = replace(
        tiny_config, dataset=replace(tiny_config.dataset, data_dir=str(scene), camera_outside_sphere=False)
    )
    with pytest.raises(InputError, match="another scale matrix"):
        train(config, run, resume=True, device="cpu")


def finished_run(folder, config, breaks=()):
    """A run that is interrupted after each of some iterations, and resumed until it is done."""
    run = RunFolder(folder)
    for i, iteration in enumerate((*breaks, None)):
        train(
            config,
            run,
            resume=i > 0,
            device="cpu",
            extra_hooks=[lambda t, _, at=iteration: t.iteration == at and t.stop()],
        )
    return run


def without_speed(path):
    return [{k: v for k, v in line.items() if k != "rays_per_second"} for line in read_metrics(path)]


@pytest.mark.parametrize("breaks", [(3,), (1, 4, 5)])
@pytest.mark.parametrize("n_outside", [0, 4])
def test_resuming_equals_no_interruption_bit_for_bit(tiny_config, tmp_path, breaks, n_outside):
    renderer = replace(tiny_config.model.neus_renderer, n_outside=n_outside)
    config = replace(
        tiny_config,
        model=replace(tiny_config.model, neus_renderer=renderer),
        train=replace(tiny_config.train, anneal_end=5),
        dataset=replace(tiny_config.dataset, holdout=4),
    )
    whole, parts = finished_run(tmp_path / "whole", config), finished_run(tmp_path / "parts", config, breaks)
    one, other = (read_checkpoint(run.latest_checkpoint()) for run in (whole, parts))
    assert one["iter_step"] == 6
    assert_same(one, other)
    assert without_speed(whole.path / "metrics.jsonl") == without_speed(parts.path / "metrics.jsonl")


def test_resuming_a_hash_surface_equals_no_interruption_bit_for_bit(tiny_hash_config, tmp_path):
    whole, parts = (finished_run(tmp_path / str(breaks), tiny_hash_config, breaks) for breaks in ((), (1, 4)))
    one, other = (read_checkpoint(run.latest_checkpoint()) for run in (whole, parts))
    assert one["iter_step"] == 6 and len(one["optimizer"]["param_groups"]) == 4
    assert_same(one, other)
    assert without_speed(whole.path / "metrics.jsonl") == without_speed(parts.path / "metrics.jsonl")


def test_levels_of_a_hash_surface_are_switched_on_one_by_one(tiny_hash_config, scene):
    trainer = Trainer(model_for_scene(tiny_hash_config, scene), scene, tiny_hash_config.train)
    layout, grid, seen = trainer.model.sdf_network.grid.layout, trainer.model.sdf_network.grid, []
    start = grid.table.detach().clone()

    def note(t, terms):
        changed = (grid.table.detach() != start).any(dim=1)
        seen.append(
            (int(grid.n_active), [bool(changed[a:b].any()) for a, b in zip(layout.offsets, layout.offsets[1:])])
        )

    trainer.run([note])
    assert [n for n, _ in seen] == [1, 1, 2, 2, 3, 4]
    assert seen[1][1] == [True, False, False, False] and seen[-1][1] == [True] * 4


def test_resuming_after_a_crash_goes_back_to_the_last_checkpoint(tiny_config, tmp_path):
    whole = finished_run(tmp_path / "whole", tiny_config)

    def crash(trainer, terms):
        if trainer.iteration == 5:
            raise MemoryError

    run = RunFolder(tmp_path / "crashed")
    with pytest.raises(MemoryError):
        train(tiny_config, run, device="cpu", extra_hooks=[crash])
    assert len(read_metrics(run.path / "metrics.jsonl")) == 5
    train(tiny_config, run, resume=True, device="cpu")
    assert_same(read_checkpoint(whole.latest_checkpoint()), read_checkpoint(run.latest_checkpoint()))
    assert without_speed(whole.path / "metrics.jsonl") == without_speed(run.path / "metrics.jsonl")


def test_a_checkpoint_of_another_number_of_views_is_refused(tiny_config, tmp_path):
    run = finished_run(tmp_path / "run", tiny_config, ())
    fewer = replace(tiny_config, dataset=replace(tiny_config.dataset, holdout=2))
    with pytest.raises(InputError, match=r"trained on other training views \(4\).*has now \(2\)"):
        train(fewer, run, resume=True, device="cpu")


def test_training_goes_on_from_a_published_checkpoint(make_trainer, tmp_path):
    from neus.training.checkpoint import published_checkpoint

    first = make_trainer()
    first.run([lambda t, terms: t.iteration == 3 and t.stop()])
    first.save(tmp_path / "ckpt_000003.pth", {})
    torch.save(published_checkpoint(read_checkpoint(tmp_path / "ckpt_000003.pth")), tmp_path / "published.pth")
    second = make_trainer()
    second.load(read_checkpoint(tmp_path / "published.pth"), tmp_path / "published.pth")
    assert second.iteration == 3 and same(parameters(first), parameters(second))
    assert "published NeuS" in second.messages[0]
    second.run([])
    assert second.iteration == 6 and all(p.isfinite().all() for p in second.model.parameters())


def test_a_resumed_run_keeps_its_smaller_step_and_may_recover_anew(make_trainer, tmp_path, monkeypatch):
    spoiled(monkeypatch, {2}, nan_loss)
    trainer = make_trainer()
    trainer.run([])
    trainer.save(tmp_path / "x.pth", {})
    other = make_trainer()
    other.load(read_checkpoint(tmp_path / "x.pth"), tmp_path / "x.pth")
    assert (other.rollbacks, other.lr_scale) == (0, ROLLBACK_RATE_FACTOR)


def test_old_checkpoints_are_deleted_as_the_conf_says(tiny_config, tmp_path):
    config = replace(tiny_config, train=replace(tiny_config.train, save_freq=1, keep_checkpoints=2))
    run = finished_run(tmp_path / "run", config)
    assert [p.name for p in checkpoints_in(run.checkpoints)] == ["ckpt_000005.pth", "ckpt_000006.pth"]


def short_of_memory(monkeypatch, room):
    """Training steps have memory for so many rays; returns how many each was asked for."""
    asked = []

    def step(model, batch, *arguments):
        asked.append(len(batch.origins))
        if len(batch.origins) > room:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return training_step(model, batch, *arguments)

    monkeypatch.setattr(steps_module, "training_step", step)
    return asked


def test_where_memory_runs_out_steps_take_half_the_rays_and_training_goes_on(make_trainer, monkeypatch):
    asked = short_of_memory(monkeypatch, room=5)
    trainer = make_trainer(batch_size=16)
    trainer.run([])
    assert trainer.iteration == trainer.config.end_iter and asked == [16, 8, *[4] * trainer.config.end_iter]
    assert trainer.messages == [
        f"out of memory on cpu in iteration 0 with {before} rays a step; continuing with {before // 2}"
        for before in (16, 8)
    ]


def test_a_single_ray_that_does_not_fit_is_an_error(make_trainer, monkeypatch):
    short_of_memory(monkeypatch, room=0)
    with pytest.raises(torch.OutOfMemoryError):
        make_trainer(batch_size=4).run([])


def test_products_in_bfloat16_train_weights_in_single_precision(make_trainer, tmp_path):
    exact, rounded = make_trainer(), make_trainer(precision="bfloat16")
    for trainer in (exact, rounded):
        trainer.run([])
    rounded.save(tmp_path / "x.pth", {})
    content = read_checkpoint(tmp_path / "x.pth")
    moments = [m["exp_avg"] for m in content["optimizer"]["state"].values()]
    for tensor in (*content["sdf_network_fine"].values(), *content["color_network_fine"].values(), *moments):
        assert tensor.dtype == torch.float32 and tensor.isfinite().all()
    one, other = (torch.cat([p.flatten() for p in parameters(trainer)]) for trainer in (exact, rounded))
    # Six steps of at most 1e-3.
    assert not torch.equal(one, other) and (one - other).abs().max() < 1e-2


def test_a_precision_that_the_device_has_not_is_refused(make_trainer):
    with pytest.raises(InputError, match="train.precision = tf32: only CUDA devices have tf32.*use float32"):
        make_trainer(precision="tf32")
