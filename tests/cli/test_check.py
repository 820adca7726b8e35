import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from neus.geometry.similarity import transform_points
from neus.runs.config import read_config
from neus.runs.load import load_scene
from neus.scenes.synthetic import write_synthetic
from neus.scenes.writers import write_colmap, write_idr
from tests.scenes.layouts import WORLD, ring_scene, world_points, write_blender


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    return write_synthetic(tmp_path_factory.mktemp("check") / "cup", views=12, width=160, height=120, antialias=1)


@pytest.fixture
def too_large(good, tmp_path):
    """The same scene whose sphere is said to be twice as large."""
    folder = tmp_path / "large"
    folder.mkdir()
    for name in ("image", "mask"):
        (folder / name).symlink_to(good / name)
    with np.load(good / "cameras_sphere.npz") as matrices:
        scales = {
            name: matrix @ np.diag([2.0, 2.0, 2.0, 1.0]) if "scale" in name else matrix
            for name, matrix in matrices.items()
        }
    np.savez(folder / "cameras_sphere.npz", **scales)
    return folder


def test_a_good_scene_passes_even_strictly(neus_command, good, tmp_path):
    status, out, err = neus_command("check", good, "--out", tmp_path / "out", "--strict")
    assert status == 0 and not err and out[-1] == str(tmp_path / "out")
    assert out[0] == "views: 12 of 160x120 pixels, format idr" and out[-2].startswith("nothing wrong found in ")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["check.json", "check.png"]


@pytest.mark.parametrize(("options", "expected"), [([], 0), (["--strict"], 1), (["--fast", "--strict"], 1)])
def test_findings_are_listed_and_fail_only_if_strict(neus_command, too_large, tmp_path, options, expected):
    status, out, _ = neus_command("check", too_large, "--out", tmp_path / "out", *options)
    assert status == expected
    line = next(line for line in out if line.startswith("warning: "))
    assert "fills only 0.4" in line and "make the region of interest smaller: in the camera file set" in line
    assert json.loads((tmp_path / "out/check.json").read_text())["findings"][0]["kind"] == "region_too_large"


@pytest.mark.parametrize("what", ["missing", "not a scene"])
def test_what_cannot_be_read_ends_with_status_2(neus_command, tmp_path, what):
    folder = tmp_path / "scene"
    if what == "not a scene":
        folder.mkdir()
    status, out, err = neus_command("check", folder, "--out", tmp_path / "out")
    assert status == 2 and not out and len(err) == 1 and err[0].startswith(f"error: {folder}: ")
    assert not (tmp_path / "out").exists()


@pytest.fixture
def ring(tmp_path):
    """A small scene whose region of interest is found when it is read."""
    return write_colmap(ring_scene([(60, 50)] * 8), tmp_path / "ring")


def test_the_region_of_interest_can_be_set_and_is_printed(neus_command, ring, tmp_path):
    where = ("--fast", "--out", tmp_path / "out")
    status, out, err = neus_command(
        "check", ring, *where, "--set", "dataset.center=[11.0, -4.0, 26.0]", "--set", "dataset.radius=20"
    )
    assert status == 0 and not err
    assert "region of interest: dataset.center=[11.0, -4.0, 26.0] dataset.radius=20.0" in out
    record = json.loads((tmp_path / "out/check.json").read_text())
    assert record["region"] == {"dataset.center": [11.0, -4.0, 26.0], "dataset.radius": 20.0}
    suggestion = next(line for line in out if "make the region of interest smaller" in line)
    settings = [part.strip("'") for part in suggestion.split("--set ")[1:]]
    given = [word for setting in settings for word in ("--set", setting.split("';")[0].strip(" '"))]
    status, out, err = neus_command("check", ring, *where, *given)
    assert status == 0 and not err and not any("region of interest smaller" in line for line in out)


@pytest.mark.parametrize("setting", ["train.end_iter=3", "model.surface=hash"])
def test_settings_of_other_sections_are_refused(neus_command, ring, tmp_path, setting):
    status, out, err = neus_command("check", ring, "--out", tmp_path / "out", "--set", setting)
    assert status == 2 and not out and "section dataset alone" in err[0]


def test_the_conf_that_is_written_reads_the_same_scene(neus_command, ring, tmp_path):
    conf = tmp_path / "confs" / "ring.conf"
    options = ("--fast", "--out", tmp_path / "out", "--write-conf", conf, "--set", "dataset.holdout=3")
    status, out, _ = neus_command("check", ring, *options)
    assert status == 0 and f"config: {conf}" in out
    dataset = read_config(conf).dataset
    assert dataset.data_dir == str(ring.resolve()) and dataset.holdout == 3
    line = next(line for line in out if line.startswith("region of interest:"))
    assert line.endswith(f"dataset.center={list(dataset.center)} dataset.radius={dataset.radius} (from optical axes)")
    status, again, _ = neus_command("check", ring, "--fast", "--out", tmp_path / "out", "--conf", conf)
    assert status == 0 and line.removesuffix(" (from optical axes)") in again


def test_the_conf_of_a_sphere_too_large_has_the_advised_one(neus_command, ring, tmp_path):
    conf = tmp_path / "ring.conf"
    large = ("--set", "dataset.center=[11.0, -4.0, 26.0]", "--set", "dataset.radius=20")
    neus_command("check", ring, "--fast", "--out", tmp_path / "out", "--write-conf", conf, *large)
    assert 1.0 < read_config(conf).dataset.radius < 6.0


