import json

import numpy as np
import pytest
import trimesh

from neus.bench.scores import FEATURE_POINTS, dtu_scores, image_scores, surface_scores_of
from neus.errors import InputError
from neus.meshing.extract import extract_mesh
from neus.meshing.files import in_world
from neus.scenes.readers import read_scene
from neus.scenes.synthetic import body_of, write_synthetic


def test_a_mesh_of_the_exact_surface_of_a_synthetic_scene_scores_nearly_zero(tmp_path):
    folder = write_synthetic(tmp_path / "house", views=4, width=32, height=24, antialias=1, kind="house+noise")
    scene = read_scene(folder)
    mesh = in_world(extract_mesh(body_of("house").sdf, scene.box, 64), scene.scene_to_world)
    mesh.export(tmp_path / "mesh.ply")
    scores = surface_scores_of("synthetic:house+noise", folder, tmp_path / "mesh.ply")
    # A cell has 1.9 mm, a pixel about 5.
    assert 0.0 < scores["exact_chamfer"] < 0.3 and scores["exact_px"] == pytest.approx(scores["exact_chamfer"] / 5.0, rel=0.1)
    assert {"exact_normals_error", "exact_textured", "exact_untextured"} <= set(scores)
    mesh.apply_translation([0.0, 0.0, 5.0])
    mesh.export(tmp_path / "mesh.ply")
    assert surface_scores_of("synthetic:house+noise", folder, tmp_path / "mesh.ply")["exact_chamfer"] > 1.0


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
