from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
import trimesh

from neus.errors import InputError
from neus.rendering.behind import Behind
from neus.runs.build import model_for_scene
from neus.scenes.images import write_image
from neus.scenes.readers import read_scene
from neus.training.background_hook import BackgroundHook
from neus.training.budget import TimeBudget
from neus.training.checkpoint import iteration_of
from neus.training.hooks import CheckpointHook, MeshHook, MetricsHook, ProgressHook, TimeProgressHook, ValidationHook
from neus.training.metrics import MetricsWriter, read_metrics
from neus.training.step import StepTerms
from neus.training.trainer import Trainer


@pytest.fixture
def terms():
    return StepTerms(*(torch.tensor(float(i)) for i in range(8)))


@pytest.fixture
def make_trainer(tiny_config, scene_folder):

    def make(**changes):
        scene = read_scene(scene_folder)
        config = replace(tiny_config, train=replace(tiny_config.train, **changes))
        trainer = Trainer(
            model_for_scene(config, scene), scene, config.train, lambda text: trainer.messages.append(text)
        )
        trainer.messages = []
        return trainer

    return make


def called_through(hook, trainer, terms, n_iterations):
    for trainer.iteration in range(1, n_iterations + 1):
        hook(trainer, terms)


def test_checkpoints_are_saved_every_save_freq_iterations_and_at_the_end(make_trainer, terms, tmp_path):
    trainer = make_trainer(save_freq=4, end_iter=10, keep_checkpoints=0)
    hook = CheckpointHook(tmp_path, lambda path: path.touch())
    called_through(hook, trainer, terms, 10)
    assert sorted(iteration_of(p) for p in tmp_path.iterdir()) == [4, 8, 10]


def test_checkpoints_are_saved_by_the_clock_as_well_and_when_the_time_is_over(make_trainer, terms, tmp_path):
    now = [0.0]
    trainer = make_trainer(save_freq=1000, end_iter=10**6, keep_checkpoints=0)
    trainer.time_budget = TimeBudget(10.0, 1000, lambda: now[0])
    hook = CheckpointHook(tmp_path, lambda path: path.touch(), every_seconds=4.0, clock=lambda: now[0])
    for trainer.iteration in range(1, 11):
        now[0] += 1.0
        trainer.budget.tick()
        hook(trainer, terms)
    assert sorted(iteration_of(p) for p in tmp_path.iterdir()) == [4, 8, 10]
    assert hook.seconds == 0.0


def test_metrics_are_written_every_report_freq_iterations_and_at_the_end(make_trainer, terms, tmp_path):
    trainer = make_trainer(report_freq=4, end_iter=10)
    writer = MetricsWriter(tmp_path, 0)
    called_through(MetricsHook(writer), trainer, terms, 10)
    writer.close()
    lines = read_metrics(tmp_path / "metrics.jsonl")
    assert [line["iteration"] for line in lines] == [4, 8, 10]
    assert lines[0]["sharpness"] == pytest.approx(20.0855, rel=1e-4)
    assert lines[0]["s_val"] == pytest.approx(1 / 20.0855, rel=1e-4)
    assert {"total", "color", "eikonal", "mask", "psnr", "learning_rate", "rays_per_second"} <= set(lines[0])


def test_validation_stacks_the_rendered_view_above_its_image(make_trainer, terms, tmp_path):
    trainer = make_trainer(val_freq=3, validate_resolution_level=2)
    numbers = [5, 6, 7, 8]
    called_through(ValidationHook(tmp_path, trainer.scene, numbers), trainer, terms, 7)
    fine = sorted((tmp_path / "validations_fine").iterdir())
    assert [p.name[:8] for p in fine] == ["00000003", "00000006"]
    number = int(fine[0].stem.split("_")[-1])
    image = cv2.imread(str(fine[0]))[..., ::-1]
    assert image.shape == (24, 16, 3)
    captured = cv2.resize(trainer.scene.images[numbers.index(number)], (16, 12), interpolation=cv2.INTER_AREA)
    assert np.array_equal(image[12:], captured)
    assert (tmp_path / "normals" / fine[0].name).is_file()


def test_validation_leaves_the_random_state_alone(make_trainer, terms, tmp_path):
    trainer = make_trainer(val_freq=1, validate_resolution_level=4)
    before, own = torch.get_rng_state(), trainer.generator.get_state()
    called_through(ValidationHook(tmp_path, trainer.scene, [0, 1, 2, 3]), trainer, terms, 2)
    assert torch.equal(before, torch.get_rng_state()) and torch.equal(own, trainer.generator.get_state())


