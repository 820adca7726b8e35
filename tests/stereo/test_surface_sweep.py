"""A surface a little off comes back to where the images agree about it, and nothing is claimed where they say nothing."""

import numpy as np
import pytest
import torch
import trimesh

from neus.stereo.depth_maps import agreed
from neus.stereo.rendered_depths import rendered_depths, triangles_of
from neus.stereo.stereo_views import DepthEstimate, stereo_views
from neus.stereo.surface_points import cosine_image, surface_points
from neus.stereo.surface_refinement import AGREEMENT_STEPS, refined, resampled
from neus.stereo.surface_sweep import sweep_surface
from tests.stereo.painted_sphere import RADIUS, paint, sphere_depths, sphere_distances, sphere_scene

# Depth of a sphere's pixels whose windows hold nothing else.
DISTANCE_OF_INNER = 2.62
ARC = np.arange(0.0, 60.0, 12.0)


@pytest.fixture(scope="module")
def arc():
    """Five views, 12 degrees apart."""
    return stereo_views(sphere_scene(ARC), 112)


@pytest.fixture(scope="module")
def swept(arc):
    """What is found from a sphere 2 % too large."""
    return sweep_surface(arc, [sphere_depths(view, 1.02 * RADIUS) for view in arc])


def errors_in_pixels(view, estimate):
    """(n,) errors of the known depths, as motions in a neighbour."""
    truth = sphere_depths(view)
    known = np.isfinite(estimate.depths) & np.isfinite(truth)
    return np.abs(1.0 / estimate.depths[known] - 1.0 / truth[known]) / (2.0 * estimate.step)


def test_depths_of_a_sphere_2_percent_too_large_come_back_to_hundredths_of_a_pixel(arc, swept):
    errors = errors_in_pixels(arc[2], swept[2])
    assert len(errors) > 0.6 * np.isfinite(sphere_depths(arc[2])).sum()
    assert np.median(errors) < 0.05 and np.quantile(errors, 0.9) < 0.3


def test_where_the_paint_is_plain_nothing_is_claimed():
    views = stereo_views(sphere_scene(ARC, color=lambda points: np.full(points.shape[:-1], 140.0)), 112)
    estimates = sweep_surface(views, [sphere_depths(view, 0.98 * RADIUS) for view in views])
    # Beside the outline the black around is seen: it looks the same from everywhere. Inside there is nothing to match.
    inner = sphere_depths(views[2]) < DISTANCE_OF_INNER
    assert not np.isfinite(estimates[2].depths[inner]).any()


def test_independent_noise_is_no_agreement():
    generator = np.random.default_rng(0)
    views = stereo_views(sphere_scene(ARC, color=lambda p: generator.uniform(100, 150, p.shape[:-1])), 112)
    estimates = agreed(views, sweep_surface(views, [sphere_depths(view) for view in views]), AGREEMENT_STEPS)
    assert np.isfinite(estimates[2].depths[sphere_depths(views[2]) < DISTANCE_OF_INNER]).mean() < 0.01


def test_pixels_outside_of_masks_are_not_matched():
    views = stereo_views(sphere_scene(ARC, masks=True), 112)
    estimates = sweep_surface(views, [sphere_depths(view, 1.03 * RADIUS) for view in views])
    assert np.isfinite(sphere_depths(views[2], 1.03 * RADIUS))[~views[2].mask].any()
    assert not np.isfinite(estimates[2].depths[~views[2].mask]).any()


def test_a_view_without_neighbors_and_one_without_surface_say_nothing(arc):
    (alone,) = sweep_surface(arc[:1], [sphere_depths(arc[0])])
    assert not np.isfinite(alone.depths).any()
    nothing = [np.full_like(view.grey, np.nan) for view in arc]
    assert not any(np.isfinite(estimate.depths).any() for estimate in sweep_surface(arc, nothing))


def test_the_result_does_not_depend_on_the_number_of_threads():
    scene, distances = sphere_scene(ARC), sphere_distances(40, 1.02 * RADIUS)
    n_threads, results = torch.get_num_threads(), []
    for n in (1, 3):
        torch.set_num_threads(n)
        results.append(refined(scene, distances, 80, resolution=48))
    torch.set_num_threads(n_threads)
    np.testing.assert_array_equal(results[0].distances, results[1].distances)
    for one, other in zip(*(result.estimates for result in results), strict=True):
        np.testing.assert_array_equal(one.depths, other.depths)
    points = [surface_points(result.estimates).points for result in results]
    np.testing.assert_array_equal(*points)


