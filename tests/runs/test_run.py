"""A run owns its frame: what is measured stays what it was, whatever becomes of the data after training."""

import json
import os
import shutil
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from neus.errors import InputError
from neus.files import read_text
from neus.reports.report import write_report
from neus.runs.run import Run
from neus.runs.run_folder import RunFolder
from neus.runs.train import train
from neus.scenes.writers import write_colmap
from neus.workflows.evaluate import evaluate_run
from tests.scenes.layouts import WORLD, ring_scene, world_points, write_blender


@pytest.fixture(scope="module")
def blender_run(tmp_path_factory, tiny_config):
    """A scene whose region of interest is found from its masks, and a run on it."""
    folder = tmp_path_factory.mktemp("blender")
    scene = write_blender(ring_scene([(40, 30)] * 6), folder / "scene")
    return scene, trained(tiny_config, scene, folder / "run")


@pytest.fixture(scope="module")
def colmap_run(tmp_path_factory, tiny_config):
    """The same from sparse points."""
    folder = tmp_path_factory.mktemp("colmap")
    views = ring_scene([(40, 30)] * 6)
    scene = write_colmap(replace(views, masks=None), folder / "scene", points=world_points(views, 60))
    return scene, trained(tiny_config, scene, folder / "run")


def trained(tiny_config, scene, run):
    dataset = replace(tiny_config.dataset, data_dir=str(scene), holdout=2)
    training = replace(tiny_config.train, mask_weight=0.0, end_iter=2, save_freq=2)
    train(replace(tiny_config, dataset=dataset, train=training), RunFolder(run), device="cpu")
    return run


def facts_of(run):
    """All that must not change: cameras in the model's frame, that frame, and what is measured."""
    opened = Run(run)
    model, scene = opened.model_and_scene("cpu")
    held_out = opened.held_out(scene)
    assert scene.scene_to_world is model.scene_to_world or torch.equal(scene.scene_to_world, model.scene_to_world)
    cameras = {scene.names[v]: scene.camera_to_scene[v].tolist() for v in held_out}
    scores = {v["name"]: v["psnr"] for v in evaluate_run(run, device="cpu")["views"]}
    return cameras, model.scene_to_world.tolist(), model.box.tolist(), scores


def grow_masks(scene):
    for file in (scene / "train").iterdir():
        pixels = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
        pixels[..., 3] = cv2.dilate(pixels[..., 3], np.ones((5, 5), np.uint8))
        cv2.imwrite(str(file), pixels)


def test_masks_that_grew_after_training_change_no_camera_and_no_frame(blender_run, tmp_path):
    scene, run = blender_run
    copy = shutil.copytree(scene, tmp_path / "scene")
    before = facts_of(run)
    grow_masks(copy)
    after = Run(run, copy)
    assert len(after.scene()) == 6
    model, seen = after.model_and_scene("cpu")
    assert seen.camera_to_scene.tolist() == Run(run).scene().camera_to_scene.tolist()
    assert (model.scene_to_world.tolist(), model.box.tolist()) == before[1:3]


def test_an_image_that_was_added_changes_nothing_for_the_others(blender_run, tmp_path):
    scene, run = blender_run
    before = facts_of(run)
    moved = shutil.copytree(run, tmp_path / "run")
    grown = shutil.copytree(scene, tmp_path / "scene")
    path = grown / "transforms_train.json"
    transforms = json.loads(read_text(path))
    name = transforms["frames"][0]["file_path"]
    file = next((grown / "train").glob("r_0*"))
    shutil.copy(file, file.with_name("a_new" + file.suffix))
    new = dict(transforms["frames"][0], file_path=name.replace("r_0", "a_new"))
    path.write_text(json.dumps(transforms | {"frames": [new, *transforms["frames"]]}))
    facts = json.loads((moved / "run.json").read_text())
    (moved / "run.json").write_text(json.dumps(facts | {"scene": str(grown)}))
    assert Run(moved).scene().names == Run(run).scene().names
    assert facts_of(moved) == before
    report = write_report(moved, 1.0, device="cpu").read_text()
    assert "a_new" not in report


def test_points_that_were_optimised_again_change_no_camera(colmap_run, tmp_path):
    scene, run = colmap_run
    before = facts_of(run)
    views = ring_scene([(40, 30)] * 6)
    jittered = world_points(views, 60) + 0.05 * WORLD[0, 0] * torch.rand(60, 3, dtype=torch.float64)
    copy = write_colmap(replace(views, masks=None), tmp_path / "scene", points=jittered)
    seen = Run(run, copy).scene()
    assert seen.camera_to_scene.tolist() == Run(run).scene().camera_to_scene.tolist()
    assert seen.scene_to_world.tolist() == before[1]


def test_a_scene_without_the_held_out_views_is_refused_in_one_line(blender_run, tmp_path):
    scene, run = blender_run
    fewer = shutil.copytree(scene, tmp_path / "scene")
    path = fewer / "transforms_train.json"
    transforms = json.loads(read_text(path))
    path.write_text(json.dumps(transforms | {"frames": transforms["frames"][1:]}))
    with pytest.raises(InputError, match="1 of 6 views of the run are not in it .*give the scene that the run was trained on"):
        evaluate_run(run, fewer, device="cpu")


def test_the_test_split_is_measured_in_the_frame_of_the_model(blender_run, tmp_path):
    scene, run = blender_run
    copy = shutil.copytree(scene, tmp_path / "scene")
    shutil.copy(copy / "transforms_train.json", copy / "transforms_test.json")
    whole = evaluate_run(run, copy, device="cpu", split="test")
    assert whole["split"] == "test" and whole["n_held_out"] == 6
    scores = {v["name"]: v["psnr"] for v in whole["views"]}
    assert all(scores[v["name"]] == pytest.approx(v["psnr"], abs=1e-3) for v in evaluate_run(run, device="cpu")["views"])