def test_frequency_zero_means_never(make_trainer, terms, tmp_path):
    trainer = make_trainer(val_freq=0, val_mesh_freq=0)
    called_through(ValidationHook(tmp_path, trainer.scene, [0, 1, 2, 3]), trainer, terms, 3)
    called_through(MeshHook(tmp_path), trainer, terms, 3)
    assert not list(tmp_path.iterdir())


def test_a_mesh_snapshot_is_in_the_scene_frame(make_trainer, terms, tmp_path):
    trainer = make_trainer(val_mesh_freq=2)
    called_through(MeshHook(tmp_path), trainer, terms, 3)
    (path,) = (tmp_path / "meshes").iterdir()
    assert path.name == "00000002.ply"
    assert np.abs(trimesh.load(path).vertices).max() <= 1.02


def test_no_surface_yet_is_no_reason_to_stop(make_trainer, terms, tmp_path):
    trainer = make_trainer(val_mesh_freq=1)
    with torch.no_grad():
        trainer.model.sdf_network.lin2.bias.add_(100.0)
    called_through(MeshHook(tmp_path), trainer, terms, 1)
    assert "no mesh snapshot in iteration 1" in trainer.messages[0] and not list(tmp_path.iterdir())


def test_the_progress_line_says_loss_psnr_sharpness_speed(make_trainer, capfd):
    trainer = make_trainer(end_iter=20)
    progress = ProgressHook(trainer)
    called_through(progress, trainer, StepTerms(*(torch.tensor(float(i)) for i in range(8))), 20)
    progress.message("a word above")
    progress.close()
    out, err = capfd.readouterr()
    last = err.split("\r")[-1]
    assert "20/20" in last and "loss 0.0000, PSNR 4.00 dB, sharpness 20, " in last and "rays/s" in last
    assert "a word above" in out + err


def test_the_progress_line_of_a_time_says_its_share_and_what_is_left(make_trainer, terms, capfd):
    now = [0.0]
    trainer = make_trainer(end_iter=10**6)
    trainer.time_budget = TimeBudget(200.0, 1000, lambda: now[0])
    progress, lines = TimeProgressHook(trainer), []
    # The end comes nearer in between: the line goes on from where it was.
    for trainer.iteration, now[0], end in ((10, 0.0, 200.0), (20, 50.0, 10.0), (30, 55.0, 20.0), (31, 74.9, None)):
        trainer.budget.tick()
        progress(trainer, terms)
        if end:
            trainer.time_budget.end_in(end)
        progress.bar.refresh()
        lines.append(capfd.readouterr().err.split("\r")[-1])
    progress.close()
    assert ["0%" in lines[0], "25%" in lines[1], "97%" in lines[2], "100%" in lines[3]] == [True] * 4
    assert "2:30 left, iteration 20, loss 0.0000, PSNR 4.00 dB" in lines[1]
    assert "0:00 left, iteration 31" in lines[3]


def test_a_image_is_read_back_as_it_was_written(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    write_image(tmp_path / "new" / "a.png", image)
    assert np.array_equal(cv2.imread(str(tmp_path / "new" / "a.png"))[..., ::-1], image)


def test_a_image_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(cv2, "imwrite", lambda *a: False)
    with pytest.raises(InputError, match="a.png: cannot be written"):
        write_image(tmp_path / "a.png", np.zeros((2, 2, 3), np.uint8))
    (tmp_path / "file").touch()
    monkeypatch.undo()
    with pytest.raises(InputError, match="a.png: cannot be written"):
        write_image(tmp_path / "file" / "a.png", np.zeros((2, 2, 3), np.uint8))


@pytest.mark.parametrize(("color", "warns"), [("one", True), ("many", False)])
def test_a_background_of_one_colour_before_varied_surroundings_is_named(make_trainer, terms, color, warns):
    trainer, lines = make_trainer(), []
    trainer.on_message, trainer.model.config = lines.append, with_background(trainer.model.config)
    noise = np.random.default_rng(0)
    images = [noise.integers(0, 255, image.shape, dtype=np.uint8) for image in trainer.scene.images]
    trainer.scene = replace(trainer.scene, images=images)

    def behind(origins, directions, generator=None):
        rgb = torch.zeros(len(origins), 3) if color == "one" else (directions + 1.0) / 2.0
        return Behind(rgb, None)

    trainer.model.behind = behind
    hook = BackgroundHook()
    called_through(hook, trainer, terms, 7)
    assert len(lines) == warns and all("one colour" in line for line in lines)


def with_background(config):
    return replace(config, neus_renderer=replace(config.neus_renderer, n_outside=4))
