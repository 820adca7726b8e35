import numpy as np
import pytest
import trimesh

from neus.meshing.measures import face_areas, is_closed, mesh_facts, piece_areas, piece_of_vertex, signed_volume


def test_a_ball_has_the_volume_and_area_of_a_ball():
    facts = mesh_facts(trimesh.creation.icosphere(subdivisions=5, radius=2.0))
    assert facts.volume == pytest.approx(4 / 3 * np.pi * 8, rel=2e-3) and facts.area == pytest.approx(
        16 * np.pi, rel=2e-3
    )
    assert facts.size == pytest.approx((4.0, 4.0, 4.0), rel=1e-3)
    assert facts.is_watertight and (facts.components, facts.largest_fraction) == (1, 1.0)


def test_an_open_mesh_has_no_volume():
    box = trimesh.creation.box()
    facts = mesh_facts(trimesh.Trimesh(box.vertices, box.faces[:-1], process=False))
    assert not facts.is_watertight and facts.volume is None and facts.faces == 11


def test_pieces_are_counted_and_unused_vertices_are_none():
    boxes = trimesh.creation.box() + trimesh.creation.box((2.0, 2.0, 2.0)).apply_translation((5.0, 0.0, 0.0))
    mesh = trimesh.Trimesh(np.vstack([boxes.vertices, [[9.0, 9.0, 9.0]]]), boxes.faces, process=False)
    facts = mesh_facts(mesh)
    assert facts.components == 2 and facts.largest_fraction == pytest.approx(0.8)
    assert sorted(piece_areas(mesh, piece_of_vertex(mesh))) == pytest.approx([0.0, 6.0, 24.0])


def test_a_mesh_turned_inside_out_has_a_positive_volume():
    box = trimesh.creation.box()
    box.invert()
    assert mesh_facts(box).volume == pytest.approx(1.0)


def test_areas_are_those_of_the_triangles_and_pieces_sum_them():
    mesh = trimesh.creation.annulus(0.5, 1.0, 2.0)
    np.testing.assert_allclose(face_areas(mesh), mesh.area_faces)
    assert piece_areas(mesh, piece_of_vertex(mesh)) == pytest.approx([mesh.area])


def test_faces_wound_against_each_other_enclose_nothing():
    box = trimesh.creation.box()
    turned = np.where(np.arange(12)[:, None] < 2, box.faces[:, ::-1], box.faces)
    facts = mesh_facts(trimesh.Trimesh(box.vertices, turned, process=False))
    assert not facts.is_watertight and facts.volume is None


def test_measures_do_not_depend_on_where_the_mesh_is():
    ball = trimesh.creation.icosphere(3, 0.4)
    far = trimesh.Trimesh(ball.vertices + [448262.0, 5411932.0, 150.0], ball.faces, process=False)
    near, moved = mesh_facts(ball), mesh_facts(far)
    assert (moved.area, moved.volume) == pytest.approx((near.area, near.volume), rel=1e-7)
    assert is_closed(far) and signed_volume(far) == pytest.approx(ball.volume, rel=1e-7)
