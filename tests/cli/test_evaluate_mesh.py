import json
import shutil

import numpy as np
import pytest
import torch
import trimesh

from neus.evaluation.surface import sample_mesh
from neus.geometry.poses import invert
from neus.geometry.similarity import scale_of, similarity, transform_points
from neus.meshing.clean import with_faces
from neus.meshing.extract import extract_mesh
from neus.meshing.files import write_mesh
from neus.scenes.readers import read_scene
from neus.scenes.synthetic import world_sdf
from neus.scenes.writers import write_colmap
from neus.stereo.region_from_matches import read_located_scene
from tests.cli.test_train import assert_one_line
from tests.evaluation.dtu_layout import DOTS, SCAN, dots, half_observed, write_dtu
from tests.evaluation.test_depth import sphere_depth
from tests.scenes.layouts import OBJECT_RADIUS, ring_scene, write_blendedmvs
from tests.scenes.test_pfm import write_pfm
from tests.stereo.test_region_from_matches import wall_scene


@pytest.fixture(scope="module")
def cup(tmp_path_factory, scene_folder):
    """The built-in scene, and its surface as a mesh file in millimetres."""
    scene = read_scene(scene_folder)
    mesh = extract_mesh(world_sdf, transform_points(scene.scene_to_world, scene.box), 64)
    path = tmp_path_factory.mktemp("cup") / "cup.ply"
    mesh.export(path)
    return scene, mesh, path


def test_a_bare_mesh_has_the_numbers_of_its_scan(neus_command, tmp_path):
    root = write_dtu(tmp_path / "DTU", 24, SCAN, half_observed())
    dots(DOTS).export(tmp_path / "scan24.ply")
    status, out, err = neus_command("evaluate", "--mesh", tmp_path / "scan24.ply", "--dtu-root", root, "--no-clean-up")
    assert status == 0 and not err and out[-1] == str(tmp_path / "scan24_dtu_scan24.json")
    result = json.loads((tmp_path / "scan24_dtu_scan24.json").read_text())
    assert (result["accuracy"], result["completeness"], result["overall"]) == pytest.approx((4.0, 1.5, 2.75))
    assert (result["scan"], result["clean_up"], result["alignment"]) == (24, "none", "none")
    assert result["protocol"]["density"] == 0.2 and "after_icp_not_comparable" not in result
    assert any(line.split() == ["overall", "2.75"] for line in out)


def test_what_lies_outside_the_masks_is_cut_before_a_mesh_is_measured(neus_command, tmp_path, cup, scene_folder):
    _, whole, _ = cup
    # Only the top of the cup: points 0.2 mm apart on all of it would take seconds.
    mesh = with_faces(whole, whole.triangles_center[:, 2] > np.quantile(whole.triangles_center[:, 2], 0.95))
    low, high = mesh.bounds[0] - 15.0, mesh.bounds[1] + 15.0
    observed = np.ones(np.ceil(high - low).astype(int) + 1)
    scan = sample_mesh(mesh, 50_000, seed=0)
    root = write_dtu(tmp_path / "DTU", 7, scan, observed, (low, high), 1.0, (0.0, 0.0, 0.0, 1.0))
    # Nine millimetres over the highest point, in sight but in no mask.
    top = mesh.vertices[mesh.vertices[:, 2].argmax()] + [0.0, 0.0, 9.0]
    stray = trimesh.creation.icosphere(2, 3.0).apply_translation(top)
    trimesh.util.concatenate([mesh, stray]).export(tmp_path / "a.ply")
    command = ["evaluate", "--mesh", tmp_path / "a.ply", "--data", scene_folder, "--dtu-root", root, "--scan", 7]
    found = {}
    for name, options in (("cut", []), ("whole", ["--no-clean-up"]), ("icp", ["--icp"])):
        status, out, _ = neus_command(*command, "--out", tmp_path / f"{name}.json", *options)
        assert status == 0 and out[-1] == str(tmp_path / f"{name}.json")
        found[name] = json.loads((tmp_path / f"{name}.json").read_text())
    assert found["cut"]["accuracy"] < 0.1 < found["whole"]["accuracy"]
    # 50 pixels at a width of 1600 are one at 32.
    assert "masks dilated by 50 px at 1600 wide: 1 px in 4 views 32 wide" in found["cut"]["clean_up"]
    aligned = found["icp"].pop("after_icp_not_comparable")
    assert found["icp"] == found["cut"] and aligned["overall"] > 0 and len(aligned["motion"]) == 4
    assert any("NOT COMPARABLE" in line for line in out)


def test_the_resolution_a_mesh_was_extracted_at_is_part_of_its_numbers(neus_command, tmp_path, cup):
    _, mesh, path = cup
    write_mesh(mesh, tmp_path / "a.ply", resolution=64)
    for judged, expected in ((tmp_path / "a.ply", 64), (path, None)):
        out = tmp_path / "found.json"
        assert neus_command("evaluate", "--mesh", judged, "--truth-mesh", path, "--samples", 100, "--out", out)[0] == 0
        assert json.loads(out.read_text()).get("resolution") == expected


