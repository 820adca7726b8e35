import json
import re
import shutil
import struct
from dataclasses import replace

import numpy as np
import pytest
import torch
import trimesh

import neus
from neus.cli import mesh as options_of_mesh
from neus.cli.options import UNSEEN
from neus.errors import InputError
from neus.evaluation.files import read_mesh
from neus.meshing.files import written_seen
from neus.meshing.unseen import CHOICES
from neus.runs.config import config_text
from neus.runs.run import Run
from neus.training.checkpoint import published_checkpoint, read_checkpoint
from neus.workflows.mesh import AXES, write_mesh_of_run
from tests.cli.test_train import assert_one_line


@pytest.fixture
def mesh(neus_command, trained_run):
    def command(*options, source=trained_run, resolution=24):
        # The few views of the tiny scene do not go all round: by default all that most of them miss would be cut.
        common = ("--resolution", resolution, "--device", "cpu", "--unseen", "close")
        return neus_command("mesh", source, *common, *options)

    return command


def test_a_mesh_lies_in_the_world_and_its_path_is_the_last_line(mesh, trained_run, tmp_path):
    status, out, err = mesh("--out", tmp_path / "new" / "a.ply")
    assert status == 0 and out[-1] == str(tmp_path / "new" / "a.ply") and not err
    found = trimesh.load(tmp_path / "new" / "a.ply")
    assert found.is_watertight and found.volume > 0
    model = neus.load_model(trained_run)
    to_scene = torch.linalg.inv(model.scene_to_world).numpy()
    in_scene = trimesh.transform_points(found.vertices, to_scene).astype(np.float32)
    # Where the object reaches out of its box it is closed along the box's faces.
    within = torch.from_numpy(in_scene[np.abs(in_scene).max(axis=1) < 1.0])
    # Cells of 0.09 units, in which the surface is taken for straight.
    assert len(within) > 500 and model.sdf(within).abs().max() < 0.02
    assert found.visual.kind == "vertex"
    assert f"{len(found.vertices)} vertices, {len(found.faces)} faces, watertight: yes, in world units" in out[-2]


def test_the_scene_frame_is_the_world_without_its_scale(mesh, trained_run, tmp_path):
    assert mesh("--out", tmp_path / "world.ply")[0] == mesh("--out", tmp_path / "scene.ply", "--frame", "scene")[0] == 0
    world, scene = trimesh.load(tmp_path / "world.ply"), trimesh.load(tmp_path / "scene.ply")
    matrix = neus.load_model(trained_run).scene_to_world.numpy()
    assert np.allclose(trimesh.transform_points(scene.vertices, matrix), world.vertices, atol=1e-2)
    assert np.abs(scene.vertices).max() <= 1.02


def root_rotation(path):
    data = path.read_bytes()
    return json.loads(data[20 : 20 + struct.unpack("<I", data[12:16])[0]])["nodes"][0].get("rotation")


def test_a_glb_file_stands_upright_by_the_cameras_or_as_asked(mesh, trained_run, tmp_path):
    path = tmp_path / "a.glb"
    assert mesh("--out", path)[0] == 0
    x, y, z, w = root_rotation(path)
    # The built-in scene stands on z = const; its few cameras are level within some degrees.
    shown = trimesh.transformations.quaternion_matrix([w, x, y, z])[:3, :3] @ [0.0, 0.0, 1.0]
    assert shown[1] > np.cos(np.radians(5))
    assert mesh("--out", path, "--up=-y")[0] == 0 and root_rotation(path) == pytest.approx([1.0, 0.0, 0.0, 0.0])
    assert mesh("--out", path, "--up", "none")[0] == 0 and root_rotation(path) is None


def test_without_its_scene_a_glb_file_is_not_turned_and_one_line_says_so(mesh, trained_run, tmp_path):
    run = shutil.copytree(trained_run, tmp_path / "run")
    config = (run / "config.conf").read_text()
    for name in ("config.conf", "run.json"):
        text = (run / name).read_text()
        (run / name).write_text(text.replace(str(json.loads((run / "run.json").read_text())["scene"]), "/nowhere"))
    assert (run / "config.conf").read_text() != config
    status, out, err = mesh("--out", tmp_path / "a.glb", source=run)
    assert status == 0 and not err and root_rotation(tmp_path / "a.glb") is None
    assert sum("the vertical is not known" in line and "/nowhere" in line for line in out) == 1