def test_a_surface_moves_where_it_is_seen_and_stays_where_nobody_sees_it():
    result = refined(sphere_scene(ARC, (-12.0, 0.0, 12.0)), sphere_distances(64, 1.02 * RADIUS), 112, resolution=64)
    vertices, _ = triangles_of(result.distances)
    radii, directions = np.linalg.norm(vertices, axis=1), vertices / np.linalg.norm(vertices, axis=1, keepdims=True)
    middle = np.array([np.cos(np.radians(24.0)), np.sin(np.radians(24.0)), 0.0])
    front, back = directions @ middle > 0.8, directions @ middle < -0.5
    # A pixel is 0.0083 wide; parallax of 12 degrees makes depths five times as coarse.
    assert np.median(np.abs(radii[front] - RADIUS)) < 1e-3
    # As far as straight edges follow a sphere on this lattice.
    assert np.abs(radii[back] - 1.02 * RADIUS).max() < 2e-3
    assert result.is_visible[52, 40, 32] == (abs(np.linalg.norm(np.array([52, 40, 32]) / 31.5 - 1) - RADIUS) < 0.1)


def test_a_later_round_may_revoke_what_an_earlier_one_claimed():
    # Whatever the surface was before, it is where the images say now.
    scene = sphere_scene(ARC, (-12.0, 0.0, 12.0))
    first, second = (refined(scene, sphere_distances(64, f * RADIUS), 112, resolution=64) for f in (0.985, 1.015))
    front = sphere_depths(stereo_views(scene, 112)[7]) < DISTANCE_OF_INNER
    apart = np.abs(first.estimates[7].depths - second.estimates[7].depths)[front]
    assert np.isfinite(apart).mean() > 0.9 and np.nanmedian(apart) < 1e-3


def test_points_lie_on_the_sphere_with_its_normals(arc, swept):
    points, normals, confidences = surface_points(agreed(arc, swept, AGREEMENT_STEPS))
    radii = np.linalg.norm(points, axis=1)
    sure = confidences > 0.5
    assert sure.sum() > 500
    assert np.median(np.abs(radii[sure] - RADIUS)) < 2e-3
    assert np.median((points * normals).sum(axis=1)[sure] / radii[sure]) > np.cos(np.radians(6.0))
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1.0, atol=1e-5)
    assert len(np.unique(np.floor((points - points.min(axis=0)) / 0.02), axis=0)) < len(points)


def test_cosines_of_slant_are_those_of_the_sphere(arc):
    view, depths = arc[2], sphere_depths(arc[2])
    estimate = DepthEstimate(view.matrix, depths, np.ones_like(depths), step=0.003)
    y, x = np.nonzero(depths < DISTANCE_OF_INNER)
    rays = np.column_stack([x, y, np.ones(len(x))]) @ view.backprojection().T
    points = view.center + rays * depths[y, x][:, None]
    expected = -(points * rays).sum(axis=1) / np.linalg.norm(points, axis=1) / np.linalg.norm(rays, axis=1)
    np.testing.assert_allclose(cosine_image(estimate)[y, x], expected, atol=0.01)


def test_points_of_nothing_are_none(arc):
    nothing = sweep_surface(arc, [np.full_like(view.grey, np.nan) for view in arc])
    assert [len(part) for part in surface_points(nothing)] == [0, 0, 0]
    assert [len(part) for part in surface_points([])] == [0, 0, 0]


def test_a_lattice_and_its_mesh_are_drawn_alike_and_as_the_sphere_is(arc):
    lattice = sphere_distances(80)
    mesh = trimesh.Trimesh(*triangles_of(lattice), process=False)
    (by_lattice, *_), (by_mesh, *_) = rendered_depths(lattice, arc), rendered_depths(mesh, arc)
    np.testing.assert_array_equal(by_lattice, by_mesh)
    truth = sphere_depths(arc[0])
    both = np.isfinite(by_mesh) & (truth < 2.7)
    assert both.sum() > 1000 and np.abs(by_mesh - truth)[both].max() < 1e-3


def test_resampled_values_are_exact_for_linear_ones():
    axes = [np.linspace(-1.0, 1.0, 5).reshape(shape) for shape in ((5, 1, 1), (1, 5, 1), (1, 1, 5))]
    fine = [np.linspace(-1.0, 1.0, 9).reshape(shape) for shape in ((9, 1, 1), (1, 9, 1), (1, 1, 9))]
    values, expected = (1.0 + 2.0 * x - y + 3.0 * z for x, y, z in (axes, fine))
    np.testing.assert_allclose(resampled(values, 9), expected, atol=1e-6)


def test_the_paint_is_well_exposed():
    grey = paint(np.random.default_rng(0).standard_normal((1000, 3)))
    assert grey.std() > 30.0
