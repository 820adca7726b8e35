import errno
import fractions
import os

import numpy as np
import pytest
import torch

from neus.errors import InputError
from neus.fields.color_network import ColorNetworkConfig
from neus.rendering.model import ModelConfig
from neus.runs.build import build_model
from neus.training import checkpoint
from neus.training.checkpoint import (
    checkpoint_name,
    checkpoints_in,
    delete_old_checkpoints,
    iteration_of,
    load_optimizer,
    load_parameters,
    published_checkpoint,
    read_checkpoint,
    rgb_from_bgr,
    save_checkpoint,
)
from neus.training.optimizer import build_optimizer


@pytest.fixture
def model(tiny_config):
    return build_model(tiny_config.model)


@pytest.fixture
def optimizer(model):
    """An optimiser that has made a step, so that it has moments."""
    optimizer = build_optimizer(model)
    for parameter in model.parameter_list():
        parameter.grad = torch.randn_like(parameter)
    optimizer.step()
    return optimizer


@pytest.fixture
def saved(tmp_path, model, optimizer):
    path = tmp_path / "ckpt_000007.pth"
    save_checkpoint(path, model, optimizer, 7, {"note": [1, "two", None]})
    return path


def test_names_are_those_of_published_checkpoints(tmp_path):
    assert [checkpoint_name(i) for i in (7, 300_000, 1_234_567)] == [
        "ckpt_000007.pth",
        "ckpt_300000.pth",
        "ckpt_1234567.pth",
    ]
    for i in (0, 7, 1_234_567):
        assert iteration_of(tmp_path / checkpoint_name(i)) == i
    for name in ("ckpt_.pth", "ckpt_12.txt", "12.pth", "ckpt_12a.pth", ".ckpt_000012.99.part.pth"):
        assert iteration_of(tmp_path / name) == -1


def test_checkpoints_are_ordered_by_iteration_not_by_name(tmp_path):
    for i in (1_000_000, 5, 999_999):
        (tmp_path / checkpoint_name(i)).touch()
    (tmp_path / "ckpt_best.pth").touch()
    assert [iteration_of(p) for p in checkpoints_in(tmp_path)] == [5, 999_999, 1_000_000]
    assert checkpoints_in(tmp_path / "none") == []


def test_only_the_newest_stay(tmp_path):
    for i in range(1, 6):
        (tmp_path / checkpoint_name(i)).touch()
    (tmp_path / "mine.pth").touch()
    delete_old_checkpoints(tmp_path, 0)
    assert len(checkpoints_in(tmp_path)) == 5
    delete_old_checkpoints(tmp_path, 2)
    assert [iteration_of(p) for p in checkpoints_in(tmp_path)] == [4, 5]
    assert (tmp_path / "mine.pth").exists()


def test_what_is_saved_is_read_back(saved, model, optimizer):
    content = read_checkpoint(saved)
    assert content["iter_step"] == 7 and content["neus"]["note"] == [1, "two", None]
    other = build_model(model.config, seed=9)
    assert not torch.equal(other.sdf_network.lin0.weight_v, model.sdf_network.lin0.weight_v)
    load_parameters(other, content, saved)
    assert all(torch.equal(a, b) for a, b in zip(model.parameter_list(), other.parameter_list(), strict=True))
    again = build_optimizer(other)
    load_optimizer(again, content, saved)
    for old, new in zip(model.parameter_list(), other.parameter_list(), strict=True):
        for name, value in optimizer.state[old].items():
            assert torch.equal(value, again.state[new][name])


