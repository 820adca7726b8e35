"""From posed images to mesh and views, on the built-in scene in every layout and on real scenes."""

import json

import pytest
import torch
import trimesh

import neus
from neus.geometry.similarity import transform_points
from neus.scenes.writers import write_colmap, write_idr
from neus.training.metrics import read_metrics
from tests.scenes.layouts import write_blendedmvs, write_blender

WRITERS = {"idr": write_idr, "blendedmvs": write_blendedmvs, "blender": write_blender, "colmap": write_colmap}
FEW = ["--set", "train.batch_size=64", "--set", "train.learning_rate=5e-3", "--set", "train.mask_weight=1.0"]


@pytest.fixture(scope="module")
def built_in(scene_folder):
    return neus.load_scene(scene_folder)


@pytest.fixture(params=WRITERS)
def any_layout(request, built_in, tmp_path):
    folder = tmp_path / request.param
    if request.param == "colmap":
        points = transform_points(built_in.scene_to_world, 0.5 * torch.randn(200, 3).double().clamp(-1.5, 1.5))
        return write_colmap(built_in, folder, points=points)
    return WRITERS[request.param](built_in, folder)


def test_every_layout_trains_and_gives_a_mesh_in_world_units_within_the_box(
    any_layout, tiny_conf, tmp_path, neus_command
):
    run, mesh_file = tmp_path / "run", tmp_path / "mesh.ply"
    arguments = ["--conf", tiny_conf, "--data", any_layout, "--run", run, *FEW, "--set", "train.end_iter=100"]
    status, out, err = neus_command("train", *arguments)
    assert (status, out[-1]) == (0, str(run)), err
    losses = [line["total"] for line in read_metrics(run / "metrics.jsonl")]
    assert sum(losses[-20:]) < 0.9 * sum(losses[:20])

    status, out, err = neus_command("mesh", run, "--resolution", 32, "--unseen", "close", "--out", mesh_file)
    assert (status, out[-1]) == (0, str(mesh_file)), err
    scene = neus.load_scene(any_layout)
    lower, upper = transform_points(scene.scene_to_world, scene.box)
    mesh = trimesh.load(mesh_file)
    assert (mesh.bounds[0] >= lower.numpy() - 1e-3).all() and (mesh.bounds[1] <= upper.numpy() + 1e-3).all()
    assert mesh.volume > 0 and mesh.is_watertight


@pytest.mark.parametrize("name", ["dtu_scan65", "dtu_scan24", "lego"])
def test_a_real_scene_trains_resumes_to_the_same_numbers_and_evaluates(name, shared, tiny_conf, tmp_path, neus_command):
    common = ["--conf", tiny_conf, "--data", shared / "data" / name, "--holdout", 12, *FEW]
    common += ["--set", "train.save_freq=15", "--set", "train.end_iter=30"]
    assert neus_command("train", *common, "--run", tmp_path / "whole")[0] == 0
    assert neus_command("train", *common, "--run", tmp_path / "parts")[0] == 0
    (tmp_path / "parts/checkpoints/ckpt_000030.pth").unlink()
    assert neus_command("train", *common, "--run", tmp_path / "parts", "--resume")[0] == 0
    whole, parts = (
        torch.load(tmp_path / run / "checkpoints/ckpt_000030.pth", weights_only=True) for run in ("whole", "parts")
    )
    for network in ("nerf", "sdf_network_fine", "variance_network_fine", "color_network_fine"):
        for tensor in whole[network]:
            assert torch.equal(whole[network][tensor], parts[network][tensor]), f"{network}/{tensor}"
    losses = [line["total"] for line in read_metrics(tmp_path / "whole/metrics.jsonl")]
    assert sum(losses[-10:]) < sum(losses[:10])
    status, out, err = neus_command("evaluate", tmp_path / "whole", "--scale", 0.05)
    assert status == 0, err
    numbers = json.loads((tmp_path / "whole/evaluation.json").read_text())
    assert numbers["n_held_out"] == len(numbers["views"]) and 3.0 < numbers["mean"]["psnr"] < 40.0
