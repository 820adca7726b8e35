"""Scenes that change after training: every verb writes what it wrote before, to the last digit."""

import json
import re
import shutil
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from neus.geometry.similarity import scale_of
from neus.runs.run_folder import RunFolder
from neus.runs.train import train
from neus.scenes.readers import read_scene
from neus.scenes.writers import write_colmap
from tests.scenes.layouts import ring_scene, world_points

VIEWS, SIZE = 6, (40, 30)
# More than images this small take, so that pages show as many views whatever else the machine does.
SECONDS = 200
# What `evaluate` measures within the masks, which are those that lie in the scene's folder now.
WITHIN_MASKS = ("psnr_masked", "psnr_masked_affine", "ssim_masked", "mask_error")


@pytest.fixture(scope="module")
def runs(tmp_path_factory, tiny_config):
    """A COLMAP scene with masks, whose region of interest is found from its points, and two runs on it."""
    folder = tmp_path_factory.mktemp("changed")
    views = ring_scene([SIZE] * VIEWS)
    scene = write_colmap(views, folder / "scene", points=world_points(views, 60))
    for name, seed in (("run", 0), ("other", 1)):
        dataset = replace(tiny_config.dataset, data_dir=str(scene), holdout=2)
        training = replace(tiny_config.train, mask_weight=0.0, end_iter=4, save_freq=4, seed=seed)
        train(replace(tiny_config, dataset=dataset, train=training), RunFolder(folder / name), device="cpu")
    return folder


@pytest.fixture
def written(runs, tmp_path, neus_command):
    """Runs each verb on copies of the runs and a scene; gives what they write, by name."""

    def write(scene, name):
        place = shutil.copytree(runs, tmp_path / name, ignore=shutil.ignore_patterns("scene"))
        run, other, out = place / "run", place / "other", place / "out"
        common = ("--data", scene, "--device", "cpu")
        for verb in (
            ("mesh", run, "--resolution", 32),
            ("mesh", other, "--resolution", 32),
            ("mesh", run, "--resolution", 32, "--threshold", -0.4, "--clip-to-masks", 0, "--out", out / "clipped.ply"),
            ("render", run, "--views", "1,2", "--what", "rgb,normal,depth", "--out", out / "views"),
            ("render", run, "--between", 0, 5, "--frames", 3, "--out", out / "between"),
            ("render", run, "--orbit", 2, "--out", out / "orbit"),
            ("evaluate", run),
            ("report", run, "--seconds", SECONDS),
            ("compare", run, other, "--seconds", SECONDS, "--out", out / "comparison.html"),
        ):
            status, _, err = neus_command(*verb, *common)
            assert status == 0, (verb[0], err)
        files = [run / "mesh.ply", other / "mesh.ply", run / "evaluation.json", run / "report.html"]
        files += [path for path in out.rglob("*") if path.suffix in (".ply", ".png", ".npy", ".html")]
        return {str(path.relative_to(place)): content_of(path) for path in files}

    return write


@pytest.fixture
def before(runs, written):
    return written(runs / "scene", "before")


def content_of(path):
    """The bytes of a file, of a page without the time that it took to make it, of numbers those that need no mask."""
    if path.suffix == ".json":
        numbers = json.loads(path.read_text())
        for scores in (numbers["mean"], *numbers["views"]):
            assert all(scores.pop(name) >= 0.0 for name in WITHIN_MASKS)
        return numbers
    if path.suffix == ".html":
        page = path.read_text()
        assert "PSNR" in page and "data:image/" in page
        page = re.sub(r"<section><h2>Where time went.*?</section>", "", page, flags=re.DOTALL)
        page = re.sub(r"<tr><th>evaluation: (" + "|".join(WITHIN_MASKS) + ")</th>.*?</tr>", "", page)
        return re.sub(r"<div class=\"tile\"><b>[^<]*</b><span>[^<]*inside the masks</span></div>", "", page)
    return path.read_bytes()


def differing(one, other):
    assert one.keys() == other.keys()
    return [name for name in one if one[name] != other[name]]


def test_masks_that_grew_change_nothing_but_what_is_cut_and_measured_by_them(runs, tmp_path, before, written):
    scene = shutil.copytree(runs / "scene", tmp_path / "scene")
    for file in (scene / "masks").iterdir():
        mask = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
        cv2.imwrite(str(file), cv2.dilate(mask, np.ones((5, 5), np.uint8)))
    assert differing(before, written(scene, "after")) == ["out/clipped.ply"]


def test_points_that_were_optimised_again_change_nothing(runs, tmp_path, before, written):
    views = ring_scene([SIZE] * VIEWS)
    points = world_points(views, 60)
    moved = points + 0.1 * scale_of(views.scene_to_world) * torch.rand(points.shape, dtype=torch.float64)
    scene = write_colmap(views, tmp_path / "scene", points=moved)
    found = [read_scene(folder).scene_to_world for folder in (runs / "scene", scene)]
    assert not torch.allclose(*found, rtol=1e-3), "the region of interest that is found is another one"
    assert differing(before, written(scene, "after")) == []


def test_an_image_that_was_added_changes_nothing_even_if_it_is_larger_and_has_no_mask(runs, tmp_path, before, written):
    views = ring_scene([SIZE] * VIEWS)
    large = ring_scene([SIZE] * VIEWS + [(2400, 1800)])
    poses = torch.cat([views.camera_to_scene, large.camera_to_scene[-1:]])
    more = replace(
        large,
        images=[*views.images, large.images[-1]],
        masks=None,
        camera_to_scene=poses,
        names=[*views.names, "00.png"],
    )
    scene = write_colmap(more, tmp_path / "scene", points=world_points(views, 60))
    shutil.copytree(runs / "scene" / "masks", scene / "masks")
    assert differing(before, written(scene, "after")) == []
