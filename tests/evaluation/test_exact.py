"""Against the exact surface of a synthetic scene a mesh scores what it is off by, in units and pixels, by texture and by part."""

import numpy as np
import pytest
import torch
import trimesh

from neus.evaluation.exact import distances_to_body, exact_scores, footprint, normals_of, points_on_body
from neus.geometry.solids import Body, Relief, Solid, block, placed, rod
from neus.meshing.extract import extract_mesh
from neus.meshing.files import in_world
from neus.scenes.synthetic import body_of, render_scene
from neus.scenes.synthetic_kinds import kind_of

N = 4000


@pytest.fixture(scope="module")
def scene():
    return render_scene(views=6, width=32, height=24, antialias=1)


def mesh_of(body, scene, dilation=0.0, resolution=96):
    return in_world(extract_mesh(lambda p: body.sdf(p) - dilation, scene.box, resolution), scene.scene_to_world)


def test_a_pixel_covers_its_distance_over_the_focal_length(scene):
    # 36 pixels of focal length, 2.8 to 3.2 units away, 60 mm each.
    assert 2.8 * 60.0 / 36.0 < footprint(scene) < 3.2 * 60.0 / 36.0


def test_a_dilated_house_is_off_by_its_dilation_everywhere(scene):
    kind, body = kind_of("house"), body_of("house")
    exact, dilated = (exact_scores(mesh_of(body, scene, d), scene, kind, n_samples=N) for d in (0.0, 0.02))
    assert exact["chamfer"] < 0.1
    assert dilated["accuracy"] == pytest.approx(1.2, rel=0.03) and dilated["completeness"] == pytest.approx(1.2, rel=0.1)
    for name in ("textured", "untextured"):
        assert dilated[name]["accuracy"] == pytest.approx(1.2, rel=0.05)
    assert dilated["px"]["accuracy"] == pytest.approx(dilated["accuracy"] / dilated["pixel"])
    assert dilated["textured"]["fraction_of_truth"] + dilated["untextured"]["fraction_of_truth"] == pytest.approx(1.0)


def test_what_is_missing_shows_in_its_own_part_alone(scene):
    kind, body = kind_of("house"), body_of("house")
    mesh = extract_mesh(lambda p: body.part_distances(p)[:, [0, 1, 2, 4]].amin(dim=-1), scene.box, 96)
    scores = exact_scores(in_world(mesh, scene.scene_to_world), scene, kind, n_samples=N)
    of = scores["completeness_of"]
    assert of["plain roof"] > 1.0 > 0.2 > max(of["walls"], of["slab"], of["roof"])
    assert scores["untextured"]["completeness"] > 5.0 * scores["textured"]["completeness"]


def test_of_metal_no_part_has_texture(scene):
    scores = exact_scores(mesh_of(body_of("tins"), scene), scene, kind_of("tins+metal"), n_samples=N)
    assert scores["textured"]["chamfer"] is None and scores["untextured"]["fraction_of_truth"] == 1.0


def test_the_error_of_normals_is_the_angle_by_which_they_are_off(scene):
    body = Body((Solid("box", (0.5, 0.5, 0.5, 0.0)),), 0.9)
    points = points_on_body(body, 500, seed=0)
    normals = normals_of(body, points)
    assert np.abs(np.abs(normals).max(axis=1) - 1.0).max() < 1e-6
    sphere = Body((Solid("sphere", (0.6,)),), 0.7)
    away = 0.65 * normals_of(sphere, points)
    np.testing.assert_allclose(distances_to_body(sphere, away), 0.05, atol=1e-9)


def test_points_lie_on_the_surface_evenly_and_not_within_other_solids():
    body = Body((block((0.0, 0.0, 0.0), (0.4, 0.4, 0.1)), rod((0.0, 0.0, 0.0), (0.0, 0.0, 0.5), 0.002, part=1)), 0.9)
    points = points_on_body(body, 40_000, seed=0)
    assert body.sdf(torch.from_numpy(points)).abs().max() < 1e-6
    # Most of what is above the block is the rod: thinner than any lattice has cells, and it has points by its area.
    above = points[:, 2] > 0.1 + 1e-6
    areas = 2.0 * np.pi * 0.002 * (0.4 + 0.002), 2.0 * 0.8**2 + 4.0 * 0.8 * 0.2
    assert above.mean() == pytest.approx(areas[0] / sum(areas), rel=0.3)
    heights = points[above][:, 2]
    assert heights.min() < 0.13 and heights.max() > 0.48


def test_distances_to_relief_are_those_to_its_surface_and_not_the_bound_of_them():
    waves = Relief(0.05, ((20.0, 0.0, 0.0, 0.0),))
    body = Body((Solid("sphere", (0.5,), to_local=placed((0.0, 0.0, 0.0)), relief=waves),), 0.6)
    surface = points_on_body(body, 300, seed=0)
    normals = normals_of(body, surface)
    found = distances_to_body(body, surface + 0.01 * normals)
    assert np.median(found) == pytest.approx(0.01, rel=0.03)
    assert body.sdf(torch.from_numpy(surface + 0.01 * normals)).median() < 0.008


def test_a_mesh_of_nothing_but_a_ball_is_far_from_rods(scene):
    ball = in_world(trimesh.creation.icosphere(3, 0.3), scene.scene_to_world)
    scores = exact_scores(ball, scene, kind_of("rods"), n_samples=N)
    assert scores["completeness_of"]["rods"] > 5.0 and scores["normals_error"] > 20.0