def test_a_mesh_at_the_metres_of_a_map_reports_its_origin(mesh, trained_run, tmp_path):
    run = shutil.copytree(trained_run, tmp_path / "run")
    path = max((run / "checkpoints").glob("*.pth"))
    content = torch.load(path, weights_only=True)
    frame = content["neus"]["scene"]["scene_to_world"]
    frame[:3] *= 1e-3
    frame[:3, 3] += torch.tensor([448262.5, 5411932.5, 150.0], dtype=torch.float64)
    torch.save(content, path)
    for suffix in (".ply", ".glb", ".stl"):
        status, out, _ = mesh("--out", tmp_path / f"a{suffix}", "--up", "none", source=run)
        said = [line for line in out if "relative to 448262." in line and ", 5411932." in line]
        assert status == 0 and len(said) == (suffix != ".ply")
    found = read_mesh(tmp_path / "a.ply")
    assert len(np.unique(found.vertices, axis=0)) == len(found.vertices)
    np.testing.assert_allclose(read_mesh(tmp_path / "a.glb").vertices, found.vertices, atol=1e-6)


@pytest.mark.parametrize("suffix", [".obj", ".stl", ".PLY"])
def test_other_formats(mesh, tmp_path, suffix):
    status, out, _ = mesh("--out", tmp_path / f"a{suffix}")
    assert status == 0 and (tmp_path / f"a{suffix}").stat().st_size > 1000


def test_a_threshold_above_zero_shrinks(mesh, tmp_path):
    for name, threshold in (("a", 0.0), ("b", 0.05)):
        assert mesh("--out", tmp_path / f"{name}.ply", "--threshold", threshold)[0] == 0
    assert trimesh.load(tmp_path / "b.ply").volume < 0.95 * trimesh.load(tmp_path / "a.ply").volume


def test_clipping_and_cleaning_leave_less(mesh, tmp_path):
    assert mesh("--out", tmp_path / "a.ply")[0] == 0
    status, out, _ = mesh("--out", tmp_path / "b.ply", "--clip-to-masks", 0, "--keep", "largest")
    assert status == 0 and out[-1].endswith("b.ply")
    assert len(trimesh.load(tmp_path / "b.ply").faces) < len(trimesh.load(tmp_path / "a.ply").faces)


def test_a_mesh_is_cropped_in_world_units(mesh, trained_run, tmp_path):
    assert mesh("--out", tmp_path / "a.ply")[0] == 0
    low, high = read_mesh(tmp_path / "a.ply").bounds
    box = np.concatenate([low - 1.0, (high[:1] + low[:1]) / 2, high[1:] + 1.0])
    for frame in ("world", "scene"):
        assert mesh("--out", tmp_path / "b.ply", "--frame", frame, "--bbox", *box)[0] == 0
        half = read_mesh(tmp_path / "b.ply")
        if frame == "scene":
            half.apply_transform(neus.load_model(trained_run).scene_to_world.numpy())
        cell = (high - low).max() / 20
        np.testing.assert_allclose(half.bounds, [low, [box[3], *high[1:]]], atol=cell)
        assert half.bounds[1, 0] <= box[3] + 1e-3
    assert_one_line(mesh("--bbox", *box[::-1]), "expected the lower corner, then the upper one")
    assert_one_line(mesh("--out", tmp_path / "c.ply", "--bbox", *(box + 1e4)), "none of the")


def test_without_out_the_mesh_lies_in_the_run(mesh, trained_run, tmp_path):
    run = shutil.copytree(trained_run, tmp_path / "run")
    assert mesh(source=run)[1][-1] == str(run / "mesh.ply")


