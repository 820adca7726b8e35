import numpy as np
import pytest
import torch
import trimesh

from neus.errors import InputError
from neus.evaluation.surface import distances_to_mesh, sample_mesh, sample_zero_set, surface_scores
from neus.geometry import shapes
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
    # By Pappus, the outer half of a torus has the share 1/2 + r / (pi R) of the area.
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
