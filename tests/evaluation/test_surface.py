from dataclasses import asdict

import numpy as np
import pytest
import torch
import trimesh
from scipy.spatial import cKDTree

from neus.errors import InputError
from neus.evaluation.surface import (
    distances_to_mesh,
    feature_scores,
    sample_mesh,
    sample_zero_set,
    surface_scores,
)
from neus.geometry import shapes
from neus.geometry.cup import object_sdf
from neus.geometry.poses import invert, rotation_from_vector
from neus.geometry.similarity import similarity
from neus.meshing.extract import extract_mesh

BOX = 1.01 * torch.tensor([[-1.0] * 3, [1.0] * 3])


def ball(radius):
    return trimesh.creation.icosphere(5, radius)


def torus(points):
    return shapes.torus(points, 0.6, 0.25)


def scores(mesh, truth, **options):
    return surface_scores(mesh, truth, n_samples=3000, **options)


def test_distances_to_a_box_of_twelve_triangles_are_exact():
    points = np.random.default_rng(0).uniform(-1, 1, (500, 3))
    expected = np.abs(shapes.box(torch.from_numpy(points), (0.5, 0.4, 0.3)).numpy())
    np.testing.assert_allclose(distances_to_mesh(points, trimesh.creation.box((1.0, 0.8, 0.6))), expected, atol=1e-12)


def test_distances_are_exact_on_a_mesh_of_large_and_tiny_triangles():
    mesh = trimesh.creation.box((1.0, 1.0, 1.0))
    for _ in range(7):
        corner = np.flatnonzero(np.linalg.norm(mesh.triangles - 0.5, axis=-1).min(axis=1) < 1e-9)
        mesh = trimesh.Trimesh(*trimesh.remesh.subdivide(mesh.vertices, mesh.faces, face_index=corner), process=False)
    assert mesh.area_faces.max() / mesh.area_faces.min() > 1000
    points = np.random.default_rng(0).uniform(-1, 1, (500, 3))
    expected = np.abs(shapes.box(torch.from_numpy(points), (0.5, 0.5, 0.5)).numpy())
    np.testing.assert_allclose(distances_to_mesh(points, mesh), expected, atol=1e-12)


def test_distances_match_a_search_through_all_triangles():
    mesh = extract_mesh(torus, BOX, 32)
    points = np.random.default_rng(0).uniform(-1, 1, (30, 3))
    triangles = np.asarray(mesh.triangles)
    for point, distance in zip(points, distances_to_mesh(points, mesh)):
        closest = trimesh.triangles.closest_point(triangles, np.tile(point, (len(triangles), 1)))
        assert distance == pytest.approx(np.linalg.norm(closest - point, axis=1).min(), abs=1e-12)


def test_the_points_of_a_zero_set_lie_on_it_and_spread_evenly():
    points = sample_zero_set(lambda p: 2.0 * torus(p), BOX, 4000, seed=0, resolution=48)
    assert torus(torch.from_numpy(points)).abs().max() < 1e-9
    # By Pappus, the outer half of a torus has the fraction 1/2 + r / (pi R) of the area.
    outer = (np.linalg.norm(points[:, :2], axis=1) > 0.6).mean()
    assert outer == pytest.approx(0.5 + 0.25 / (np.pi * 0.6), abs=0.03)


def test_samples_are_the_same_for_the_same_seed_and_even_by_area():
    mesh = trimesh.util.concatenate([ball(0.2), trimesh.creation.box((2.0, 2.0, 2.0))])
    points = sample_mesh(mesh, 5000, seed=3)
    np.testing.assert_array_equal(points, sample_mesh(mesh, 5000, seed=3))
    inner = (np.linalg.norm(points, axis=1) < 0.5).mean()
    assert inner == pytest.approx(ball(0.2).area / mesh.area, abs=0.01)