def test_colors_are_turned_round_for_export_and_back_at_the_door(saved, tmp_path):
    ours = read_checkpoint(saved)
    exported = published_checkpoint(ours)
    assert "neus" not in exported
    last = "lin2.bias"  # two hidden layers
    assert torch.equal(exported["color_network_fine"][last], ours["color_network_fine"][last].flip(0))
    assert torch.equal(exported["color_network_fine"]["lin1.bias"], ours["color_network_fine"]["lin1.bias"])
    names = [(key, name) for key in checkpoint.PARTS for name in ours[key]]
    for i, (key, name) in enumerate(names):
        is_turned = (key, name.split(".")[0]) in (("color_network_fine", "lin2"), ("nerf", "rgb_linear"))
        for moment in ("exp_avg", "exp_avg_sq"):
            own, theirs = (content["optimizer"]["state"][i][moment] for content in (ours, exported))
            assert torch.equal(theirs, own.flip(0) if is_turned else own), name
    torch.save(exported, tmp_path / "published.pth")
    back = read_checkpoint(tmp_path / "published.pth")
    for key in ("nerf", "color_network_fine", "sdf_network_fine"):
        assert all(torch.equal(back[key][name], ours[key][name]) for name in ours[key])
    for i, moments in ours["optimizer"]["state"].items():
        assert all(torch.equal(back["optimizer"]["state"][i][name], value) for name, value in moments.items())


def test_the_last_of_more_than_ten_color_layers_is_found():
    model = build_model(ModelConfig(rendering_network=ColorNetworkConfig(d_hidden=4, n_layers=11)))
    content = {"color_network_fine": model.color_network.state_dict(), "nerf": model.nerf.state_dict()}
    turned = rgb_from_bgr(content)["color_network_fine"]
    assert torch.equal(turned["lin11.weight_v"], model.color_network.lin11.weight_v.flip(0))
    assert torch.equal(turned["lin9.weight_v"], model.color_network.lin9.weight_v)


@pytest.mark.parametrize("fraction", [0.0, 0.1, 0.5, 0.999])
def test_a_truncated_checkpoint_is_named(saved, fraction):
    content = saved.read_bytes()
    saved.write_bytes(content[: int(fraction * len(content))])
    with pytest.raises(InputError, match=r"ckpt_000007.pth: not a readable checkpoint, truncated"):
        read_checkpoint(saved)


@pytest.mark.parametrize("position", [10, 300, 2000])
def test_a_damaged_checkpoint_is_an_error_of_one_line_or_harmless(saved, position):
    content = bytearray(saved.read_bytes())
    content[position : position + 8] = b"\xff" * 8
    saved.write_bytes(bytes(content))
    try:
        read_checkpoint(saved)
    except InputError as error:
        assert str(saved) in str(error) and "\n" not in str(error)


def test_scalars_of_numpy_and_names_of_other_programs_are_read(saved, model):
    content = torch.load(saved, weights_only=True)
    plain = read_checkpoint(saved)
    new = {"weight_g": "parametrizations.weight.original0", "weight_v": "parametrizations.weight.original1"}
    for part in checkpoint.PARTS:
        named = {}
        for name, value in content[part].items():
            stem, _, last = name.rpartition(".")
            named["module." + (f"{stem}.{new[last]}" if last in new else name)] = value
        content[part] = named
    content |= {"iter_step": np.int64(7), "psnr": np.float32(20.5), "dtype": np.dtype("float16")}
    torch.save(content, saved)
    read = read_checkpoint(saved)
    assert read["iter_step"] == 7 and read["psnr"] == 20.5
    for part in checkpoint.PARTS:
        assert read[part].keys() == plain[part].keys()
    load_parameters(model, read, saved)


def test_a_type_that_is_refused_is_named(saved):
    content = torch.load(saved, weights_only=True)
    torch.save(content | {"step": fractions.Fraction(1, 2)}, saved)
    with pytest.raises(InputError, match=r"holds a fractions\.Fraction, which could run code when it is loaded"):
        read_checkpoint(saved)


def test_a_checkpoint_that_would_run_code_is_refused(tmp_path):
    class Harmful:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "harm"),)

    torch.save({"nerf": Harmful()}, tmp_path / "x.pth")
    with pytest.raises(InputError, match="x.pth"):
        read_checkpoint(tmp_path / "x.pth")
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"state_dict": {}}, "no 'nerf'"),
        ([1, 2], "no 'nerf'"),
        (
            {"nerf": 1, "sdf_network_fine": {}, "variance_network_fine": {}, "color_network_fine": {}, "iter_step": 1},
            "state",
        ),
    ],
)
def test_another_kind_of_file_is_distinguished_from_a_checkpoint(tmp_path, content, said):
    torch.save(content, tmp_path / "x.pth")
    with pytest.raises(InputError, match=f"x.pth: not a NeuS checkpoint.*{said}"):
        read_checkpoint(tmp_path / "x.pth")


