import logging
import signal
import threading
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from neus.errors import InputError
from neus.runs.console import TERMINAL
from neus.runs.run_folder import RunFolder
from neus.runs.train import train
from neus.training.checkpoint import published_checkpoint, read_checkpoint


@pytest.fixture
def run(tmp_path):
    return RunFolder(tmp_path / "run")


def at(iteration, action):
    return lambda trainer, terms: trainer.iteration == iteration and action()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda n: n.name)
def test_a_signal_ends_training_after_the_present_iteration_and_saves(tiny_config, run, number, capsys):
    before = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
    trainer = train(
        tiny_config, run, device="cpu", extra_hooks=[at(4, lambda: signal.raise_signal(number))], console=TERMINAL
    )
    assert trainer.stopped and trainer.iteration == 4
    assert run.latest_checkpoint().name == "ckpt_000004.pth"
    assert (
        f"stopped after iteration 4; saved {run.latest_checkpoint()}; continue with --resume" in capsys.readouterr().out
    )
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == before


def test_a_second_ctrl_c_ends_training_at_once(tiny_config, run):
    def twice():
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train(tiny_config, run, device="cpu", extra_hooks=[at(4, twice)], console=TERMINAL)
    assert run.latest_checkpoint().name == "ckpt_000003.pth"


def test_training_works_outside_the_main_thread(tiny_config, run):
    done = []
    thread = threading.Thread(target=lambda: done.append(train(tiny_config, run, device="cpu").iteration))
    thread.start()
    thread.join(timeout=30)
    assert done == [6]


def test_held_out_views_are_not_trained_on(tiny_config, run):
    seen = []
    config = replace(tiny_config, dataset=replace(tiny_config.dataset, holdout=3))
    train(config, run, device="cpu", extra_hooks=[lambda trainer, terms: seen.append(trainer.scene.names)])
    assert seen[0] == ["001.png", "002.png"]
    assert run.facts()["held_out_views"] == [0, 3] and run.facts()["training_views"] == [1, 2]


def test_validation_images_carry_the_number_of_their_view_in_the_scene(tiny_config, run):
    training = replace(tiny_config.train, val_freq=1, validate_resolution_level=1)
    config = replace(tiny_config, train=training, dataset=replace(tiny_config.dataset, holdout=2))
    scene = train(config, run, device="cpu").scene
    numbers = set()
    for path in (run.path / "validations_fine").iterdir():
        number = int(path.stem.split("_")[-1])
        numbers.add(number)
        image = cv2.imread(str(path))[24:, :, ::-1]
        assert np.array_equal(image, scene.images[scene.names.index(f"{number:03d}.png")])
    assert numbers == {1, 3}


def test_the_same_seed_gives_the_same_checkpoint_to_the_bit(tiny_config, tmp_path):
    from tests.test_oracle import assert_same

    contents = []
    for name in ("one", "other"):
        run = RunFolder(tmp_path / name)
        train(tiny_config, run, device="cpu")
        contents.append(read_checkpoint(run.latest_checkpoint()))
    assert_same(*contents)


def test_a_checkpoint_knows_its_conf_scene_and_views(tiny_config, run):
    trainer = train(tiny_config, run, device="cpu")
    own = read_checkpoint(run.latest_checkpoint())["neus"]
    assert own["config"]["train"]["end_iter"] == 6
    assert torch.equal(own["scene"]["scene_to_world"], trainer.model.scene_to_world)
    assert own["run"]["training_views"] == [0, 1, 2, 3]


def test_a_bad_start_writes_nothing(tiny_config, run):
    nowhere = replace(tiny_config, dataset=replace(tiny_config.dataset, data_dir="nowhere"))
    with pytest.raises(InputError):
        train(nowhere, run, device="cpu")
    assert not run.path.exists()


def test_training_prints_nothing_where_nobody_watches(tiny_config, run, capfd, caplog):
    caplog.set_level(logging.INFO, "neus")
    train(tiny_config, run, device="cpu")
    path = run.latest_checkpoint()
    torch.save(published_checkpoint(read_checkpoint(path)), path)
    longer = replace(tiny_config, train=replace(tiny_config.train, end_iter=7))
    train(longer, run, resume=True, device="cpu", extra_hooks=[lambda trainer, terms: trainer.stop()])
    assert capfd.readouterr() == ("", "")
    assert "a checkpoint of the published NeuS" in caplog.text and "stopped after iteration 7" in caplog.text
