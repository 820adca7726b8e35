"""Training: learns, goes on bit for bit, leaves a published experiment, and says in one line what it cannot use."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from neus.errors import InputError
from neus.fields.latent_sdf import LatentSdf, LatentSdfConfig
from neus.shapes.data_folder import write_family_data
from neus.shapes.defaults import family_specs, network_of
from neus.shapes.experiment_files import read_torch_file
from neus.shapes.measures import shape_scores
from neus.shapes.prior import load_prior
from neus.shapes.samples import SamplePool, ShapeSamples, read_samples
from neus.shapes.specs import read_specs, specs_of
from neus.shapes.train import train_prior
from neus.shapes.truth import data_of, truth_of


def weights_of(run: Path) -> dict:
    return {
        kind: read_torch_file(run / kind / "latest.pth") for kind in ("ModelParameters", "LatentCodes", "OptimizerParameters")
    }


def assert_equal(one, other):
    if isinstance(one, torch.Tensor):
        assert torch.equal(one, other)
    elif isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            assert_equal(one[key], other[key])
    elif isinstance(one, list):
        for pair in zip(one, other, strict=True):
            assert_equal(*pair)
    else:
        assert one == other


def test_a_training_that_was_stopped_goes_on_bit_for_bit(tmp_path, small_specs):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    train_prior(small_specs(whole, 12), whole)
    for stops in (lambda step: step == 5, lambda step: step == 8, lambda step: False):
        train_prior(small_specs(parts, 12), parts, resume=(parts / "specs.json").exists(), stop=stops)
    assert_equal(weights_of(whole), weights_of(parts))
    logs = [read_torch_file(run / "Logs.pth") for run in (whole, parts)]
    assert logs[0]["loss"] == logs[1]["loss"] and len(logs[0]["loss"]) == 12
    assert logs[0]["learning_rate"] == logs[1]["learning_rate"]


def test_a_training_counted_in_minutes_goes_on_for_what_is_left(tmp_path, small_specs):
    run = tmp_path / "run"
    stopped = train_prior(small_specs(run), run, minutes=3.0 / 60.0, stop=lambda step: step == 3)
    assert stopped.stopped and stopped.steps == 3
    whole = train_prior(small_specs(run), run, resume=True)
    assert not whole.stopped and 2.0 < whole.seconds < 12.0
    with pytest.raises(InputError, match="its training is finished"):
        train_prior(small_specs(run), run, resume=True)


def test_a_published_experiment_is_trained_on_and_stays_one(tmp_path):
    oracle = Path(__file__).parents[3] / "shared" / "oracle" / "deepsdf"
    if not oracle.is_dir():
        pytest.skip("no folder `shared/oracle/deepsdf` with published numbers beside the checkout")
    folder = tmp_path / "experiment"
    shutil.copytree(oracle / "experiment", folder, copy_function=shutil.copyfile)
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755)
    content = read_specs(folder).content | {name: str(oracle / path) for name, path in PLACES.items()}
    (folder / "specs.json").write_text(json.dumps(content | {"NumEpochs": 405}))
    before = weights_of(oracle / "experiment")
    published = read_torch_file(oracle / "experiment" / "Logs.pth")["loss"]
    result = train_prior(read_specs(folder), folder, resume=True)
    after, logs = weights_of(folder), read_torch_file(folder / "Logs.pth")
    assert result.steps == 405 and len(logs["loss"]) == 5
    assert np.mean(logs["loss"]) == pytest.approx(np.mean(published[-20:]), rel=0.15)
    for kind in before:
        assert_same_kind(before[kind], after[kind])
    assert after["ModelParameters"]["epoch"] == 405


PLACES = {"DataSource": "data", "TrainSplit": "splits/train.json", "TestSplit": "splits/test.json"}


def assert_same_kind(one, other):
    """The same keys in the same order, and tensors of the same shapes."""
    if isinstance(one, dict):
        assert list(one) == list(other)
        for key in one:
            assert_same_kind(one[key], other[key])
    elif isinstance(one, torch.Tensor):
        assert one.shape == other.shape and one.dtype == other.dtype


def test_another_seed_gives_another_training(tmp_path, small_specs):
    for seed in (0, 1):
        run = tmp_path / str(seed)
        train_prior(small_specs(run, 2).with_keys(Seed=seed), run)
    assert not torch.equal(*(load_prior(tmp_path / str(seed)).codes for seed in (0, 1)))


def test_a_short_training_learns_and_leaves_a_published_experiment(bottle_run):
    losses = read_torch_file(bottle_run / "Logs.pth")["loss"]
    assert np.mean(losses[-20:]) < 0.3 * np.mean(losses[:5])
    prior = load_prior(bottle_run)
    assert prior.names[3] == "families/bottle/bottle_0003" and prior.codes.shape == (8, 4)
    scores = shape_scores(prior.field(prior.codes[3]), truth_of(data_of(prior), prior.names[3]), resolution=48)
    assert scores.accuracy < 0.02 and scores.sign > 0.9


def test_minutes_bound_the_time(tmp_path, small_specs):
    result = train_prior(small_specs(tmp_path / "run"), tmp_path / "run", minutes=1.0 / 60.0)
    assert 0.9 < result.seconds < 4.0 and result.steps > 3


@pytest.mark.slow
def test_twelve_bottles_are_learnt_in_twenty_seconds(tmp_path):
    write_family_data(tmp_path / "data", ["bottle"], 12, 1, 6000)
    specs = family_specs(tmp_path / "data", tmp_path / "run", network_of(64, 3, 6), n_shapes=12)
    train_prior(specs, tmp_path / "run", minutes=1.0 / 3.0)
    losses = read_torch_file(tmp_path / "run" / "Logs.pth")["loss"]
    prior = load_prior(tmp_path / "run")
    scores = [shape_scores(prior.field(prior.codes[i]), truth_of(data_of(prior), prior.names[i]), 64) for i in (0, 5, 11)]
    assert np.mean(losses[-50:]) < 0.2 * np.mean(losses[:5])
    assert max(score.accuracy for score in scores) <= 0.02


def test_every_code_starts_as_a_sphere():
    torch.manual_seed(1)
    for config in (LatentSdfConfig(), LatentSdfConfig((64,) * 6, 8, (3,), (0, 1, 2, 3, 4, 5))):
        decoder = LatentSdf(config, sphere_start=True)
        points = torch.nn.functional.normalize(torch.randn(500, 3), dim=-1)
        codes = 0.1 * torch.randn(500, config.code_length)
        assert (decoder(codes, 0.05 * points) < 0).all() and (decoder(codes, 1.2 * points) > 0).all()


def test_a_shape_without_codes_can_be_learnt(tmp_path, bottles):
    run = tmp_path / "run"
    specs = family_specs(bottles, run, network_of(16, 2, 0), n_shapes=8).with_keys(NumEpochs=2, ScenesPerBatch=99)
    result = train_prior(specs, run)
    assert load_prior(run).codes.shape == (8, 0) and "batches hold all of them" in result.notes[0]


def test_a_folder_in_use_and_one_without_training_are_said_in_a_line(bottle_run, small_specs, tmp_path):
    with pytest.raises(InputError, match="already holds a training; continue it with --resume"):
        train_prior(small_specs(bottle_run), bottle_run)
    with pytest.raises(InputError, match="to resume from"):
        train_prior(small_specs(tmp_path), tmp_path, resume=True)
    with pytest.raises(InputError, match="the saved state does not fit"):
        other = read_specs(bottle_run)
        wide = specs_of(other.content | {"NetworkSpecs": other["NetworkSpecs"] | {"dims": [40, 40, 40]}})
        train_prior(wide, bottle_run, resume=True)


def test_half_of_a_batch_comes_from_each_side_of_the_right_shape():
    shapes = [ShapeSamples(torch.full((3 + i, 4), i + 1.0), torch.full((2, 4), -i - 1.0)) for i in range(3)]
    batch = SamplePool(shapes, ["a", "b", "c"]).draw(torch.tensor([2, 0]), 10, torch.Generator().manual_seed(0))
    assert batch.shape == (2, 10, 4)
    assert (batch[0, :5] == 3).all() and (batch[0, 5:] == -3).all() and (batch[1, :5] == 1).all() and (batch[1, 5:] == -1).all()
    with pytest.raises(InputError, match=r"b: has no samples inside \(neg\)"):
        SamplePool([shapes[0], ShapeSamples(torch.zeros(2, 4), torch.zeros(0, 4))], ["a", "b"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"NetworkSpecs": None}, "has no NetworkSpecs"),
        ({"CodeLength": -1}, "CodeLength is -1"),
        ({"NetworkArch": "other"}, "expected deep_sdf_decoder"),
        ({"ClampingDistance": 0}, "ClampingDistance is 0"),
        ({"LearningRateSchedule": [{"Type": "Exponential"}] * 2}, "of type 'Exponential'"),
        ({"LearningRateSchedule": [{"Type": "Step", "Initial": 1, "Interval": 0, "Factor": 1}] * 2}, "Interval = 0"),
        ({"NetworkSpecs": {"dims": [6, 6], "latent_in": [1]}}, "leave a layer no width"),
    ],
)
def test_bad_specs_are_one_line(bottle_run, change, message):
    with pytest.raises(InputError, match=message) as caught:
        specs_of({**read_specs(bottle_run).content, **change})
    assert "\n" not in str(caught.value)


def test_bad_samples_are_one_line(tmp_path):
    path = tmp_path / "a.npz"
    for arrays, message in (
        ({"pos": np.zeros((3, 4))}, "has no array"),
        ({"pos": np.zeros((3, 3)), "neg": np.zeros((3, 4))}, r"pos has shape \(3, 3\)"),
        ({"pos": -np.ones((3, 4)), "neg": np.ones((3, 4))}, "expected the inside there"),
    ):
        np.savez(path, **arrays)
        with pytest.raises(InputError, match=message):
            read_samples(path)
    path.write_bytes(b"no archive")
    with pytest.raises(InputError, match=r"no readable \.npz"):
        read_samples(path)