def test_a_mesh_is_compared_with_a_mesh_in_whichever_frame_it_is_given(neus_command, tmp_path, cup, scene_folder):
    scene, mesh, path = cup
    shifted = mesh.copy().apply_translation([0.0, 0.0, 1.5])
    shifted.export(tmp_path / "world.ply")
    shifted.apply_transform(invert(scene.scene_to_world).numpy())
    shifted.export(tmp_path / "scene.ply")
    results = []
    for frame in ("world", "scene"):
        options = [
            "--mesh",
            tmp_path / f"{frame}.ply",
            "--mesh-frame",
            frame,
            "--data",
            scene_folder,
            "--samples",
            5000,
        ]
        status, out, _ = neus_command("evaluate", *options, "--truth-mesh", path, "--thresholds", 0.4, 1.6)
        assert status == 0 and out[-1] == str(tmp_path / f"{frame}_truth_mesh.json")
        results.append(json.loads((tmp_path / f"{frame}_truth_mesh.json").read_text()))
    for name in ("accuracy", "completeness", "chamfer", "f_scores"):
        assert results[0][name] == pytest.approx(results[1][name], rel=1e-3)
    assert 0.2 < results[0]["chamfer"] < 1.5 and results[0]["f_scores"][1] == 1.0
    assert (results[0]["truth_kind"], results[0]["unit"], results[0]["n_samples"]) == ("mesh", "world units", 5000)


def test_the_built_in_scene_knows_its_exact_truth(neus_command, tmp_path, cup, scene_folder):
    _, _, path = cup
    command = ["evaluate", "--mesh", path, "--built-in-truth", "--samples", 5000, "--out", tmp_path / "a.json"]
    assert neus_command(*command, "--data", scene_folder)[0] == 0
    result = json.loads((tmp_path / "a.json").read_text())
    assert result["chamfer"] < 0.15 and result["truth_kind"] == "exact" and result["unit"] == "mm"
    assert_one_line(neus_command(*command), "needs the scene; give its folder with --data")


def test_feature_points_are_measured_to_the_mesh(neus_command, tmp_path, cup):
    _, mesh, path = cup
    np.savez(tmp_path / "points.npz", points=mesh.triangles_center + 0.5 * mesh.face_normals)
    status, out, _ = neus_command(
        "evaluate", "--mesh", path, "--feature-points", tmp_path / "points.npz", "--out", tmp_path / "a.json"
    )
    assert status == 0
    result = json.loads((tmp_path / "a.json").read_text())
    assert result["median"] == pytest.approx(0.5, abs=0.01) and result["n_points"] == len(mesh.faces)


def test_depths_of_a_blendedmvs_scene_are_measured_in_its_units(neus_command, tmp_path):
    scene = ring_scene([(40, 30), (32, 24), (30, 40)])
    folder = write_blendedmvs(scene, tmp_path / "scene")
    unit = scale_of(scene.scene_to_world)
    sphere = trimesh.creation.icosphere(5, OBJECT_RADIUS).apply_transform(scene.scene_to_world.numpy())
    sphere.export(tmp_path / "sphere.ply")
    (folder / "rendered_depth_maps").mkdir()
    maps = {view: unit * shallow_depth(scene.camera(view)) for view in (0, 2)}  # as many as there are are used
    for view, depth in maps.items():
        write_pfm(folder / "rendered_depth_maps" / f"{view:08d}.pfm", depth.tolist())
    command = ["evaluate", "--mesh", tmp_path / "sphere.ply", "--data", folder]
    status, out, err = neus_command(*command, "--depth-maps", "--thresholds", 0.05 * unit, 0.2 * unit)
    assert status == 0, err
    result = json.loads((tmp_path / "sphere_depth.json").read_text())
    assert [view["view"] for view in result["views"]] == [0, 2] and "the mesh" in result["depth_of"]
    # The upper part of each map is right, the lower 0.1 too near. (The region found leaves out a part of either.)
    right, all_of_it = result["mean"]["within"]
    assert result["mean"]["covered"] > 0.97 and all_of_it > 0.97 and 0.2 < right < 0.8
    assert result["mean"]["mean"] == pytest.approx(0.1 * (1.0 - right) * unit, rel=0.05)
    assert_one_line(
        neus_command(*command, "--depth-maps", tmp_path), "no depth map of any of the 3 views; expected 00000000.pfm"
    )


