"""Numbers that the published NeuS computes from a checkpoint that it wrote, reproduced after turning its BGR to RGB."""

import numpy as np
import pytest
import torch

import neus
from neus.geometry.rays import near_far_around_center, rays_from_pixels
from neus.runs.config import read_config
from neus.training.checkpoint import (
    load_optimizer,
    load_parameters,
    published_checkpoint,
    read_checkpoint,
    save_checkpoint,
)
from neus.training.losses import eikonal_loss
from neus.training.optimizer import build_optimizer


@pytest.fixture(scope="module")
def oracle(shared):
    folder = shared / "oracle"
    with np.load(folder / "neus_wmask.npz") as archive:
        return folder, {name: torch.from_numpy(np.asarray(archive[name])) for name in archive.files}


@pytest.fixture(scope="module")
def numbers(oracle):
    return oracle[1]


@pytest.fixture(scope="module")
def checkpoint(oracle):
    return oracle[0] / "neus_wmask.pth"


@pytest.fixture(scope="module")
def conf(oracle):
    return oracle[0] / "neus_wmask.conf"


@pytest.fixture(scope="module")
def model(checkpoint, conf):
    return neus.load_model(checkpoint, conf)


@pytest.fixture(scope="module")
def scene(shared):
    return neus.load_scene(shared / "data" / "dtu_scan65")


def difference(one, other):
    return (one.detach().double() - other.double()).abs().max().item()


def test_signed_distance_features_and_gradient(model, numbers):
    surface = model.sdf_network.evaluate(numbers["points"])
    assert difference(surface.sdf, numbers["sdf"]) < 1e-4
    assert difference(model.sdf(numbers["points"]), numbers["sdf"]) < 1e-4
    assert difference(surface.features, numbers["features"]) < 1e-4
    assert difference(surface.gradients, numbers["gradient"]) < 1e-4
    assert difference(model.gradient(numbers["points"]), numbers["gradient"]) < 1e-4


@pytest.mark.parametrize("white", [False, True])
@pytest.mark.parametrize("ratio", ["0.0", "0.37", "1.0"])
def test_rendering_at_every_annealing_ratio_before_black_and_white(model, numbers, ratio, white):
    expected = {name: value for name, value in numbers.items() if name.startswith(f"r{ratio}_bg{int(white)}/")}
    expected = {name.split("/")[1]: value for name, value in expected.items()}
    with torch.no_grad():
        background = torch.ones(3) if white else None
        seen = model.render(numbers["rays_o"], numbers["rays_d"], background, cos_anneal=float(ratio))
    assert difference(seen.rgb, expected["color_fine"].flip(-1)) < 1e-4
    assert difference(seen.opacity, expected["weight_sum"].squeeze(-1)) < 1e-4
    assert difference(seen.weights.amax(-1), expected["weight_max"].squeeze(-1)) < 1e-4
    assert difference(eikonal_loss(seen.gradients, seen.radii), expected["gradient_error"]) < 1e-4
    assert difference(1.0 / model.sharpness(), expected["s_val"][0, 0]) < 1e-6
    if not white:  # the same as before black, and stored once
        assert difference(seen.weights, expected["weights"]) < 1e-4
        assert difference(seen.gradients, expected["gradients"]) < 1e-4


def test_rays_through_pixels_in_full_resolution_coordinates(scene, numbers):
    # NeuS counts pixel centres at integers; an image of half the size holds two of its pixels in each, and ours has
    # centres at +0.5.
    views = numbers["pixels"][:, 0].long()
    pixels = (numbers["pixels"][:, 1:].double() + 0.5) / 2.0
    origins, directions = rays_from_pixels(pixels, scene.intrinsics[views], scene.camera_to_scene[views])
    assert difference(origins, numbers["rays_o"]) < 1e-5
    assert difference(directions, numbers["rays_d"]) < 1e-5


def test_cameras(scene, numbers):
    assert difference(scene.camera_to_scene, numbers["pose"]) < 1e-5
    intrinsics = scene.intrinsics.clone()
    intrinsics[:, :2] *= 2.0  # back to full resolution
    intrinsics[:, :2, 2] -= 0.5
    # Pixels: focal lengths are thousands, hence the tolerance.
    assert difference(intrinsics, numbers["intrinsics"][:, :3, :3]) < 1e-3


def test_near_and_far(numbers):
    near, far = near_far_around_center(numbers["rays_o"], numbers["rays_d"])
    assert difference(near, numbers["near"].squeeze(-1)) < 1e-5
    assert difference(far, numbers["far"].squeeze(-1)) < 1e-5


