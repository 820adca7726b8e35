"""What the published DeepSDF computes, reproduced: values, gradients, losses, the first step of Adam, and both containers."""

from pathlib import Path

import numpy as np
import pytest
import torch

from neus.fields.latent_sdf import LatentSdf
from neus.shapes.autodecoder import AutoDecoder, accumulate_gradients, training_step
from neus.shapes.experiment_files import load_weights, read_codes
from neus.shapes.losses import sample_losses, shorten_codes
from neus.shapes.prior import load_prior
from neus.shapes.samples import SamplePool, read_samples
from neus.shapes.specs import read_specs
from neus.shapes.splits import found_path, read_split, sample_path

CLOSE = {"rtol": 1e-5, "atol": 1e-5}


@pytest.fixture(scope="module")
def folder(request) -> Path:
    shared = Path(__file__).parents[3] / "shared" / "oracle" / "deepsdf"
    if not shared.is_dir():
        pytest.skip("no folder `shared/oracle/deepsdf` with published numbers beside the checkout")
    return shared


@pytest.fixture(scope="module")
def numbers(folder):
    return {name: torch.from_numpy(array) for name, array in np.load(folder / "decoder.npz").items() if array.ndim}


@pytest.fixture(scope="module")
def training(folder):
    return {name: torch.from_numpy(np.asarray(array)) for name, array in np.load(folder / "training.npz").items()}


@pytest.fixture(scope="module")
def samples(folder):
    names = read_split(folder / "splits" / "train.json")
    return [read_samples(sample_path(folder / "data", name)) for name in names], names


def test_values_and_gradients_are_those_of_the_published_decoder(folder, numbers):
    prior = load_prior(folder / "experiment")
    for i, latent in enumerate(numbers["latents"]):
        points = numbers["points"].clone().requires_grad_()
        codes = latent.expand(len(points), -1).clone().requires_grad_()
        f = prior.decoder(codes, points)
        by_points, by_codes = torch.autograd.grad(f.sum(), [points, codes])
        torch.testing.assert_close(f, numbers["sdf"][i], **CLOSE)
        torch.testing.assert_close(by_points, numbers["grad_points"][i], **CLOSE)
        torch.testing.assert_close(by_codes, numbers["grad_latent"][i], **CLOSE)


def test_codes_are_those_of_the_published_experiment_and_named_by_its_split(folder, numbers):
    prior = load_prior(folder / "experiment")
    assert torch.equal(prior.codes, numbers["codes"]) and prior.epoch == 400
    assert prior.names == [f"made/stools/stool_0{i}" for i in range(4)]


def test_the_older_container_holds_the_same(folder, numbers):
    prior = load_prior(folder / "old_format")
    assert torch.equal(prior.codes, numbers["codes"])
    torch.testing.assert_close(prior.decoder(numbers["latents"][0], numbers["points"]), numbers["sdf"][0], **CLOSE)


@pytest.mark.parametrize("kind", ["layernorm", "xyz", "twice_tanh", "plain", "two_skips", "dropout"])
def test_every_spelling_of_the_network_gives_the_published_values(folder, kind):
    stored = np.load(folder / "variants" / "outputs.npz")
    decoder = LatentSdf(read_specs(folder / "variants" / kind).network).eval()
    load_weights(decoder, folder / "variants" / kind / "ModelParameters" / "latest.pth")
    found = decoder(torch.from_numpy(stored["latent"]), torch.from_numpy(stored["points"]))
    torch.testing.assert_close(found, torch.from_numpy(stored[f"{kind}/sdf"]), **CLOSE)


def test_a_fitted_code_is_read(folder, numbers):
    path = folder / "experiment" / "Reconstructions" / "400" / "Codes" / "made" / "stools" / "stool_04.pth"
    assert any(torch.allclose(read_codes(path)[0], latent) for latent in numbers["fit_latents"])


def test_rows_with_nan_are_dropped(folder, samples):
    with np.load(sample_path(folder / "data", "made/stools/stool_01")) as archive:
        assert np.isnan(archive["pos"]).any() and np.isnan(archive["neg"]).any()
        assert len(samples[0][1].positive) == len(archive["pos"]) - 1
        assert len(samples[0][1].negative) == len(archive["neg"]) - 1
    assert (samples[0][1].positive[:, 3] > 0).all() and (samples[0][1].negative[:, 3] <= 0).all()


def test_the_loss_over_all_samples_is_the_published_one(folder, numbers):
    prior = load_prior(folder / "experiment")
    stored = np.load(folder / "decoder.npz")
    held_out = read_samples(sample_path(folder / "data", "made/stools/stool_04")).all
    for latent, expected in zip(numbers["fit_latents"], stored["fit_whole_loss"], strict=True):
        f = prior.decoder(latent, held_out[:, :3])
        assert float(sample_losses(f, held_out[:, 3], 0.1).mean()) == pytest.approx(float(expected), rel=1e-4)


@pytest.fixture(params=["step1", "step50"])
def model(request, folder, samples, training):
    """An auto-decoder as the published one was before that step, and the arrays of the step."""
    of_step = {k.removeprefix(request.param + "/"): v for k, v in training.items() if k.startswith(request.param)}
    model = AutoDecoder(read_specs(folder / "experiment"), SamplePool(*samples), seed=0)
    weights = {name.removeprefix("param/"): value for name, value in of_step.items() if name.startswith("param/")}
    model.decoder.load_state_dict(weights)
    model.codes.data.copy_(of_step["codes_before"])
    return request.param, model, of_step


def test_codes_are_shortened_as_published(model):
    _, made, step = model
    shorten_codes(made.codes.data, step["indices"], 1.0)
    torch.testing.assert_close(made.codes.data, step["codes_renormed"], **CLOSE)


def test_loss_and_gradients_are_the_published_ones(model):
    _, made, step = model
    shorten_codes(made.codes.data, step["indices"], 1.0)
    loss, _ = accumulate_gradients(made, step["indices"], step["samples"], int(step["epoch"]))
    assert float(loss) == pytest.approx(float(step["loss"]), rel=1e-5)
    torch.testing.assert_close(made.codes.grad, step["grad_codes"], **CLOSE)
    for name, parameter in made.decoder.named_parameters():
        torch.testing.assert_close(parameter.grad, step[f"grad/{name}"], **CLOSE)


def test_the_first_step_of_adam_is_the_published_one(model):
    name, made, step = model
    if name != "step1":
        pytest.skip("later steps depend on moments that are not stored")
    assert made.specs.rates(1, 0.0) == tuple(step["lr"].tolist())
    training_step(made, step["indices"], step["samples"], tuple(step["lr"].tolist()), int(step["epoch"]))
    torch.testing.assert_close(made.codes.data, step["codes_after"], **CLOSE)
    for parameter, value in made.decoder.named_parameters():
        torch.testing.assert_close(value.data, step[f"param_after/{parameter}"], **CLOSE)


def test_paths_of_specs_are_found_beside_the_experiment(folder):
    assert found_path("data", folder / "experiment", "SdfSamples") == (folder / "data").resolve()
