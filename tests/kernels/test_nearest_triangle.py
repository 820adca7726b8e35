import numpy as np
import pytest
import torch
import trimesh

from neus.geometry import shapes
from neus.kernels.nearest_triangle import cpu, reference


def soup(n_points, n_faces, seed=0):
    """Random triangles of all sizes, some without area, and points in and around them."""
    generator = np.random.default_rng(seed)
    vertices = generator.normal(size=(3 * n_faces, 3)) * generator.uniform(0, 1, (3 * n_faces, 1)) ** 4
    faces = generator.integers(0, len(vertices), (n_faces, 3))
    faces[::7, 2] = faces[::7, 1]
    faces[::11] = faces[::11, :1]
    return 2.0 * generator.normal(size=(n_points, 3)), vertices, faces


@pytest.mark.parametrize(("n_points", "n_faces"), [(0, 5), (1, 1), (200, 8), (200, 9), (150, 401)])
def test_the_tree_finds_what_a_search_through_all_triangles_finds(n_points, n_faces):
    points, vertices, faces = soup(n_points, n_faces)
    (found, numbers), (expected, _) = (k.nearest_triangles(points, vertices, faces) for k in (cpu, reference))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)
    # Which triangle it is may differ between equally near ones, so it is asked of that triangle alone.
    own = [reference.nearest_triangles(p[None], vertices, faces[n : n + 1])[0][0] for p, n in zip(points, numbers)]
    np.testing.assert_allclose(own, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kernels", [cpu, reference])
def test_distances_to_a_box_are_its_closed_form(kernels):
    mesh = trimesh.creation.box((1.0, 0.8, 0.6))
    points = np.random.default_rng(0).uniform(-1, 1, (500, 3))
    expected = shapes.box(torch.from_numpy(points), (0.5, 0.4, 0.3)).abs().numpy()
    found = kernels.nearest_triangles(points, mesh.vertices, mesh.faces)[0]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


def test_points_far_away_from_many_small_triangles_are_measured_exactly():
    sphere = trimesh.creation.icosphere(4)
    points = 1000.0 * np.random.default_rng(0).normal(size=(50, 3))
    found, expected = (k.nearest_triangles(points, sphere.vertices, sphere.faces)[0] for k in (cpu, reference))
    np.testing.assert_allclose(found, expected, rtol=1e-14)


def test_the_number_of_threads_changes_nothing():
    points, vertices, faces = soup(9000, 300)
    n_threads, found = torch.get_num_threads(), []
    try:
        for n in (1, 2):
            torch.set_num_threads(n)
            found.append(cpu.nearest_triangles(points, vertices, faces))
    finally:
        torch.set_num_threads(n_threads)
    assert all(np.array_equal(one, other) for one, other in zip(*found))