def test_box_of_the_mesh(scene, numbers):
    assert difference(scene.box, torch.stack([numbers["bbox_min"], numbers["bbox_max"]])) < 1e-5


def tensors_of(content):
    """Every tensor and number of a checkpoint by its place."""
    found = {}

    def visit(value, place):
        if isinstance(value, dict):
            for key, part in value.items():
                visit(part, f"{place}/{key}")
        elif isinstance(value, (list, tuple)):
            for i, part in enumerate(value):
                visit(part, f"{place}/{i}")
        else:
            found[place] = value

    visit(content, "")
    return found


def assert_same(one, other):
    one, other = tensors_of(one), tensors_of(other)
    assert one.keys() == other.keys()
    for place, value in one.items():
        same = torch.equal(value, other[place]) if isinstance(value, torch.Tensor) else value == other[place]
        assert same, place


def test_published_checkpoint_saved_as_ours_and_exported_is_the_same_tensor_by_tensor(model, checkpoint, tmp_path):
    published = torch.load(checkpoint, map_location="cpu", weights_only=True)
    content = read_checkpoint(checkpoint)
    optimizer = build_optimizer(model)
    load_optimizer(optimizer, content, checkpoint)
    save_checkpoint(tmp_path / "ckpt_000060.pth", model, optimizer, content["iter_step"], {})
    exported = published_checkpoint(read_checkpoint(tmp_path / "ckpt_000060.pth"))
    assert list(exported) == [
        "nerf",
        "sdf_network_fine",
        "variance_network_fine",
        "color_network_fine",
        "optimizer",
        "iter_step",
    ]
    for key in ("nerf", "sdf_network_fine", "variance_network_fine", "color_network_fine", "iter_step"):
        assert_same(exported[key], published[key])
    assert_same(exported["optimizer"]["state"], published["optimizer"]["state"])
    for ours, theirs in zip(exported["optimizer"]["param_groups"], published["optimizer"]["param_groups"], strict=True):
        # Later versions of torch add options of their own; those of the file stay.
        assert {name: ours[name] for name in theirs} == theirs


def test_our_checkpoint_exported_and_imported_is_the_same(model, checkpoint, conf, tmp_path):
    optimizer = build_optimizer(model)
    load_optimizer(optimizer, read_checkpoint(checkpoint), checkpoint)
    config = read_config(conf)
    assert config.model == model.config
    save_checkpoint(tmp_path / "ckpt_000060.pth", model, optimizer, 60, {})
    ours = read_checkpoint(tmp_path / "ckpt_000060.pth")
    torch.save(published_checkpoint(ours), tmp_path / "published.pth")
    back = read_checkpoint(tmp_path / "published.pth")
    assert_same({k: v for k, v in ours.items() if k != "neus"}, back)
    again = neus.load_model(tmp_path / "published.pth", conf)
    assert_same(dict(again.state_dict()), dict(model.state_dict()))


def test_colors_are_turned_from_bgr_to_rgb_in_both_color_networks(checkpoint, model):
    published = torch.load(checkpoint, map_location="cpu", weights_only=True)
    assert torch.equal(model.color_network.lin4.bias, published["color_network_fine"]["lin4.bias"].flip(0))
    assert torch.equal(model.nerf.rgb_linear.weight, published["nerf"]["rgb_linear.weight"].flip(0))


def test_another_conf_is_refused_by_the_name_of_the_first_tensor_that_differs(checkpoint, conf, tmp_path):
    wider = tmp_path / "wider.conf"
    wider.write_text(conf.read_text().replace("d_hidden = 64", "d_hidden = 80"))
    with pytest.raises(neus.InputError, match=r"sdf_network_fine/lin0.bias: found \(64,\), the config makes \(80,\)"):
        neus.load_model(checkpoint, wider)


def test_a_published_checkpoint_asks_for_its_conf(checkpoint):
    with pytest.raises(neus.InputError, match="--conf"):
        neus.load_model(checkpoint)


def test_parameters_load_into_the_networks_they_are_named_for(model, checkpoint):
    content = read_checkpoint(checkpoint)
    load_parameters(model, content, checkpoint)
    assert torch.equal(model.sdf_network.lin3.weight_v, content["sdf_network_fine"]["lin3.weight_v"])
    assert torch.equal(model.sharpness.variance, content["variance_network_fine"]["variance"])
