import numpy as np
import pytest
import trimesh

from neus.meshing.clean import with_faces
from neus.reports.six_sides import FILL, SIDES, side_axes, six_sides, upright_extent

UP, FRONT = np.array([0.0, 0.0, 1.0]), np.array([0.0, -1.0, 0.2])


def opaque(image):
    return image[..., 3] > 127


@pytest.fixture(scope="module")
def sphere():
    return trimesh.creation.icosphere(subdivisions=3)


def test_a_sphere_is_the_same_disc_from_all_sides(sphere):
    images = six_sides(sphere, UP, FRONT, 100)
    assert tuple(images) == SIDES
    disc = np.pi / 4 * (FILL * 100) ** 2
    assert [opaque(p).sum() for p in images.values()] == pytest.approx([disc] * 6, rel=0.02)


def test_sides_of_a_box_have_its_measures_at_one_scale():
    images = six_sides(trimesh.creation.box((1.0, 2.0, 4.0)), UP, FRONT, 200)
    seen = {side: (opaque(p).any(axis=0).sum(), opaque(p).any(axis=1).sum()) for side, p in images.items()}
    unit = FILL * 200 / 4.0
    for side, (wide, high) in {"front": (1, 4), "right": (2, 4), "back": (1, 4), "left": (2, 4), "top": (1, 2)}.items():
        assert seen[side] == pytest.approx((wide * unit, high * unit), abs=2)


def test_what_stands_before_hides_what_is_behind_and_left_is_left():
    behind = trimesh.creation.box((1.0, 1.0, 1.0))
    ball = trimesh.creation.icosphere(subdivisions=2, radius=0.2).apply_translation((-0.4, -1.0, 0.0))
    both = six_sides(behind + ball, UP, FRONT, 120)
    # The onlooker at -y sees the ball, which is at -x, on the left half; the one at the back does not see it at all.
    alone = six_sides(behind, UP, FRONT, 120, extent=upright_extent(behind + ball, UP, FRONT))
    changed = np.abs(both["front"].astype(int) - alone["front"]).sum(axis=-1) > 30
    assert changed[:, :60].sum() > 5 * max(changed[:, 60:].sum(), 1)
    covered = opaque(alone["back"])
    assert np.array_equal(both["back"][covered], alone["back"][covered])


def test_the_inside_is_red_and_the_outside_is_not(sphere):
    opened = with_faces(sphere, sphere.triangles_center[:, 1] > 0.0)
    images = six_sides(opened, UP, FRONT, 80)
    reddish = {s: (p[40, 40, 0].astype(int) - p[40, 40, 2]) for s, p in images.items()}
    assert reddish["front"] > 40 and abs(reddish["back"]) < 20


def test_axes_are_right_handed_rotations_even_if_the_cameras_are_above():
    for front in (FRONT, UP, -UP):
        for axes in side_axes(UP, front).values():
            assert np.allclose(axes @ axes.T, np.eye(3)) and np.linalg.det(axes) == pytest.approx(1.0)


def test_turning_mesh_and_onlooker_alike_changes_nothing(sphere):
    box = trimesh.creation.box((1.0, 2.0, 3.0))
    turn = trimesh.transformations.random_rotation_matrix(np.array([0.3, 0.6, 0.1]))
    before = six_sides(box, UP, FRONT, 60)
    after = six_sides(box.copy().apply_transform(turn), turn[:3, :3] @ UP, turn[:3, :3] @ FRONT, 60)
    for side in SIDES:
        assert np.abs(before[side].astype(int) - after[side]).mean() < 1.0
