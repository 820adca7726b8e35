"""Winding numbers: whole inside closed meshes, between near holes, and alike in both forms."""

import numpy as np
import pytest
import trimesh

from neus.kernels.winding_number import cpu, reference

FORMS = pytest.mark.parametrize("form", [reference, cpu], ids=["reference", "cpu"])


@FORMS
def test_it_is_one_inside_and_zero_outside_of_a_ball(form):
    ball = trimesh.creation.icosphere(2)
    directions = np.random.default_rng(0).normal(size=(50, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    inside, outside = (form.winding_numbers(r * directions, ball.vertices, ball.faces) for r in (0.8, 1.3))
    assert np.abs(inside - 1.0).max() < 0.02 and np.abs(outside).max() < 0.02


@FORMS
def test_two_balls_in_one_another_wind_twice_and_a_turned_one_takes_away(form):
    ball, small = trimesh.creation.icosphere(2), trimesh.creation.icosphere(2, radius=0.5)
    for faces, expected in ((small.faces, 2.0), (small.faces[:, ::-1], 0.0)):
        vertices = np.concatenate([ball.vertices, small.vertices])
        both = np.concatenate([ball.faces, faces + len(ball.vertices)])
        assert form.winding_numbers(np.zeros((1, 3)), vertices, both)[0] == pytest.approx(expected, abs=0.02)


@FORMS
def test_half_a_ball_winds_half_round_its_centre(form):
    ball = trimesh.creation.icosphere(4)
    upper = ball.faces[ball.triangles_center[:, 2] > 0]
    assert form.winding_numbers(np.zeros((1, 3)), ball.vertices, upper)[0] == pytest.approx(0.5, abs=0.02)


def test_patches_far_away_count_as_one_with_little_error():
    mesh = trimesh.creation.torus(1.0, 0.4, 40, 24)
    faces, points = mesh.faces[150:], np.random.default_rng(1).uniform(-1.5, 1.5, (300, 3))
    errors = np.abs(cpu.winding_numbers(points, mesh.vertices, faces) - reference.winding_numbers(points, mesh.vertices, faces))
    assert errors.max() < 0.05 and errors.mean() < 0.01
