"""Models of the published program give the numbers that it computed."""

import numpy as np
import pytest
import torch

from neus.errors import InputError
from neus.lod.published import model_from_state, read_published


@pytest.fixture(scope="module")
def oracle(shared):
    return np.load(shared / "oracle" / "nglod" / "outputs.npz")


@pytest.fixture(scope="module")
def model(shared):
    return read_published(shared / "oracle" / "nglod" / "model.pth").requires_grad_(False)


def points_of(oracle, name="points"):
    return torch.from_numpy(oracle[name])


def test_layout_is_read_from_the_shapes(model):
    layout = model.layout
    assert (model.n_levels, layout.n_channels, layout.n_hidden, layout.base) == (4, 4, 32, 2)


def test_features_and_distances_of_all_levels_inside_and_outside_the_cube(model, oracle):
    points = points_of(oracle)
    assert (points.abs().amax(1) > 1).any()
    for level in range(4):
        assert (model.feature(points, level) - points_of(oracle, "features")[level]).abs().max() < 1e-6
        assert (model.published_sdf(points, level) - points_of(oracle, "sdf")[level]).abs().max() < 1e-5
    assert (model.all_sdf(points) - points_of(oracle, "sdf")).abs().max() < 1e-5


@pytest.mark.parametrize("level", range(4))
def test_gradients_in_closed_form_and_by_differences(model, oracle, level):
    points = points_of(oracle)
    sdf, exact = model.sdf_and_gradient(points, level)
    wanted = points_of(oracle, f"gradient_exact/{level}")
    assert ((exact - wanted).norm(dim=1) / wanted.norm(dim=1)).max() < 1e-3
    assert (sdf - points_of(oracle, "sdf")[level]).abs().max() < 1e-5
    steps = torch.eye(3) / 192
    finite = torch.stack(
        [model.published_sdf(points + step, level) - model.published_sdf(points - step, level) for step in steps], dim=1
    )
    finite, wanted = finite * 96, points_of(oracle, f"gradient_finite/{level}")
    assert ((finite - wanted).norm(dim=1) / wanted.norm(dim=1)).max() < 1e-3


def test_the_loss_of_a_batch_and_its_gradients(shared, oracle):
    model = read_published(shared / "oracle" / "nglod" / "model.pth")
    points, sdf = points_of(oracle, "batch/points"), points_of(oracle, "batch/sdf")[:, 0]
    loss = (model.all_sdf(points) - sdf).square().sum() / len(points)
    loss.backward()
    assert loss.item() == pytest.approx(float(oracle["batch/loss"]), rel=1e-4)
    for level in range(4):
        of_table = points_of(oracle, f"batch/gradient/features.{level}.fm")[0].flatten(1).T
        assert (model.features[level].grad[:-1] - of_table).norm() < 1e-4 * of_table.norm()
        for name, parameter in model.decoders[level].named_parameters():
            wanted = points_of(oracle, f"batch/gradient/louts.{level}.{name}")
            assert (parameter.grad - wanted).norm() < 1e-4 * wanted.norm()


@pytest.mark.parametrize("kind", ["joint_decoder", "pos_invariant"])
def test_variants(shared, kind):
    arrays = np.load(shared / "oracle" / "nglod" / "variants.npz")
    prefix, wanted = f"{kind}/state/", torch.from_numpy(arrays[f"{kind}/sdf"])
    state = {name.removeprefix(prefix): torch.from_numpy(arrays[name]) for name in arrays.files if name.startswith(prefix)}
    # The oracle holds the decoders of four levels, but the features of two.
    state = {name: value for name, value in state.items() if int(name.split(".")[1]) < len(wanted)}
    model = model_from_state(state, kind)
    assert (model.all_sdf(torch.from_numpy(arrays["points"])) - wanted).abs().max() < 1e-5


def test_other_files_are_refused_in_one_line(tmp_path, model):
    torch.save({"network": torch.zeros(3)}, tmp_path / "other.pth")
    with pytest.raises(InputError, match=r"other.pth: 0 feature volumes and 0 decoders; expected a state dict of NGLOD"):
        read_published(tmp_path / "other.pth")
    (tmp_path / "text.pth").write_text("no weights")
    with pytest.raises(InputError, match=r"text.pth: not a file of weights alone"):
        read_published(tmp_path / "text.pth")
    with pytest.raises(InputError, match=r"gone.pth: cannot be read \(No such file"):
        read_published(tmp_path / "gone.pth")
    state = {"features.0.fm": torch.zeros(1, 2, 6, 6, 6), "louts.0.0.weight": torch.zeros(8, 5)}
    with pytest.raises(InputError, match="feature volumes 1x2x6x6x6, expected cubes"):
        model_from_state(state, "odd")
    with pytest.raises(InputError, match="flat: features or decoders are no tensors of five and of two dimensions"):
        model_from_state(state | {"features.0.fm": torch.zeros(4)}, "flat")