def test_the_conf_of_a_scene_with_a_camera_file_leaves_the_region_to_it(neus_command, good, tmp_path):
    conf = tmp_path / "cup.conf"
    neus_command("check", good, "--fast", "--out", tmp_path / "out", "--write-conf", conf)
    dataset = read_config(conf).dataset
    assert dataset.center == () and dataset.radius == 0.0
    assert len(load_scene(dataset.data_dir, center=list(dataset.center))) == 12


def test_a_warning_of_the_reader_fails_a_strict_check(neus_command, ring, tmp_path):
    (ring / "images" / "more.png").write_bytes((ring / "images" / "0.png").read_bytes())
    status, out, _ = neus_command("check", ring, "--fast", "--strict", "--out", tmp_path / "out")
    assert status == 1 and any(line.startswith("warning: ") and "more.png" in line for line in out)
    assert json.loads((tmp_path / "out/check.json").read_text())["warnings"]


def test_intrinsics_of_another_size_are_checked_though_no_region_can_be_found(neus_command, tmp_path):
    folder = write_blender(ring_scene([(60, 50)] * 8), tmp_path / "blender")
    file = next(folder.glob("transforms*.json"))
    content = json.loads(file.read_text())
    for entry in (content, *content["frames"]):
        entry.pop("w", None), entry.pop("h", None)
        entry |= {key: 2 * entry[key] for key in ("fl_x", "fl_y", "cx", "cy") if key in entry}
    file.write_text(json.dumps(content))
    status, out, err = neus_command("check", folder, "--fast", "--out", tmp_path / "out")
    assert status == 0 and not err
    said = [line for line in out if line.startswith("warning: ")]
    assert "for images 2 times as large: 120x100 pixels" in said[0] and 'give "w": 120 and "h": 100' in said[0]
    assert not any("order" in line or "redo" in line for line in said)


def test_training_with_intrinsics_of_another_size_says_so(neus_command, tiny_conf, tmp_path):
    scene = ring_scene([(60, 50)] * 6)
    scene.intrinsics[:, :2] *= 2.0
    folder = write_idr(scene, tmp_path / "scene")
    given = ("--conf", tiny_conf, "--data", folder, "--run", tmp_path / "run", "--device", "cpu")
    status, out, err = neus_command("train", *given)
    assert status == 0 and any(line.startswith("region of interest: dataset.center=") for line in out)
    assert "for images 2 times as large" in "".join(err) and "same order" not in "".join(err)


def test_training_warns_of_a_sphere_too_large(neus_command, tiny_conf, too_large, tmp_path):
    given = ("--conf", tiny_conf, "--data", too_large, "--run", tmp_path / "run", "--device", "cpu")
    status, _, err = neus_command("train", *given)
    assert status == 0
    assert [line for line in err if line.startswith("warning: ") and "fills only 0.4" in line]


def test_what_is_reconstructed_can_be_the_object_the_scene_or_a_box(neus_command, tmp_path):
    room = 2.5 * torch.nn.functional.normalize(torch.randn(400, 3, generator=torch.Generator().manual_seed(1)).double(), dim=-1)
    views = ring_scene([(60, 50)] * 8)
    points = torch.cat([world_points(views, 400), transform_points(WORLD, room)])
    folder = write_colmap(replace(views, masks=None), tmp_path / "ring", points=points)
    radii = {}
    for region in ("object", "scene", "box:9.31,-6.1,23.9,13.3,-2.1,27.9"):
        status, out, _ = neus_command("check", folder, "--fast", "--out", tmp_path / "out", "--region", region)
        (line,) = [line for line in out if line.startswith("region of interest: ")]
        assert status == 0 and not any("inside the object's unit sphere" in line for line in out)
        radii[line.partition("(")[2]] = float(line.partition("radius=")[2].split()[0])
    assert list(radii) == ["from sparse points)", "from all sparse points)", ""]
    of_object, of_scene, of_box = radii.values()
    assert of_object < 0.5 * of_scene and of_box == pytest.approx(3.46, abs=0.02)


@pytest.mark.parametrize("region", ["all", "box", "box:1,2,3", "box:1,2,3,4,5,six"])
def test_other_words_for_the_region_are_refused(neus_command, ring, region):
    status, _, err = neus_command("check", ring, "--region", region)
    assert status == 2 and "expected object, scene, or box:" in err[0]


def test_an_idr_scene_has_its_region_in_its_camera_file(neus_command, good, tmp_path):
    status, out, _ = neus_command("check", good, "--fast", "--out", tmp_path / "out")
    assert status == 0 and any(line.endswith("(from scale_mat_i of the camera file)") for line in out)
    status, out, _ = neus_command("check", good, "--fast", "--out", tmp_path / "out", "--region", "box:-1,-1,-1,1,1,1")
    assert status == 0 and any(line.endswith("dataset.radius=1.732") for line in out)
    status, _, err = neus_command("check", good, "--out", tmp_path / "out", "--region", "scene")
    assert status == 2 and "IDR scenes carry their region of interest in scale_mat_i" in err[0]
