import math

import numpy as np
import pytest
import trimesh

from neus.errors import InputError
from neus.evaluation.surface import surface_difference
from neus.meshing.simplify import simplified


def test_flat_sides_become_few_faces_and_edges_and_corners_stay():
    box = trimesh.creation.box((1.0, 2.0, 3.0))
    few = simplified(box.subdivide().subdivide().subdivide(), 20)
    assert len(few.faces) <= 20 and few.is_watertight
    assert few.volume == pytest.approx(6.0) and few.bounds == pytest.approx(box.bounds)
    assert surface_difference(box, few, n_samples=1000)[1] < 1e-6


@pytest.mark.parametrize("unit", [1e-3, 1.0, 1e3])
def test_a_ball_stays_closed_outward_and_as_near_as_so_many_faces_allow_in_any_unit(unit):
    ball = trimesh.creation.icosphere(5, unit)
    few = simplified(ball, 1280)
    assert len(few.faces) == 1280 and few.is_watertight and few.volume > 0
    # A chord of a triangle of area 4 pi / n, edge length e, lies e^2 / 6 below the unit sphere at its centre.
    sagitta = (4 * math.pi / 1280) * 4 / math.sqrt(3) / 6
    mean, greatest = surface_difference(ball, few, n_samples=5000)
    assert mean < 0.6 * sagitta * unit and greatest < 3 * sagitta * unit


def test_thin_sheets_that_collapse_on_to_each_other_leave_a_closed_mesh_even_in_a_file():
    rng = np.random.default_rng(0)
    bumpy = trimesh.creation.icosphere(5)
    bumpy.vertices *= (1.0 + 0.3 * rng.random((len(bumpy.vertices), 1))) * [1.0, 1.0, 0.02]
    for target in (300, 1000, 3000):
        few = simplified(bumpy, target)
        as_read = trimesh.Trimesh(few.vertices.astype(np.float32), few.faces, process=True)
        assert few.is_watertight and as_read.is_watertight and few.is_winding_consistent


def pinched():
    """Two tetrahedra that share an edge: four faces meet in it."""
    corners = np.array([[0.0, 0, 0], [0, 0, 1], [1, 0.2, 0.5], [1, -0.2, 0.5], [-1, 0.2, 0.5], [-1, -0.2, 0.5]])
    hulls = [trimesh.convex.convex_hull(corners[[0, 1, 2, 3]]), trimesh.convex.convex_hull(corners[[0, 1, 4, 5]])]
    both = trimesh.util.concatenate(hulls)
    both.merge_vertices()
    return both


def test_four_faces_that_meet_in_an_edge_become_two_sheetsparted():
    from neus.meshing.simplify import parted

    assert not pinched().is_watertight and len(pinched().vertices) == 6
    vertices, faces = parted(np.array(pinched().vertices), np.array(pinched().faces))
    mesh = trimesh.Trimesh(vertices, faces, process=True)
    assert mesh.is_watertight and len(mesh.vertices) == 8 and mesh.volume == pytest.approx(pinched().volume, rel=0.1)
    assert np.linalg.norm(vertices[:, None] - pinched().vertices, axis=-1).min(axis=1).max() < 0.02


def test_a_mesh_open_where_it_was_cut_stays_open_there():
    ball = trimesh.creation.icosphere(4)
    half = trimesh.Trimesh(ball.vertices, ball.faces[ball.triangles_center[:, 2] > 0], process=True)
    few = simplified(half, 400)
    assert (
        not few.is_watertight
        and few.bounds[0, 2] == pytest.approx(half.bounds[0, 2], abs=0.03)
        and few.is_winding_consistent
    )


def test_few_faces_are_left_as_they_are_and_fewer_than_a_tetrahedron_has_are_refused():
    box = trimesh.creation.box()
    assert simplified(box, 12) is box
    with pytest.raises(InputError, match="3 faces, expected at least 4"):
        simplified(box, 3)


def test_the_difference_of_two_balls_is_that_of_their_radii():
    inner, outer = trimesh.creation.icosphere(5, 1.0), trimesh.creation.icosphere(5, 1.1)
    mean, greatest = surface_difference(inner, outer, n_samples=2000)
    assert mean == pytest.approx(0.1, rel=0.01) and greatest == pytest.approx(0.1, rel=0.02)


def test_a_part_that_only_one_of_two_meshes_has_is_seen_from_either_side():
    ball, moon = trimesh.creation.icosphere(3), trimesh.creation.icosphere(3, 0.1)
    moon.apply_translation([3.0, 0.0, 0.0])
    both = trimesh.util.concatenate([ball, moon])
    for pair in ((ball, both), (both, ball)):
        assert surface_difference(*pair, n_samples=20_000)[1] == pytest.approx(2.1, abs=0.05)