def test_a_published_checkpoint_needs_its_conf_and_takes_its_world_from_the_scene(
    mesh, trained_run, tiny_conf, scene_folder, tmp_path
):
    path = tmp_path / "ckpt_000006.pth"
    torch.save(published_checkpoint(read_checkpoint(trained_run / "checkpoints" / "ckpt_000006.pth")), path)
    assert_one_line(mesh(source=path), "does not know its config; give it")
    assert mesh("--conf", tiny_conf, "--data", scene_folder, "--out", tmp_path / "b.ply", source=path)[0] == 0
    assert mesh("--out", tmp_path / "a.ply")[0] == 0
    ours, published = trimesh.load(tmp_path / "a.ply"), trimesh.load(tmp_path / "b.ply")
    assert np.array_equal(ours.vertices, published.vertices)
    assert np.array_equal(ours.visual.vertex_colors, published.visual.vertex_colors)


def test_wrong_input_is_explained(mesh, trained_run, tmp_path, tiny_conf):
    assert_one_line(mesh(source=tmp_path / "none"), "none: no such run folder or checkpoint")
    assert_one_line(mesh(source=tmp_path), "no checkpoint yet")
    assert_one_line(mesh("--out", tmp_path / "a.off"), "a.off: unknown mesh format; name the file .ply, .obj, .glb")
    assert_one_line(mesh("--clean", "--data", tmp_path / "none"), "none: no such folder")
    (tmp_path / "x.pth").write_bytes(b"no checkpoint")
    assert_one_line(mesh(source=tmp_path / "x.pth"), "x.pth: not a readable checkpoint")


def test_another_conf_is_explained_by_the_tensor_that_differs(mesh, trained_run, tmp_path, tiny_conf):
    tiny_conf.write_text(tiny_conf.read_text().replace("n_layers = 2, skip_in", "n_layers = 3, skip_in"))
    content = torch.load(trained_run / "checkpoints" / "ckpt_000006.pth", weights_only=True)
    del content["neus"]  # as published ones, which do not know their config
    torch.save(content, tmp_path / "published.pth")
    found = mesh("--conf", tiny_conf, source=tmp_path / "published.pth")
    assert_one_line(found, "sdf_network_fine/lin2.bias: found (17,), the config makes (16,)")


def test_our_own_checkpoints_are_built_from_their_own_config_whatever_conf_is_given(mesh, tmp_path, tiny_conf):
    """Training limits hash grids by the scene's images, so that the config it was given makes another model."""
    tiny_conf.write_text(tiny_conf.read_text().replace("n_layers = 2, skip_in", "n_layers = 3, skip_in"))
    for name, options in (("a.ply", ()), ("b.ply", ("--conf", tiny_conf))):
        assert mesh("--out", tmp_path / name, *options)[0] == 0
    assert (tmp_path / "a.ply").read_bytes() == (tmp_path / "b.ply").read_bytes()


def test_no_surface_is_explained(mesh, tmp_path):
    status, _, err = mesh("--out", tmp_path / "a.ply", "--threshold", 100)
    assert status == 2 and len(err) == 1 and err[0].startswith("error: ") and not (tmp_path / "a.ply").exists()


def test_a_place_that_cannot_be_written_is_named(mesh, tmp_path):
    (tmp_path / "file").touch()
    status, _, err = mesh("--out", tmp_path / "file" / "a.ply")
    assert status == 2 and len(err) == 1 and "a.ply: cannot be written" in err[0]


