"""Fused shapes: spheres from exact and from missing depths, hulls that stay where nothing matches, crumbs and hollows that go."""

import numpy as np
import pytest

from neus.errors import InputError
from neus.kernels.zero_distances.cpu import distances_to_zeros
from neus.stereo.fusion import fused_shape
from neus.stereo.pieces import without_crumbs
from neus.stereo.votes import Votes
from tests.stereo.sphere_views import estimate_of, lattice, rays_of, sphere_depths, views_around

RESOLUTION = 48
STEP = 2.0 / (RESOLUTION - 1)
RADII = np.linalg.norm(lattice(RESOLUTION), axis=0)


def with_wall(depths, view, distance=3.0):
    """Depths of an object before a sphere all around, which shows that the space between is free."""
    rays = rays_of(view)
    a, b, c = (rays * rays).sum(-1), rays @ view.center, view.center @ view.center - (distance + 1.0) ** 2
    far = (-b + np.sqrt(b * b - a * c)) / a
    return np.where(np.isfinite(depths), depths, far)


@pytest.mark.parametrize("resolution", [33, 48, 64])
def test_exact_depths_of_a_sphere_give_its_distances(resolution):
    views = views_around()
    estimates = [estimate_of(view, with_wall(sphere_depths(view, 0.6), view)) for view in views]
    shape = fused_shape(views, estimates, resolution)
    exact = np.linalg.norm(lattice(resolution), axis=0) - 0.6
    near, step = abs(exact) < 0.03, 2.0 / (resolution - 1)
    assert shape.distances.dtype == np.float32 and shape.is_visible[near].mean() > 0.98
    # Depths along slanted rays exceed the distance by its cosine: signs are right, magnitudes to a fraction of a step.
    assert abs(shape.distances - exact)[near].mean() < 0.25 * step
    assert (np.sign(shape.distances) != np.sign(exact))[abs(exact) > 0.8 * step].sum() == 0


def test_a_hole_in_the_matches_is_closed():
    views = views_around()
    estimates = []
    for view in views:
        depths = sphere_depths(view, 0.6)
        points = depths[..., None] * rays_of(view) + view.center
        unknown = np.isfinite(depths) & (points[..., 2] > 0.48)
        estimates.append(estimate_of(view, np.where(unknown, np.nan, with_wall(depths, view))))
    distances = fused_shape(views, estimates, RESOLUTION).distances
    points = lattice(RESOLUTION)
    assert (distances[(RADII < 0.5) & (points[2] < 0.2)] < 0).all()
    assert (distances[RADII > 0.7] > 0).all()


def test_without_a_match_the_hull_is_the_shape():
    masks = [np.isfinite(sphere_depths(view, 0.6)) for view in views_around()]
    views = views_around(masks=masks)
    unknown = [estimate_of(view, np.full(mask.shape, np.nan)) for view, mask in zip(views, masks, strict=True)]
    # A ball, and a needle thinner than two steps.
    points = lattice(RESOLUTION)
    hull = np.minimum(
        RADII - 0.6, np.maximum(np.hypot(points[0], points[1]) - 0.6 * STEP, abs(points[2]) - 0.9)
    ).astype(np.float32)
    shape = fused_shape(views, unknown, RESOLUTION, hull)
    assert np.array_equal(shape.distances < 0, hull < 0)
    np.testing.assert_allclose(shape.distances, distances_to_zeros(hull, STEP), atol=1e-6)


def test_depths_carve_the_hull_and_nothing_stays_outside_of_it():
    # The hull is a ball of 0.8, the object one of 0.6: what is seen on the +z side goes.
    masks = [np.isfinite(sphere_depths(view, 0.8)) for view in views_around()]
    views = views_around(masks=masks)
    estimates = [
        estimate_of(view, sphere_depths(view, 0.6) if view.center[2] > 1.0 else np.full(masks[0].shape, np.nan))
        for view in views
    ]
    hull, z = (RADII - 0.8).astype(np.float32), lattice(RESOLUTION)[2]
    distances = fused_shape(views, estimates, RESOLUTION, hull).distances
    assert (distances[hull > 0] > 0).all()
    seen = z > 0.7 * RADII
    near = seen & (abs(RADII - 0.6) < 0.04)
    assert (abs(distances - RADII + 0.6)[near] < STEP).mean() > 0.99
    assert (distances[(RADII < 0.75) & (z < -0.5 * RADII)] < 0).all()


def test_nothing_matched_is_said_so():
    views = views_around(6)
    unknown = [estimate_of(view, np.full(view.grey.shape, np.nan)) for view in views]
    with pytest.raises(InputError, match="nothing could be matched between the 6 images"):
        fused_shape(views, unknown, RESOLUTION)
    with pytest.raises(InputError, match="resolution 7"):
        fused_shape(views, unknown, 7)
    with pytest.raises(InputError, match="no point in common"):
        fused_shape(views, unknown, RESOLUTION, np.ones((RESOLUTION,) * 3, np.float32))


def empty_votes():
    shape = (RESOLUTION,) * 3
    return Votes(*(np.zeros(shape, np.uint16) for _ in range(3)), np.zeros(shape, np.float32))


def test_pieces_that_few_views_support_go_and_others_stay():
    points, votes = lattice(RESOLUTION), empty_votes()
    spheres = {"large": ((0.3, 0.0, 0.0), 0.5), "small": ((-0.6, 0.5, 0.0), 0.15), "crumb": ((-0.6, -0.5, 0.0), 0.15)}
    fields = {
        name: np.linalg.norm(points - np.reshape(c, (3, 1, 1, 1)), axis=0) - r for name, (c, r) in spheres.items()
    }
    values = np.min(list(fields.values()), axis=0).astype(np.float32)
    votes.near[values < STEP] = 8
    votes.near[fields["crumb"] < 2 * STEP] = 0
    votes.near[(fields["crumb"] < 0) & (points[2] > 0.1)] = 1
    kept = without_crumbs(values, votes, [np.array([0.0, 0.0, 3.0])], 0.06) < 0
    assert kept[fields["large"] < 0].all() and kept[fields["small"] < 0].all() and not kept[fields["crumb"] < 0].any()


@pytest.mark.parametrize(("camera", "is_filled"), [((0.0, 0.0, 3.0), True), ((0.05, 0.0, 0.0), False)])
def test_a_hollow_is_filled_unless_a_camera_stands_in_it(camera, is_filled):
    values = np.maximum(RADII - 0.7, 0.3 - RADII).astype(np.float32)
    filled = without_crumbs(values, empty_votes(), [np.array(camera)], 0.06)
    assert (filled[RADII < 0.29] < 0).all() == is_filled
    assert np.array_equal(filled < 0, RADII < 0.7) or not is_filled