@pytest.mark.parametrize("kind", ["sdf", "mesh", "points"])
def test_concentric_spheres_are_as_far_apart_as_their_radii(kind):
    truth = {
        "sdf": lambda p: shapes.sphere(p, 0.5),
        "mesh": ball(0.5),
        "points": sample_mesh(ball(0.5), 5000, seed=5),
    }[kind]
    found = scores(ball(0.6), truth, thresholds=[0.09, 0.11], box=BOX, resolution=48)
    # The nearest of 5000 points lies up to 0.02 beside the foot of the perpendicular; surfaces leave no such floor.
    assert found.accuracy == pytest.approx(0.1, abs=3e-3 if kind == "points" else 1e-3)
    assert found.completeness == pytest.approx(0.1, abs=1e-3)
    assert found.chamfer == pytest.approx((found.accuracy + found.completeness) / 2)
    assert found.f_scores == (0.0, 1.0)


def test_equal_surfaces_have_no_distance_not_even_that_between_samples():
    assert scores(ball(0.5), ball(0.5)).chamfer < 1e-12


def test_a_missing_half_shows_in_completeness_not_in_accuracy():
    whole = ball(0.5)
    half = trimesh.Trimesh(whole.vertices, whole.faces[whole.triangles_center[:, 2] > 0], process=False)
    found = scores(half, whole, thresholds=[1e-6])
    assert found.accuracy < 1e-12 and found.completeness > 0.1
    assert found.precision == (1.0,) and found.recall[0] == pytest.approx(0.5, abs=0.03)
    assert found.f_scores[0] == pytest.approx(2 / 3, abs=0.03)


def test_marching_cubes_come_closer_to_the_truth_with_the_square_of_the_resolution():
    coarse, fine = (scores(extract_mesh(torus, BOX, n), torus, box=BOX, resolution=48).chamfer for n in (33, 65))
    assert 3.3 < coarse / fine < 4.7


def test_a_mesh_without_faces_is_refused():
    with pytest.raises(InputError, match="no faces"):
        scores(trimesh.Trimesh(), ball(0.5))


def cup_mesh(resolution=48):
    return extract_mesh(object_sdf, BOX, resolution)


def dented(mesh):
    """The mesh with waves up to 0.05 laid over it."""
    points = mesh.vertices + 0.05 * np.sin(6.0 * mesh.vertices[:, [1, 2, 0]])
    return trimesh.Trimesh(points, mesh.faces, process=False)


def mean_distance_by_trimesh(source, target):
    """Mean distance from random points of a mesh to another: the triangles of the nearest of many random points there."""
    points = trimesh.sample.sample_surface(source, 20_000, seed=8)[0]
    near, faces = trimesh.sample.sample_surface(target, 200_000, seed=9)
    candidates = target.triangles[faces[cKDTree(near).query(points, k=12)[1]]].reshape(-1, 3, 3)
    repeated = np.repeat(points, 12, axis=0)
    away = np.linalg.norm(trimesh.triangles.closest_point(candidates, repeated) - repeated, axis=1)
    return away.reshape(-1, 12).min(axis=1).mean()


def test_chamfer_to_the_exact_cup_agrees_with_an_independent_computation_within_a_hundredth():
    mesh, fine = dented(cup_mesh(48)), cup_mesh(192)
    found = surface_scores(mesh, object_sdf, n_samples=20_000, box=BOX, resolution=128)
    expected = (mean_distance_by_trimesh(mesh, fine) + mean_distance_by_trimesh(fine, mesh)) / 2
    assert found.chamfer == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize("kind", ["mesh", "points", "sdf"])
def test_scores_do_not_depend_on_the_frame_and_scale_in_which_the_mesh_is_given(kind):
    truth = {"mesh": ball(0.5), "points": sample_mesh(ball(0.5), 2000, seed=5), "sdf": torus}[kind]
    mesh = dented(ball(0.55))
    turn = rotation_from_vector(torch.tensor([0.3, -1.0, 0.5], dtype=torch.float64))
    to_truth = similarity(0.017, torch.tensor([3.0, -70.0, 0.2], dtype=torch.float64), turn)
    given = mesh.copy().apply_transform(invert(to_truth).numpy())
    options = dict(thresholds=[0.03, 0.1], box=BOX, resolution=32)
    one, other = scores(mesh, truth, **options), scores(given, truth, mesh_to_truth=to_truth, **options)
    agreements = [one.normal_consistency, other.normal_consistency]
    if kind == "points":
        assert agreements == [None, None]
    else:  # of two triangles that share the nearest edge, rounding chooses
        assert agreements[1] == pytest.approx(agreements[0], rel=1e-3)
    for name in set(asdict(one)) - {"normal_consistency"}:
        assert getattr(other, name) == pytest.approx(getattr(one, name), rel=1e-6), name


