"""Left-out images say by how much a surface is off, in pixels and in world units, and say nothing where nothing is to be seen."""

import json
import shutil

import numpy as np
import pytest
import torch
import trimesh

from neus.errors import InputError
from neus.evaluation.dense import REACH, dense_agreement
from neus.geometry.similarity import similarity, transform_points
from neus.meshing.extract import extract_mesh
from neus.runs.run import Run
from neus.scenes.synthetic import world_sdf
from neus.stereo.rendered_depths import triangles_of
from neus.stereo.stereo_views import neighbors, neighbors_of_cameras, stereo_views
from neus.stereo.warped import correlation
from tests.stereo.painted_sphere import RADIUS, sphere_depths, sphere_distances, sphere_scene

# Three rows of views 12 degrees apart; those in the middle of each are left out.
AZIMUTHS, ELEVATIONS = np.arange(0.0, 60.0, 12.0), (-12.0, 0.0, 12.0)
HELD_OUT = [2, 7, 12]
LATTICE = 96


@pytest.fixture(scope="module")
def scene():
    return sphere_scene(AZIMUTHS, ELEVATIONS, masks=True)


def agreement(scene, radius=RADIUS):
    return dense_agreement(sphere_distances(LATTICE, radius), scene, HELD_OUT)


def test_the_exact_surface_is_off_by_next_to_nothing(scene):
    found = agreement(scene)
    # A pixel is 0.0083 wide, and depths are five times as coarse.
    assert found.offset_px < 0.05 and found.offset < 0.002 and found.covered > 0.7
    assert found.disagreement < 0.1 and found.disagreeing < 0.05 and found.n_views == 3


@pytest.mark.parametrize("dilation", [0.01, -0.01, 0.02])
def test_a_dilated_surface_is_off_by_its_dilation_and_worse_than_the_exact_one(scene, dilation):
    exact, found = agreement(scene), agreement(scene, RADIUS + dilation)
    assert found.offset == pytest.approx(abs(dilation), rel=0.1)
    for name in ("offset_px", "offset_px_90", "offset_90", "offset_px_clipped", "disagreement", "disagreeing"):
        assert getattr(found, name) > getattr(exact, name), name


def test_offsets_in_pixels_are_motions_in_the_training_views(scene):
    view, dilation = stereo_views(scene, 112)[7], 0.01
    true, dilated = sphere_depths(view), sphere_depths(view, RADIUS + dilation)
    # Four of its five neighbours are 12 degrees away; all are 3 from the centre, and 300 pixels are the focal length.
    baseline = 2.0 * 3.0 * np.sin(np.radians(6.0))
    expected = 300.0 * baseline * np.nanmedian(np.abs(1.0 / true - 1.0 / dilated))
    found = dense_agreement(sphere_distances(LATTICE, RADIUS + dilation), scene, [7])
    assert found.offset_px == pytest.approx(expected, rel=0.1)


def test_a_mesh_scores_as_its_lattice_and_world_units_are_those_of_the_scene(scene):
    lattice = sphere_distances(LATTICE, 1.02 * RADIUS)
    mesh = trimesh.Trimesh(*triangles_of(lattice), process=False)
    by_lattice = dense_agreement(lattice, scene, HELD_OUT)
    assert dense_agreement(mesh, scene, HELD_OUT) == by_lattice
    larger = scene.in_frame(scene.scene_to_world, scene.box)
    object.__setattr__(larger, "scene_to_world", similarity(60.0, torch.zeros(3).double()))
    in_world = dense_agreement(lattice, larger, HELD_OUT)
    assert in_world.offset == pytest.approx(60.0 * by_lattice.offset) and in_world.offset_px == by_lattice.offset_px


def test_images_without_texture_cover_nothing():
    plain = sphere_scene(AZIMUTHS, ELEVATIONS, lambda points: np.full(points.shape[:-1], 140.0), masks=True)
    # A smaller sphere than the true one: the outline, the only thing to be seen, is not on it.
    found = agreement(plain, 0.9 * RADIUS)
    assert found.covered < 0.01
    assert found.n_pixels < 0.2 * sum(mask.sum() for mask in plain.masks) / 15 * 3


def test_a_surface_that_is_far_off_is_covered_less_and_counts_as_out_of_reach(scene):
    exact, found = agreement(scene), agreement(scene, 0.7 * RADIUS)
    assert found.covered < 0.5 * exact.covered and exact.offset_px_clipped < 0.5
    assert 0.7 * REACH < found.offset_px_clipped <= REACH


def test_nothing_is_said_where_there_is_no_surface(scene):
    found = dense_agreement(np.ones((16, 16, 16), np.float32), scene, HELD_OUT)
    assert found.covered == 0.0 and found.n_pixels == 0 and found.offset is None and found.disagreement is None
    json.dumps(found.as_dict())


def test_left_out_views_are_compared_with_training_views_only(scene):
    views = stereo_views(scene, 112)
    centers, axes = np.array([v.center for v in views]), np.array([v.forward for v in views])
    is_training = np.ones(len(views), bool)
    is_training[HELD_OUT] = False
    lists = neighbors_of_cameras(centers, axes, 5, candidates=is_training)
    assert all(not set(found) & set(HELD_OUT) and len(found) == 5 for found in lists)
    assert neighbors_of_cameras(centers, axes, 5) == neighbors(views, 5)


def test_views_that_do_not_exist_or_leave_no_training_are_refused(scene):
    for views in ([], [99]):
        with pytest.raises(InputError, match="held-out views"):
            dense_agreement(sphere_distances(16), scene, views)
    with pytest.raises(InputError, match="all 15 views are held out"):
        dense_agreement(sphere_distances(16), scene, range(15))


def test_an_image_correlates_with_one_warped_by_the_true_depths_and_not_by_others(scene):
    first, second = (stereo_views(scene, 112)[view] for view in (6, 7))
    true, wrong = (
        correlation(first, sphere_depths(first, r), second, sphere_depths(second, r), 7) for r in (RADIUS, 0.8 * RADIUS)
    )
    inner = sphere_depths(first, 0.8 * RADIUS) < 2.7
    assert np.nanmedian(true[inner]) > 0.95 and np.nanmedian(wrong[inner]) < 0.5
    assert np.isnan(true[~np.isfinite(sphere_depths(first))]).all()


def test_what_lies_behind_something_else_is_not_compared(scene):
    first, second = (stereo_views(scene, 112)[view] for view in (6, 7))
    hidden = np.full_like(sphere_depths(second), 1.0)
    assert np.isnan(correlation(first, sphere_depths(first), second, hidden, 7)).all()


def test_evaluate_writes_it_beside_the_image_metrics_and_says_why_if_there_is_no_mesh(trained_run, neus_command, tmp_path):
    run = shutil.copytree(trained_run, tmp_path / "run")
    for mesh in run.rglob("mesh.ply"):
        mesh.unlink()
    _, out, _ = neus_command("evaluate", run, "--device", "cpu")
    assert "no mesh.ply" in json.loads((run / "evaluation.json").read_text())["dense"]["note"]
    scene = Run(run).scene()
    box = transform_points(scene.scene_to_world, scene.box)
    extract_mesh(world_sdf, box, 32, close_at_border=False).export(run / "mesh.ply")
    status, out, err = neus_command("evaluate", run, "--device", "cpu")
    dense = json.loads((run / "evaluation.json").read_text())["dense"]
    assert status == 0 and dense["mesh"] == "mesh.ply" and dense["n_views"] == 2, err
    assert any(line.startswith("fraction of the object measured") for line in out)
