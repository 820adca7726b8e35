"""The library as its users call it: `import neus`, and nothing deeper."""

import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh

import neus
from neus.geometry.similarity import scale_of, similarity, transform_points
from tests.conftest import write_tiny_conf
from tests.evaluation.dtu_layout import DOTS, SCAN, dots, half_observed, write_dtu

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def scene(scene_folder):
    return neus.load_scene(scene_folder)


@pytest.fixture(scope="module")
def model(trained_run):
    return neus.load_model(trained_run)


@pytest.fixture(scope="module")
def center(scene):
    """(3,) of the object in world units, and the radius of its region."""
    return scene.scene_to_world[:3, 3], scale_of(scene.scene_to_world)


@pytest.fixture(autouse=True)
def coarse_meshes(monkeypatch):
    monkeypatch.setattr("neus.workflows.train.MESH_RESOLUTION", 24)


def facing(center, size=(16, 12)):
    """A camera in the world, three radii before the object."""
    (x, y, z), radius = center[0].tolist(), center[1]
    return neus.Camera.look_at(eye=(x, y - 3 * radius, z), target=(x, y, z), fov=45, size=size)


def test_importing_the_library_imports_nothing_heavy():
    code = "import sys, neus; dir(neus); sys.exit(any(m in sys.modules for m in ('torch', 'numpy', 'cv2', 'trimesh')))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=60).returncode == 0


def test_every_public_name_can_be_had_and_is_known_to_type_checkers():
    source = (ROOT / "neus" / "__init__.py").read_text(encoding="utf-8")
    for name, place in neus._PLACES.items():
        assert getattr(neus, name).__name__ == name
        assert any(line.startswith(f"    from {place} import") and name in line for line in source.splitlines()), name
    assert set(neus._PLACES) < set(neus.__all__) <= set(dir(neus))
    assert (ROOT / "neus" / "py.typed").is_file()


def test_a_scene_is_trained_in_a_call_that_prints_nothing_and_leaves_signals_alone(scene, tmp_path, data_folder, capfd):
    handlers, seen = [], []
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]

    def callback(trainer, terms):
        handlers.append([signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)])
        seen.append(trainer.iteration)

    conf = write_tiny_conf(tmp_path, data_folder)
    settings = {"train.batch_size": 8, "train.val_freq": 0}
    neus.train(scene, conf, iterations=3, out=tmp_path / "run", callbacks=[callback], settings=settings, holdout=2)
    assert seen == [1, 2, 3] and handlers == 3 * [before]
    assert capfd.readouterr() == ("", "")
    assert (tmp_path / "run" / "mesh.ply").is_file() and (tmp_path / "run" / "report.html").is_file()


def test_the_same_seed_gives_the_same_model(scene, tmp_path, data_folder):
    conf = write_tiny_conf(tmp_path, data_folder)
    points = torch.rand(20, 3) - 0.5
    runs = [neus.train(scene, conf, iterations=2, out=tmp_path / name, seed=s) for name, s in zip("abc", (0, 0, 1))]
    same, again, other = (run.model("cpu").sdf(points) for run in runs)
    assert torch.equal(same, again) and not torch.equal(same, other)


def test_a_scene_in_memory_is_trained_without_a_folder(scene, tmp_path, data_folder, monkeypatch):
    monkeypatch.chdir(tmp_path)
    conf = write_tiny_conf(tmp_path, data_folder)
    run = neus.train(
        replace(scene, source=Path(), images=[image[:, ::-1] for image in scene.images]), conf, iterations=1
    )
    assert run.path == Path("runs/scene") and run.facts["scene"] == "" and (run.path / "report.html").is_file()


def test_a_callback_may_end_the_training(scene, tmp_path, data_folder):
    conf = write_tiny_conf(tmp_path, data_folder)
    run = neus.train(scene, conf, out=tmp_path / "run", callbacks=[lambda trainer, terms: trainer.stop()])
    assert run.checkpoint.name == "ckpt_000001.pth"


def test_a_view_is_rendered_from_a_camera_in_the_world_in_its_units(model, scene, center):
    camera = facing(center)
    in_world = neus.render(model, camera, mode="volume")
    in_scene = neus.render(model, camera.in_scene(scene.scene_to_world), mode="volume")
    assert isinstance(in_world, neus.RenderedView) and in_world.rgb.shape == (12, 16, 3)
    assert torch.equal(in_world.rgb, in_scene.rgb)
    assert torch.allclose(in_world.depth, in_scene.depth * center[1]) and (in_world.depth > 0).any()
    rotation = (scene.scene_to_world[:3, :3] / center[1]).float()
    assert torch.allclose(in_world.normals, in_scene.normals @ rotation.T, atol=1e-6)