def test_scores_of_both_sides_scaled_are_scaled():
    mesh, truth, factor = dented(ball(0.55)), ball(0.5), 250.0
    one = scores(mesh, truth, thresholds=[0.03])
    scaled = [m.copy().apply_scale(factor) for m in (mesh, truth)]
    other = scores(*scaled, thresholds=[0.03 * factor])
    for name in ("accuracy", "completeness", "chamfer", "accuracy_median", "completeness_median"):
        assert getattr(other, name) == pytest.approx(factor * getattr(one, name))
    assert other.f_scores == pytest.approx(one.f_scores)
    assert other.normal_consistency == pytest.approx(one.normal_consistency, rel=1e-3)


def test_normals_of_a_slanted_plane_agree_by_the_cosine_of_its_angle():
    square = trimesh.Trimesh([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]], [[0, 1, 2], [2, 3, 0]], process=False)
    turned = square.copy().apply_transform(trimesh.transformations.rotation_matrix(0.4, [1, 0, 0]))
    assert scores(turned, square).normal_consistency == pytest.approx(np.cos(0.4))
    turned.invert()
    assert scores(turned, square).normal_consistency == pytest.approx(np.cos(0.4))
    assert scores(square, lambda p: p[:, 2], box=BOX, resolution=9).normal_consistency == pytest.approx(1.0)


def test_a_side_given_as_points_states_its_floor():
    lattice = np.stack(np.meshgrid(np.linspace(-1, 1, 21), np.linspace(-1, 1, 21), [0.0]), axis=-1).reshape(-1, 3)
    square = trimesh.Trimesh([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]], [[0, 1, 2], [2, 3, 0]], process=False)
    found = scores(square, lattice)
    assert found.accuracy_floor == pytest.approx(0.1) and found.completeness_floor == 0.0
    # The mean distance from the middle of a square of side a: a (sqrt(2) + asinh(1)) / 6. It is all floor.
    assert found.accuracy == pytest.approx(0.1 * (np.sqrt(2) + np.arcsinh(1)) / 6, rel=0.03)
    assert found.completeness < 1e-12 and found.normal_consistency is None
    swapped = scores(lattice, square)
    assert swapped.completeness_floor == pytest.approx(0.1) and swapped.accuracy < 1e-12


def test_feature_points_around_a_sphere_are_as_far_from_it_as_they_were_put():
    directions = np.random.default_rng(0).normal(size=(1000, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    away = np.concatenate([np.full(600, 0.2), np.full(300, 0.7), np.full(100, 30.0)])
    found = feature_scores((1.0 + away)[:, None] * directions, trimesh.creation.icosphere(6), [0.5, 1.0], clip=5.0)
    assert found["n_points"] == 1000
    assert found["median"] == pytest.approx(0.2, abs=1e-3) and found["within"] == [0.6, 0.9]
    assert found["mean_clipped"] == pytest.approx(0.6 * 0.2 + 0.3 * 0.7 + 0.1 * 5.0, abs=1e-3)
    assert found["mean"] == pytest.approx(0.6 * 0.2 + 0.3 * 0.7 + 0.1 * 30.0, abs=1e-3)


def test_what_cannot_be_measured_is_refused():
    with pytest.raises(InputError, match="the truth has shape"):
        scores(ball(0.5), np.zeros((0, 3)))
    with pytest.raises(InputError, match="the surface holds coordinates that are NaN"):
        scores(np.full((5, 3), np.nan), ball(0.5))
    with pytest.raises(InputError, match="no points|shape"):
        feature_scores(np.zeros((0, 3)), ball(0.5))
