import numpy as np
import pytest

from neus.kernels.raster_depth import cpu, reference


def searched(corners, faces, width, height):
    """The nearness by its definition: every pixel against every triangle, inside being on one side of its three edges."""
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    nearness = np.zeros((height, width))
    for triangle in corners[faces]:
        plane = np.linalg.lstsq(np.column_stack([triangle[:, :2], np.ones(3)]), triangle[:, 2], rcond=None)[0]
        sides = [(q[0] - p[0]) * (y - p[1]) - (q[1] - p[1]) * (x - p[0]) for p, q in zip(triangle, triangle[[1, 2, 0]])]
        is_inside = (np.min(sides, axis=0) >= 0.0) | (np.max(sides, axis=0) <= 0.0)
        if triangle[:, 2].min() > 0.0:
            nearness = np.where(is_inside, np.maximum(nearness, plane[0] * x + plane[1] * y + plane[2]), nearness)
    return nearness


@pytest.mark.parametrize("kernels", [cpu, reference])
def test_each_rectangle_holds_what_a_search_through_all_pixels_finds(kernels):
    generator = np.random.default_rng(0)
    corners = np.column_stack([generator.uniform(-15, 55, (60, 2)), generator.uniform(-1, 9, 60)])
    faces = generator.permutation(60)[:42].reshape(14, 3)
    nearness, numbers = kernels.foremost_triangles(corners, faces, 41, 29)
    np.testing.assert_allclose(nearness, searched(corners, faces, 41, 29), rtol=1e-9)
    assert 0.3 < (numbers >= 0).mean() < 1.0 and np.array_equal(numbers >= 0, nearness > 0.0)


def test_compiled_and_plain_find_the_same_triangles():
    generator = np.random.default_rng(1)
    corners = np.column_stack([generator.uniform(-5, 25, (90, 2)), generator.uniform(-1, 9, 90)])
    corners[:3] = np.nan, np.inf, -np.inf
    faces = np.concatenate([generator.integers(0, 90, (40, 3)), [[0, 4, 5], [1, 4, 5], [2, 4, 5], [7, 7, 8]]])
    for found, expected in zip(*(k.foremost_triangles(corners, faces, 19, 23) for k in (cpu, reference)), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize("kernels", [cpu, reference])
def test_a_slanted_plane_has_its_own_depth_at_every_pixel_and_no_gap_between_its_triangles(kernels):
    # The plane z = 4 + x of a camera with f = 10 px; its ray through u has x = z (u - 8) / 10, so z = 4 / (1 - (u - 8) / 10).
    def projected(x, y):
        z = 4.0 + x
        return [8.0 + 10.0 * x / z, 6.0 + 10.0 * y / z, 1.0 / z]

    corners = np.array([projected(-3.0, -9.0), projected(40.0, -90.0), projected(40.0, 90.0), projected(-3.0, 9.0)])
    nearness, _ = kernels.foremost_triangles(corners, np.array([[0, 1, 2], [2, 3, 0]]), 16, 12)
    u = np.arange(16) + 0.5
    np.testing.assert_allclose(1.0 / nearness, np.tile(4.0 / (1.0 - (u - 8.0) / 10.0), (12, 1)), rtol=1e-12)


@pytest.mark.parametrize("kernels", [cpu, reference])
def test_the_nearer_triangle_hides_the_farther_and_one_behind_the_camera_is_not_seen(kernels):
    square = np.array([[0.0, 0.0], [4.0, 0.0], [0.0, 4.0], [4.0, 4.0]])
    corners = np.concatenate([np.column_stack([square, np.full(4, n)]) for n in (0.25, 0.5, -1.0)])
    faces = np.array([[0, 1, 2], [1, 3, 2], [4, 5, 6], [8, 9, 10], [9, 11, 10]])
    nearness, numbers = kernels.foremost_triangles(corners, faces, 4, 4)
    assert nearness[0, 0] == 0.5 and nearness[3, 3] == 0.25
    assert (numbers[0, 0], numbers[3, 3]) == (2, 1) and numbers.min() == 1
    assert (kernels.foremost_triangles(corners, faces[3:], 4, 4)[1] == -1).all()


def test_shares_give_back_the_point_they_belong_to():
    generator = np.random.default_rng(2)
    corners, triangles = generator.uniform(0, 9, (12, 3)), generator.permutation(12).reshape(4, 3)
    expected = generator.dirichlet([1.0] * 3, 4)
    x, y, _ = np.einsum("pk,pkd->dp", expected, corners[triangles])
    np.testing.assert_allclose(reference.barycentric_weights(corners, triangles, x, y), expected, atol=1e-9)