def test_a_full_disk_leaves_no_half_mesh(mesh, tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    status, _, err = mesh("--out", tmp_path / "a.ply")
    assert status == 2 and len(err) == 1 and "No space left on device" in err[0]
    assert not list(tmp_path.iterdir())


def test_a_published_run_folder_is_meshed_in_the_world_of_the_scene_its_conf_names(
    mesh, trained_run, tiny_config, tmp_path
):
    run = tmp_path / "published"
    for name in ("checkpoints", "recording"):
        (run / name).mkdir(parents=True)
    ours = read_checkpoint(trained_run / "checkpoints" / "ckpt_000006.pth")
    torch.save(published_checkpoint(ours), run / "checkpoints" / "ckpt_000006.pth")
    (run / "recording" / "config.conf").write_text(config_text(tiny_config))
    assert mesh("--out", tmp_path / "a.ply")[0] == mesh("--out", tmp_path / "b.ply", source=run)[0] == 0
    a, b = trimesh.load(tmp_path / "a.ply"), trimesh.load(tmp_path / "b.ply")
    assert np.allclose(a.vertices, b.vertices, atol=1e-3)


def test_without_a_scene_there_is_no_world(mesh, trained_run, tiny_config, tmp_path):
    ours = read_checkpoint(trained_run / "checkpoints" / "ckpt_000006.pth")
    torch.save(published_checkpoint(ours), tmp_path / "ckpt_000006.pth")
    nowhere = replace(tiny_config, dataset=replace(tiny_config.dataset, data_dir="./public_data/CASE_NAME/"))
    (tmp_path / "c.conf").write_text(config_text(nowhere))
    options = ("--conf", tmp_path / "c.conf", "--out", tmp_path / "a.ply")
    assert_one_line(mesh(*options, source=tmp_path / "ckpt_000006.pth"), "give --data SCENE_FOLDER")
    assert mesh(*options, "--frame", "scene", source=tmp_path / "ckpt_000006.pth")[0] == 0


def test_simplifying_says_how_far_the_surface_moved_in_world_units(mesh, trained_run, tmp_path):
    status, out, _ = mesh("--out", tmp_path / "a.ply", "--target-faces", 300)
    assert status == 0 and out[0].startswith("simplifying moved the surface by") and out[0].endswith("in world units")
    few = trimesh.load(tmp_path / "a.ply")
    assert len(few.faces) <= 300 and few.is_watertight and few.volume > 0
    mean, greatest = (float(word) for word in out[0].split() if word[0].isdigit())
    cell = 2.02 / 23 * neus.load_model(trained_run).scene_to_world[0, 0].item()
    assert 0 < mean < greatest < 2 * cell
    # Six iterations leave nothing where the masks want it.
    assert_one_line(mesh("--clean"), "pieces of the mesh lies within the masks")
    assert_one_line(mesh("--target-faces", 2), "--target-faces: found 2, expected at least 4")


def test_unseen_surface_is_cut_kept_or_closed_and_the_line_says_how_much_was_seen(mesh, trained_run, tmp_path):
    lines = {}
    for choice in ("cut", "keep", "close", "auto"):
        status, out, err = mesh("--out", tmp_path / f"{choice}.ply", "--unseen", choice, resolution=48)
        assert status == 0 and not err
        lines[choice] = out[-2]
        assert re.search(r"in world units, \d+ % seen by two views \(the rest is \w+", out[-2])
    found = {choice: trimesh.load(tmp_path / f"{choice}.ply", process=False) for choice in lines}
    assert len(found["cut"].faces) < len(found["keep"].faces) and found["close"].is_watertight
    # Few views in front of it do not go all round.
    assert (tmp_path / "auto.ply").read_bytes() == (tmp_path / "cut.ply").read_bytes()
    assert "watertight: no" in lines["cut"] and "the rest is cut" in lines["cut"]
    seen = written_seen(tmp_path / "cut.ply")
    assert seen["unseen"] == "cut" and 0.0 < seen["fraction_seen"] < 1.0
    model, scene = neus.load_model(trained_run), Run(trained_run).scene()
    assert neus.extract_mesh(model, 48, unseen="cut", scene=scene).area < neus.extract_mesh(model, 48).area


def test_cutting_without_the_views_is_refused_and_auto_closes(mesh, trained_run, tmp_path):
    gone = ("--data", tmp_path / "none", "--out", tmp_path / "a.ply")
    assert_one_line(mesh(*gone, "--unseen", "cut"), "none: no such folder")
    status, out, _ = mesh(*gone, "--unseen", "auto")
    assert status == 0 and "the views are not known" in out[0] and "watertight: yes" in out[-2]


def test_the_command_line_knows_the_verticals_and_choices_of_the_library():
    assert options_of_mesh.AXES == tuple(AXES) and UNSEEN == CHOICES


def test_the_library_writes_the_mesh_of_a_run_without_a_terminal(trained_run, tmp_path, mesh, capfd):
    mesh("--out", tmp_path / "cli.ply")
    capfd.readouterr()
    path = write_mesh_of_run(Run(trained_run), tmp_path / "own.ply", 24, unseen="close", device="cpu")
    assert path.read_bytes() == (tmp_path / "cli.ply").read_bytes() and capfd.readouterr().out == ""
    with pytest.raises(InputError, match="frame 'moon': expected world or scene"):
        write_mesh_of_run(Run(trained_run), path, frame="moon")
