import json

import pytest

from neus.errors import InputError
from neus.reports import truth_image
from neus.workflows import demo


@pytest.fixture
def small(monkeypatch):
    """Few and small images, one iteration."""
    monkeypatch.setattr(demo, "VIEWS", 4)
    monkeypatch.setattr(demo, "WIDTH", 32)
    monkeypatch.setattr(demo, "HEIGHT", 24)
    monkeypatch.setattr(demo, "ORBIT_FRAMES", 2)
    monkeypatch.setattr(demo, "MINUTES", 1e-3)
    monkeypatch.setattr(truth_image, "IMAGE_VIEWS", (0,))


@pytest.mark.slow
def test_the_demo_measures_its_mesh_against_the_exact_surface(small, tmp_path, tiny_conf, neus_command):
    out = tmp_path / "demo"
    status, lines, err = neus_command("demo", "--conf", tiny_conf, "--out", out, "--device", "cpu")
    assert status == 0 and lines[-1] == str(out / "demo.png"), err
    numbers = json.loads((out / "demo.json").read_text())
    assert 0 < numbers["chamfer_mm"] < numbers["radius_mm"] and numbers["n_components"] >= 1
    assert {"rendering the images", "training", "mesh", "comparison", "orbit"} <= set(numbers["seconds"])
    for name in ("mesh.ply", "orbit.mp4", "demo.png", "run/mesh.ply", "run/report.html"):
        assert (out / name).is_file()


def test_a_folder_that_is_no_demos_is_left_alone(tmp_path):
    (tmp_path / "precious.txt").touch()
    with pytest.raises(InputError, match="not an earlier demo"):
        demo.run_demo(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["precious.txt"]
    with pytest.raises(InputError, match="is a file, expected a folder"):
        demo.run_demo(tmp_path / "precious.txt")
