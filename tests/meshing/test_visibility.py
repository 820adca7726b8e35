import numpy as np
import pytest
import torch
import trimesh
from scipy.spatial import cKDTree

from neus.errors import InputError
from neus.geometry.cameras import Camera
from neus.geometry.poses import look_at
from neus.meshing.unseen import chosen_unseen, seen_fraction_of_ball, within_unit_sphere, without_unseen
from neus.meshing.visibility import LEAST_COSINE, median_edge, n_views_of_vertices, seen_facts

SIDE, FOCAL = 200, 260.0


def camera_at(eye, target=(0.0, 0.0, 0.0), up=(0.0, 1.0, 0.0)):
    eye, target, up = (torch.tensor(vector, dtype=torch.float64) for vector in (eye, target, up))
    intrinsics = torch.tensor([[FOCAL, 0.0, SIDE / 2], [0.0, FOCAL, SIDE / 2], [0.0, 0.0, 1.0]], dtype=torch.float64)
    return Camera(intrinsics, look_at(eye, target, up), SIDE, SIDE)


def ring(n, elevation, distance=3.0):
    turns, height = np.arange(n) * 2 * np.pi / n, np.radians(elevation)
    across, along = distance * np.cos(height), distance * np.sin(height)
    return [camera_at((across * np.cos(t), across * np.sin(t), along), up=(0.1, 0.2, 1.0)) for t in turns]


def cap_fraction(distance, radius):
    """Of a sphere, the part that a camera sees at an angle of more than acos(LEAST_COSINE): law of sines, half the cosine's range."""
    # At a point p of the cap's border the triangle centre, p, camera has the angle 180 - a at p, with cos a = LEAST_COSINE.
    a = np.arccos(LEAST_COSINE)
    at_camera = np.arcsin(radius / distance * np.sin(a))
    return (1.0 - np.cos(a - at_camera)) / 2.0


@pytest.fixture(scope="module")
def ball():
    return trimesh.creation.icosphere(5, 0.6)


def test_two_cameras_at_one_place_see_the_cap_of_a_sphere_that_is_turned_to_them(ball):
    cameras = [camera_at((0.0, 0.0, -3.0))] * 2
    n_views = n_views_of_vertices(ball, cameras)
    assert set(n_views.tolist()) == {0, 2}
    facts = seen_facts(ball, n_views)
    assert facts.fraction_seen == pytest.approx(cap_fraction(3.0, 0.6), abs=0.005)
    assert facts.fraction_seen_by_few == facts.fraction_seen and facts.fraction_seen_by_one == 0.0
    assert facts.fraction_unseen == pytest.approx(1.0 - facts.fraction_seen)
    assert ball.vertices[n_views == 2][:, 2].max() < 0.0


def test_what_lies_behind_another_sphere_is_not_seen_and_its_shadow_has_the_size_of_similar_triangles(ball):
    far = trimesh.creation.icosphere(5, 0.6).apply_translation([0.0, 0.0, 2.0])
    near = trimesh.creation.icosphere(5, 0.2)
    both = trimesh.util.concatenate([near, far])
    n_views = n_views_of_vertices(both, [camera_at((0.0, 0.0, -3.0))])
    seen = both.vertices[(n_views == 1) & (np.arange(len(n_views)) >= len(near.vertices))]
    # The rays that touch the near sphere make an angle of asin(0.2 / 3) with the axis.
    angles = np.arctan2(np.hypot(seen[:, 0], seen[:, 1]), seen[:, 2] + 3.0)
    assert len(seen) > 500 and angles.min() > np.arcsin(0.2 / 3.0) - 1.0 / FOCAL
    assert angles.min() < np.arcsin(0.2 / 3.0) + 4.0 / FOCAL


def test_a_part_outside_the_images_is_not_seen(ball):
    n_views = n_views_of_vertices(ball, [camera_at((0.0, 0.0, -3.0), target=(1.2, 0.0, 0.0))])
    assert 0 < (n_views == 1).sum() < 0.5 * len(n_views)
    assert ball.vertices[n_views == 1][:, 0].min() > -0.2