def test_the_cameras_of_a_scene_render_as_they_are(model, scene):
    seen = neus.render(model, scene.camera(0).scaled(0.25))
    assert seen.rgb.shape == (6, 8, 3) and 0 <= seen.rgb.min() and seen.rgb.max() <= 1
    with pytest.raises(neus.InputError, match="mode 'fast': expected one of auto, shell, volume, surface"):
        neus.render(model, scene.camera(0), mode="fast")


def test_a_mesh_comes_in_world_units_unless_asked_otherwise(model, scene):
    in_world, in_scene = (neus.extract_mesh(model, 24, frame=frame) for frame in ("world", "scene"))
    assert isinstance(in_world, trimesh.Trimesh) and in_world.is_watertight
    moved = transform_points(scene.scene_to_world, torch.from_numpy(np.array(in_scene.vertices)))
    np.testing.assert_allclose(in_world.vertices, moved.numpy(), rtol=1e-9)
    on_surface = model.sdf(torch.from_numpy(np.array(in_world.vertices)), frame="world")
    # Where the surface leaves the box the mesh is closed by the box.
    assert on_surface.abs().median() < 0.01 * scale_of(scene.scene_to_world)
    with pytest.raises(neus.InputError, match="frame 'moon': expected world or scene"):
        neus.extract_mesh(model, 24, frame="moon")


def test_a_model_that_does_not_know_its_world_says_so_before_any_work():
    with pytest.raises(neus.InputError, match=r"set model\.scene_to_world"):
        neus.extract_mesh(neus.Model(), 512)


def test_images_are_measured_against_the_scenes(model, scene):
    result = neus.evaluate_images(model, scene, views=[1, 3], scale=0.5)
    assert [view["view"] for view in result["views"]] == [1, 3] and 0 < result["mean"]["psnr"] < 60
    with pytest.raises(neus.InputError, match="view 4: the scene has views 0 to 3"):
        neus.evaluate_images(model, scene, views=[4])


def test_a_scene_in_any_frame_is_brought_into_that_of_the_model(model, scene):
    other = similarity(2.5, torch.tensor([0.3, -0.2, 0.4], dtype=torch.float64))
    moved = scene.in_frame(scene.scene_to_world @ other, scene.box * 0.5)
    here, there = (neus.evaluate_images(model, s, views=[1], scale=0.5)["mean"] for s in (scene, moved))
    assert there == pytest.approx(here, abs=1e-3)
    here, there = (neus.extract_mesh(model, 24, unseen="cut", scene=s) for s in (scene, moved))
    np.testing.assert_allclose(there.vertices, here.vertices, rtol=1e-9)


def test_a_mesh_is_measured_against_a_mesh_in_memory_or_in_a_file(tmp_path):
    small, large = (trimesh.creation.icosphere(4, radius) for radius in (1.0, 1.1))
    large.export(tmp_path / "truth.ply")
    for truth in (large, tmp_path / "truth.ply"):
        scores = neus.evaluate_mesh(small, truth, thresholds=[0.2], n_samples=2000)
        assert scores.chamfer == pytest.approx(0.1, rel=0.02) and scores.f_scores == (1.0,)


def test_dtu_scores_of_a_mesh_are_those_of_the_protocol(tmp_path):
    write_dtu(tmp_path, 9, SCAN, half_observed())
    result = neus.evaluate_dtu(dots(DOTS), tmp_path, 9)
    assert result["scan"] == 9 and result["alignment"] == "none" and result["overall"] > 0


def test_a_field_of_ones_own_is_traced_rendered_and_meshed(center, scene):
    from tests.rendering.closed_forms import Sphere, no_shading

    model = neus.Model(surface=Sphere(0.5), color=no_shading, sharpness=2000.0)
    model.scene_to_world = scene.scene_to_world
    model.config = neus.ModelConfig(neus_renderer=type(model.config.neus_renderer)(n_outside=0))
    camera = facing(center, size=(31, 31))
    seen = neus.render(model, camera, mode="volume")
    assert float(seen.depth[15, 15]) == pytest.approx(2.5 * center[1], rel=5e-3)
    mesh = neus.extract_mesh(model, 48)
    assert mesh.volume == pytest.approx(4 / 3 * np.pi * (0.5 * center[1]) ** 3, rel=0.01)