def test_a_checkpoint_given_alone_is_read_as_its_run_is(colmap_run):
    _, run = colmap_run
    alone = Run(run / "checkpoints" / "ckpt_000002.pth")
    assert alone.path == run and alone.config == Run(run).config
    assert alone.scene().camera_to_scene.tolist() == Run(run).scene().camera_to_scene.tolist()


def test_the_newest_mesh_is_the_runs(blender_run, tmp_path):
    run = shutil.copytree(blender_run[1], tmp_path / "run")
    with pytest.raises(InputError, match="no mesh.ply in it"):
        Run(run).mesh_path()
    for number, place in enumerate(("meshes/mesh.ply", "mesh.ply")):
        (run / place).parent.mkdir(exist_ok=True)
        (run / place).touch()
        os.utime(run / place, (number, number))
        assert Run(run).mesh_path() == run / place


def with_a_first_image(scene, to, inside=None):
    """The scene with one more image in front of all others, its camera where the second stands or at a point inside the object."""
    shutil.copytree(scene, to)
    path = to / "transforms_train.json"
    transforms = json.loads(read_text(path))
    shutil.copy(to / "train" / "r_1.png", to / "train" / "a_new.png")
    frame = json.loads(json.dumps(transforms["frames"][1])) | {"file_path": "./train/a_new"}
    if inside is not None:
        for row, number in zip(frame["transform_matrix"], inside):
            row[3] = number
    path.write_text(json.dumps(transforms | {"frames": [frame, *transforms["frames"]]}))
    return to


def test_views_keep_their_numbers_when_an_image_is_added(blender_run, tmp_path, neus_command):
    scene, run = blender_run
    other = shutil.copytree(run, tmp_path / "other")
    for name, data in (("before", scene), ("after", with_a_first_image(scene, tmp_path / "scene"))):
        options, out = ("--data", data, "--device", "cpu"), tmp_path / name
        assert neus_command("render", run, "--views", 1, *options, "--out", out)[0] == 0
        assert neus_command("render", run, "--orbit", 2, *options, "--out", out)[0] == 0
        assert neus_command("compare", run, other, *options, "--seconds", "0.5", "--out", out / "page.html")[0] == 0
    for name in ("001_rgb.png", "0000.png", "0001.png"):
        assert (tmp_path / "before" / name).read_bytes() == (tmp_path / "after" / name).read_bytes()
    assert "a_new" not in (tmp_path / "after" / "page.html").read_text()


def test_an_added_camera_may_stand_anywhere(blender_run, tmp_path):
    scene, run = blender_run
    inside = Run(run).scene().scene_to_world[:3, 3].tolist()
    assert facts_of(run)[0].keys() == set(Run(run, with_a_first_image(scene, tmp_path / "s", inside)).scene().names[::2])


def test_views_may_be_left_out_by_name(blender_run):
    names = Run(blender_run[1]).scene().names
    fewer = Run(blender_run[1], overrides=[f'dataset.exclude=["{names[1]}"]']).scene()
    assert fewer.names == [names[0], *names[2:]]


def test_only_how_the_scene_is_read_can_be_changed(blender_run):
    with pytest.raises(InputError, match="a trained run stays as it is; expected dataset.key=value"):
        Run(blender_run[1], overrides=["train.end_iter=3"]).model("cpu")


def test_numbers_and_mesh_of_a_checkpoint_lie_in_its_run(blender_run, tmp_path, neus_command):
    run = shutil.copytree(blender_run[1], tmp_path / "run")
    newest, older = (run / "checkpoints" / f"ckpt_00000{iteration}.pth" for iteration in (2, 1))
    shutil.copy(newest, older)
    quick = ("--resolution", 16, "--device", "cpu")
    assert neus_command("evaluate", older, "--device", "cpu")[1][-1] == str(run / "evaluation.json")
    assert neus_command("mesh", newest, *quick)[1][-1] == str(run / "mesh.ply")
    assert neus_command("mesh", older, *quick)[1][-1] == str(run / "meshes" / "00000002.ply")


def test_a_run_goes_on_in_its_frame_whatever_is_found_now(colmap_run, tmp_path, tiny_config, neus_command):
    scene = shutil.copytree(colmap_run[0], tmp_path / "scene")
    run = trained(tiny_config, scene, tmp_path / "run")
    frame = Run(run).scene().scene_to_world
    next(scene.rglob("points3D.*")).unlink()  # the region would now come from the optical axes
    status, _, err = neus_command("train", run, "--resume", "--set", "train.end_iter=3", "--device", "cpu")
    assert status == 0, err
    torch.testing.assert_close(Run(run).scene().scene_to_world, frame)


def test_a_run_is_resumed_from_another_folder(blender_run, tiny_config, tmp_path, monkeypatch, neus_command):
    shutil.copytree(blender_run[0], tmp_path / "scene")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    run = trained(tiny_config, "scene", tmp_path / "run")
    monkeypatch.chdir(tmp_path / "elsewhere")
    status, _, err = neus_command("train", run, "--resume", "--device", "cpu")
    assert status == 0, err
    facts = RunFolder(run).facts()
    assert facts["scene"] == RunFolder(run).config().dataset.data_dir == str((tmp_path / "scene").resolve())
    assert facts["region"]["radius"] == pytest.approx(float(Run(run).scene().scene_to_world[0, 0]))