def shallow_depth(camera):
    """Depth of the ring scene's sphere, scene units; in the lower half of the image 0.1 less; 0 is unknown."""
    depth = sphere_depth(camera, OBJECT_RADIUS)
    depth[camera.height // 2 :] -= 0.1
    return np.where(np.isfinite(depth), depth, 0.0)


def test_a_runs_own_mesh_and_images_are_measured_together(neus_command, trained_run, tmp_path, cup):
    run = shutil.copytree(trained_run, tmp_path / "run")
    assert_one_line(
        neus_command("evaluate", run, "--truth-mesh", cup[2]), "no mesh.ply in it; make one with `neus mesh"
    )
    shutil.copy(cup[2], run / "mesh.ply")
    status, out, _ = neus_command("evaluate", run, "--images", "--truth-mesh", cup[2], "--samples", 1000)
    assert status == 0 and out[-2:] == [str(run / "evaluation.json"), str(run / "evaluation_truth_mesh.json")]
    assert json.loads((run / "evaluation_truth_mesh.json").read_text())["chamfer"] < 1e-6
    images = json.loads((run / "evaluation.json").read_text())
    assert "gamma" in images["colors"] and isinstance(images["lpips"], str)


def test_what_is_missing_is_asked_for(neus_command, tmp_path, cup):
    assert_one_line(neus_command("evaluate"), "RUN is missing; give a run folder, or --mesh FILE")
    assert_one_line(neus_command("evaluate", "--mesh", cup[2]), "RUN is missing")
    root = write_dtu(tmp_path / "DTU", 24, SCAN, half_observed())
    assert_one_line(
        neus_command("evaluate", "--mesh", cup[2], "--dtu-root", root), "has no DTU scan number"
    )
    command = ["evaluate", "--mesh", cup[2], "--dtu-root", root, "--scan", 24]
    assert_one_line(neus_command(*command), "cleaning a mesh by the object masks needs the scene")
    assert_one_line(
        neus_command("evaluate", "--mesh", cup[2], "--mesh-frame", "scene", "--truth-mesh", cup[2]), "needs the scene"
    )
    assert_one_line(neus_command("evaluate", "--mesh", cup[2], "--depth-maps"), "--depth-maps needs the scene")


def test_a_mesh_in_the_scene_frame_never_counts_as_the_runs_mesh_in_world_units(neus_command, trained_run, tmp_path, cup):
    run, found = shutil.copytree(trained_run, tmp_path / "run"), []
    extract = ["mesh", run, "--resolution", 24, "--device", "cpu", "--unseen", "close"]
    judge = ["--truth-mesh", cup[2], "--samples", 2000]
    for options in ((), ("--frame", "scene")):
        assert neus_command(*extract, *options)[0] == 0
        assert neus_command("evaluate", run, *judge)[0] == 0
        found.append(json.loads((run / "evaluation_truth_mesh.json").read_text()))
    assert found[0] == found[1] and (run / "mesh_scene.ply").is_file()
    for name in ("mesh.ply", "meshes/mesh.ply"):
        taken = neus_command(*extract, "--frame", "scene", "--out", run / name)
        assert_one_line(taken, "the run's mesh in world units lies there")
    # The file says which frame it is in.
    in_scene = ["evaluate", run, *judge, "--mesh", run / "mesh_scene.ply", "--out", tmp_path / "a.json"]
    assert_one_line(neus_command(*in_scene), "was written in the scene frame, but --mesh-frame is world; give --mesh-frame scene")
    assert neus_command(*in_scene, "--mesh-frame", "scene")[0] == 0
    assert json.loads((tmp_path / "a.json").read_text())["chamfer"] == pytest.approx(found[0]["chamfer"], rel=1e-3)


def test_the_scene_of_a_bare_mesh_has_the_frame_that_training_gives_it(neus_command, tmp_path):
    """Of the wall neither masks nor points say where it is: matches of its images do, or the user."""
    folder = write_colmap(wall_scene().subset([0, 1, 3, 4]), tmp_path / "scene")
    world = trimesh.creation.icosphere(3, 0.5).apply_translation([0.2, 0.1, 0.0])
    world.export(tmp_path / "world.ply")
    given = ["dataset.center=[1.0, 2.0, 0.0]", "dataset.radius=2.0"]
    (tmp_path / "own.conf").write_text("dataset { center = [1.0, 2.0, 0.0], radius = 2.0 }", encoding="utf-8")
    frames = {"found": read_located_scene(folder).scene_to_world, "given": similarity(2.0, torch.tensor([1.0, 2.0, 0.0]).double())}
    for name, frame in frames.items():
        world.copy().apply_transform(invert(frame).numpy()).export(tmp_path / f"{name}.ply")

    def chamfer(name, *options):
        command = ["evaluate", "--mesh", tmp_path / f"{name}.ply", "--mesh-frame", "scene", "--data", folder, *options]
        status, _, err = neus_command(*command, "--truth-mesh", tmp_path / "world.ply", "--samples", 500, "--out", tmp_path / "a.json")
        assert status == 0, err
        return json.loads((tmp_path / "a.json").read_text())["chamfer"]

    assert chamfer("found") < 1e-5
    for options in (["--conf", tmp_path / "own.conf"], [word for one in given for word in ("--set", one)]):
        assert chamfer("given", *options) < 1e-5 and chamfer("found", *options) > 1.0
