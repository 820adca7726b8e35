import json

import numpy as np
import pytest

from neus.scenes.synthetic import write_synthetic


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
    assert "fills only 0.4" in line and "make the region of interest smaller" in line
    assert json.loads((tmp_path / "out/check.json").read_text())["findings"][0]["kind"] == "region_too_large"


@pytest.mark.parametrize("what", ["missing", "not a scene"])
def test_what_cannot_be_read_ends_with_status_2(neus_command, tmp_path, what):
    folder = tmp_path / "scene"
    if what == "not a scene":
        folder.mkdir()
    status, out, err = neus_command("check", folder, "--out", tmp_path / "out")
    assert status == 2 and not out and len(err) == 1 and err[0].startswith(f"error: {folder}: ")
    assert not (tmp_path / "out").exists()


def test_training_warns_of_a_sphere_too_large(neus_command, tiny_conf, too_large, tmp_path):
    given = ("--conf", tiny_conf, "--data", too_large, "--run", tmp_path / "run", "--device", "cpu")
    status, _, err = neus_command("train", *given)
    assert status == 0
    assert [line for line in err if line.startswith("warning: ") and "fills only 0.4" in line]
