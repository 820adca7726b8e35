import numpy as np
import pytest

from neus.stereo.support_plane import Plane, dominant_plane, noise_below, support_plane
from tests.stereo.sphere_views import estimate_of, rays_of, views_around


def table_points(noise=0.01):
    """800 points about z = -0.3, and 300 of a pillar on it."""
    generator = np.random.default_rng(0)
    table = np.column_stack([generator.uniform(-1, 1, (800, 2)), -0.3 + noise * generator.standard_normal(800)])
    angles = generator.uniform(0, 2 * np.pi, 300)
    pillar = np.column_stack([0.2 * np.cos(angles), 0.2 * np.sin(angles), generator.uniform(-0.3, 0.4, 300)])
    return np.concatenate([table, pillar])


def upper_views():
    return [view for view in views_around(40) if view.center[2] > 0.5]


def depths_of_plane(view, reach):
    """(H, W) depths of the plane z = -0.3 as far as `reach` from the origin, NaN beyond."""
    rays = rays_of(view)
    depths = (-0.3 - view.center[2]) / rays[..., 2]
    points = view.center + depths[..., None] * rays
    return np.where((depths > 0) & (np.linalg.norm(points, axis=-1) < reach), depths, np.nan)


def test_the_plane_with_most_points_is_found_and_faces_the_cameras():
    plane = dominant_plane(table_points(), np.array([view.center for view in upper_views()]), 0.03)
    np.testing.assert_allclose(plane.normal, [0.0, 0.0, 1.0], atol=0.02)
    assert plane.offset == pytest.approx(-0.3, abs=0.005)
    assert plane.heights(plane.feet(table_points())) == pytest.approx(0.0, abs=1e-12)


def test_a_plane_between_the_cameras_is_none():
    assert dominant_plane(table_points(0.0)[:800], np.array([[0.0, 0, 2], [0, 0, -2]]), 0.03) is None


def test_a_support_goes_on_beyond_the_images_and_an_objects_own_base_does_not():
    views = upper_views()
    table = [estimate_of(view, depths_of_plane(view, 20.0)) for view in views]
    base = [estimate_of(view, depths_of_plane(view, 0.6)) for view in views]
    assert support_plane(table_points(), views, table, 0.03) is not None
    assert support_plane(table_points(), views, base, 0.03) is None


def test_a_plane_with_much_seen_behind_it_is_no_support():
    views = upper_views()
    table = [estimate_of(view, depths_of_plane(view, 20.0)) for view in views]
    behind = np.random.default_rng(1).uniform(-1.0, -0.5, (300, 3))
    assert support_plane(np.concatenate([table_points(), behind]), views, table, 0.03) is None


def test_noise_of_a_support_is_read_from_below_it():
    plane = Plane(np.array([0.0, 0.0, 1.0]), -0.3)
    noise = noise_below(plane.heights(table_points(0.01)), 0.1)
    assert 0.015 < noise < 0.03  # the 98th percentile of half a normal distribution is at 2.33 times its deviation
    assert noise_below(np.array([0.0, 0.2]), 0.1) == 0.0
