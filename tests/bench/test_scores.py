import json

import numpy as np
import pytest
import trimesh

from neus.bench import scores as bench_scores
from neus.bench.scores import FEATURE_POINTS, dtu_scores, image_scores, surface_scores_of
from neus.errors import InputError


def test_a_mesh_of_the_exact_surface_of_the_built_in_scene_scores_nearly_zero(scene_folder, tmp_path, monkeypatch):
    from neus.evaluation.surface import surface_scores
    from neus.geometry.similarity import transform_points
    from neus.meshing.extract import extract_mesh
    from neus.scenes.readers import read_scene
    from neus.scenes.synthetic import world_sdf

    scene = read_scene(scene_folder)
    box = transform_points(scene.scene_to_world, scene.box)

    def coarser(mesh, scene):
        return surface_scores(mesh, world_sdf, n_samples=1000, box=box, resolution=64)

    monkeypatch.setattr(bench_scores, "compare_with_truth", coarser)
    mesh = extract_mesh(world_sdf, box, 64, close_at_border=False)
    mesh.export(tmp_path / "mesh.ply")
    scores = surface_scores_of("synthetic", scene_folder, tmp_path / "mesh.ply")
    # A cell has 1.9 mm.
    assert 0.0 < scores["exact_chamfer"] < 0.3
    mesh.apply_translation([0.0, 0.0, 5.0])
    mesh.export(tmp_path / "mesh.ply")
    assert surface_scores_of("synthetic", scene_folder, tmp_path / "mesh.ply")["exact_chamfer"] > 1.0


def test_feature_points_are_measured_where_they_lie_beside_the_scene(tmp_path):
    trimesh.creation.icosphere(subdivisions=4, radius=10.0).export(tmp_path / "mesh.ply")
    assert "feature_mean_clipped" not in surface_scores_of("ball", tmp_path, tmp_path / "mesh.ply")
    directions = np.random.default_rng(0).normal(size=(200, 3))
    points = 10.5 * directions / np.linalg.norm(directions, axis=1, keepdims=True)
    np.savez(tmp_path / FEATURE_POINTS, points=points)
    scores = surface_scores_of("ball", tmp_path, tmp_path / "mesh.ply")
    assert scores["is_watertight"] and scores["feature_n_points"] == 200
    assert scores["feature_mean_clipped"] == pytest.approx(0.5, abs=0.02)


def test_a_run_without_a_mesh_says_so(tmp_path):
    assert "no mesh" in surface_scores_of("ball", tmp_path, tmp_path / "mesh.ply")["note"]


def test_dtu_numbers_are_taken_from_the_file_that_evaluate_wrote(tmp_path):
    path = tmp_path / "evaluation_dtu.json"
    with pytest.raises(InputError, match="expected what `evaluate --dtu-root` writes"):
        dtu_scores(path)
    for text in ("{", "[]", '{"accuracy": 1.0}'):
        path.write_text(text)
        with pytest.raises(InputError, match="no `overall` in it"):
            dtu_scores(path)
    path.write_text(json.dumps({"overall": 0.7, "clean_up": "25 px"}))
    assert dtu_scores(path) == {"dtu_chamfer": 0.7, "dtu_clean_up": "25 px"}


def test_image_scores_are_the_means(tmp_path):
    (tmp_path / "evaluation.json").write_text(json.dumps({"mean": {"psnr": 20.0, "ssim": None}, "views": []}))
    scores = image_scores(tmp_path)
    assert scores["psnr"] == 20.0 and np.isnan(scores["ssim"])
