import numpy as np
import pytest

from neus.kernels.raster_depth import cpu, reference


def test_each_rectangle_holds_what_a_search_through_all_pixels_finds():
    generator = np.random.default_rng(0)
    corners = np.column_stack([generator.uniform(-15, 55, (60, 2)), generator.uniform(-1, 9, 60)])
    faces = generator.integers(0, 60, (14, 3))
    found, expected = (k.depth_of_triangles(corners, faces, 41, 29) for k in (cpu, reference))
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert 0.3 < np.isfinite(expected).mean() < 1.0


@pytest.mark.parametrize("kernels", [cpu, reference])
def test_a_slanted_plane_has_its_own_depth_at_every_pixel_and_no_gap_between_its_triangles(kernels):
    # The plane z = 4 + x of a camera with f = 10 px; its ray through u has x = z (u - 8) / 10, so z = 4 / (1 - (u - 8) / 10).
    def projected(x, y):
        z = 4.0 + x
        return [8.0 + 10.0 * x / z, 6.0 + 10.0 * y / z, z]

    corners = np.array([projected(-3.0, -9.0), projected(40.0, -90.0), projected(40.0, 90.0), projected(-3.0, 9.0)])
    depth = kernels.depth_of_triangles(corners, np.array([[0, 1, 2], [2, 3, 0]]), 16, 12)
    u = np.arange(16) + 0.5
    np.testing.assert_allclose(depth, np.tile(4.0 / (1.0 - (u - 8.0) / 10.0), (12, 1)), rtol=1e-12)


@pytest.mark.parametrize("kernels", [cpu, reference])
def test_the_nearer_triangle_hides_the_farther_and_one_behind_the_camera_is_not_seen(kernels):
    square = np.array([[0.0, 0.0], [4.0, 0.0], [0.0, 4.0], [4.0, 4.0]])
    corners = np.concatenate([np.column_stack([square, np.full(4, z)]) for z in (5.0, 2.0, -1.0)])
    faces = np.array([[0, 1, 2], [1, 3, 2], [4, 5, 6], [8, 9, 10], [9, 11, 10]])
    depth = kernels.depth_of_triangles(corners, faces, 4, 4)
    assert depth[0, 0] == 2.0 and depth[3, 3] == 5.0 and np.isfinite(depth).all()
    assert np.isinf(kernels.depth_of_triangles(corners, faces[3:], 4, 4)).all()