def test_cameras_on_one_side_leave_a_clean_cap_and_from_all_round_the_whole(ball):
    cameras = [camera_at((x, y, -3.0)) for x in (-0.5, 0.5) for y in (-0.5, 0.5)]
    n_views = n_views_of_vertices(ball, cameras)
    cut = without_unseen(ball, n_views)
    assert len(cut.outline().entities) == 1  # one border, no holes
    # What is left was seen by two, but for a margin of a few edges.
    seen = ball.vertices[n_views >= 2]
    distances = cKDTree(seen).query(cut.vertices)[0]
    assert distances.max() < 3 * median_edge(ball)
    # Faces with one corner beyond the border go: half an edge all along it.
    assert cut.area == pytest.approx(seen_facts(ball, n_views).fraction_seen * ball.area, rel=0.03)
    all_round = ring(12, 40.0) + ring(12, -40.0)
    assert without_unseen(ball, n_views_of_vertices(ball, all_round)) is ball


def test_pits_stay_closed_and_crumbs_go(ball):
    crumb = trimesh.creation.icosphere(2, 0.03).apply_translation([0.8, 0.0, -0.4])
    n_views = np.where(ball.vertices[:, 2] < 0.1, 5, 0)
    pit = np.linalg.norm(ball.vertices - [0.0, 0.0, -0.6], axis=1) < 4 * median_edge(ball)
    salt = np.random.default_rng(0).random(len(n_views)) < 0.05
    both = trimesh.util.concatenate([ball, crumb])
    counts = np.concatenate([np.where(pit | salt, 0, n_views), np.full(len(crumb.vertices), 5)])
    cut = without_unseen(both, counts)
    assert cut.bounds[1, 0] < 0.61 and cut.bounds[1, 2] < 0.15
    assert cut.body_count == 1 and len(cut.outline().entities) == 1


def test_of_a_ball_across_the_unit_sphere_the_part_inside_is_left(ball):
    moved = ball.copy().apply_translation([0.8, 0.0, 0.0])
    inside = within_unit_sphere(moved)
    assert 0 < len(inside.faces) < len(ball.faces)
    # The two spheres meet in the plane x = (1 + 0.8^2 - 0.6^2) / (2 * 0.8).
    assert inside.bounds[1, 0] == pytest.approx(0.8, abs=median_edge(ball)) and inside.bounds[1, 0] <= 0.8
    with pytest.raises(InputError, match="none of the 20480 faces lies within the unit sphere"):
        within_unit_sphere(ball.copy().apply_translation([2.0, 0.0, 0.0]))


def test_nothing_seen_is_explained(ball):
    with pytest.raises(InputError, match="no part of the 20480 faces is seen by 2 views"):
        without_unseen(ball, np.zeros(len(ball.vertices), int))


@pytest.mark.parametrize(("elevation", "choice"), [(0.0, "close"), (30.0, "close"), (60.0, "cut"), (90.0, "cut")])
def test_a_ring_of_cameras_goes_all_round_unless_it_is_high_up(elevation, choice):
    assert chosen_unseen("auto", ring(24, elevation)) == choice


def test_the_ball_that_a_ring_sees_has_a_closed_form():
    # Two neighbours of many cameras at 90 degrees stand in one place: half the ball, less the grazing belt.
    assert seen_fraction_of_ball(ring(2, 90.0)) == pytest.approx((1.0 - LEAST_COSINE) / 2, abs=2e-3)
    # A ring at 45 degrees misses a cap about the lowest point: 180 - acos(0.1) - 45 degrees wide.
    missed = np.pi - np.arccos(LEAST_COSINE) - np.radians(45.0)
    assert seen_fraction_of_ball(ring(200, 45.0)) == pytest.approx(1.0 - (1.0 - np.cos(missed)) / 2, abs=5e-3)
    assert seen_fraction_of_ball(ring(1, 0.0)) == 0.0


def test_choices_are_taken_as_they_are_and_cutting_needs_views():
    one_sided = ring(8, 80.0)
    assert [chosen_unseen(asked, one_sided) for asked in ("auto", "cut", "keep", "close")] == ["cut", "cut", "keep", "close"]
    assert chosen_unseen("auto", []) == chosen_unseen("auto", None) == "close"
    with pytest.raises(InputError, match="the views are not known"):
        chosen_unseen("cut", None)
    with pytest.raises(InputError, match="expected one of auto, cut, keep, close"):
        chosen_unseen("drop", one_sided)