def test_a_checkpoint_of_a_newer_version_is_refused(saved):
    content = torch.load(saved, weights_only=True)
    content["neus"]["format"] = 99
    torch.save(content, saved)
    with pytest.raises(InputError, match="format 99, expected 1"):
        read_checkpoint(saved)


def test_a_missing_checkpoint_is_named(tmp_path):
    with pytest.raises(InputError, match="none.pth: no such checkpoint"):
        read_checkpoint(tmp_path / "none.pth")


def test_parameters_of_another_conf_are_refused_by_name(saved, model, tiny_config):
    content = read_checkpoint(saved)
    del content["color_network_fine"]["lin2.bias"]
    with pytest.raises(InputError, match="color_network_fine/lin2.bias: found no such tensor"):
        load_parameters(model, content, saved)
    content = read_checkpoint(saved)
    content["nerf"]["extra"] = torch.zeros(2)
    with pytest.raises(InputError, match=r"nerf/extra: found \(2,\), the config makes no such tensor"):
        load_parameters(model, content, saved)


def test_an_optimizer_of_other_parameters_is_refused(saved, model):
    content = read_checkpoint(saved)
    content["optimizer"]["param_groups"][0]["params"].pop()
    with pytest.raises(InputError, match="optimiser does not fit"):
        load_optimizer(build_optimizer(model), content, saved)
    del content["optimizer"]
    with pytest.raises(InputError, match="optimiser does not fit"):
        load_optimizer(build_optimizer(model), content, saved)


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        RuntimeError("[enforce fail at inline_container.cc:672] . PytorchStreamWriter failed writing file"),
    ],
)
def test_a_full_disk_leaves_the_old_checkpoint_and_no_half_one(saved, model, optimizer, monkeypatch, error):
    before = saved.read_bytes()

    def half(content, path):
        path.write_bytes(b"half")
        raise error

    monkeypatch.setattr(checkpoint.torch, "save", half)
    with pytest.raises(InputError, match="ckpt_000007.pth: cannot be written"):
        save_checkpoint(saved, model, optimizer, 7, {})
    assert saved.read_bytes() == before
    assert [p.name for p in saved.parent.glob("*ckpt*")] + [p.name for p in saved.parent.glob(".*")] == [saved.name]


def test_an_interruption_while_writing_leaves_the_old_checkpoint_and_no_half_one(saved, model, optimizer, monkeypatch):
    before = saved.read_bytes()

    def half(content, path):
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint.torch, "save", half)
    with pytest.raises(KeyboardInterrupt):
        save_checkpoint(saved, model, optimizer, 7, {})
    assert saved.read_bytes() == before and not list(saved.parent.glob(".*"))


def test_a_hash_surface_is_kept_under_the_published_key(tiny_hash_config, tmp_path):
    model = build_model(tiny_hash_config.model)
    model.set_active_levels(2)
    save_checkpoint(tmp_path / "ckpt_000001.pth", model, build_optimizer(model), 1, {})
    content = read_checkpoint(tmp_path / "ckpt_000001.pth")
    assert set(content["sdf_network_fine"]) == {
        "grid.table", "grid.n_active", "hidden.weight", "hidden.bias", "out.weight", "out.bias",
    }  # fmt: skip
    other = build_model(tiny_hash_config.model, seed=1)
    load_parameters(other, content, tmp_path)
    points = torch.rand(20, 3)
    assert torch.equal(model.sdf(points), other.sdf(points)) and int(other.sdf_network.grid.n_active) == 2
    with pytest.raises(
        InputError, match="the published NeuS has no hash grid; export a model with model.surface = mlp"
    ):
        published_checkpoint(content)


def test_a_checkpoint_of_the_other_kind_of_surface_is_refused(tiny_hash_config, saved):
    content = read_checkpoint(saved)
    with pytest.raises(InputError, match="sdf_network_fine/grid.table: found no such tensor"):
        load_parameters(build_model(tiny_hash_config.model), content, saved)
