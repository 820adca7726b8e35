import numpy as np
import pytest
import trimesh

from neus.evaluation.mesh_facts import component_areas, mesh_facts


def test_a_ball_has_the_volume_and_area_of_a_ball():
    facts = mesh_facts(trimesh.creation.icosphere(subdivisions=5, radius=2.0))
    assert facts.volume == pytest.approx(4 / 3 * np.pi * 8, rel=2e-3) and facts.area == pytest.approx(
        16 * np.pi, rel=2e-3
    )
    assert facts.size == pytest.approx((4.0, 4.0, 4.0), rel=1e-3)
    assert facts.is_watertight and (facts.components, facts.largest_share) == (1, 1.0)


def test_an_open_mesh_has_no_volume():
    box = trimesh.creation.box()
    facts = mesh_facts(trimesh.Trimesh(box.vertices, box.faces[:-1], process=False))
    assert not facts.is_watertight and facts.volume is None and facts.faces == 11


def test_pieces_are_counted_and_unused_vertices_are_none():
    boxes = trimesh.creation.box() + trimesh.creation.box((2.0, 2.0, 2.0)).apply_translation((5.0, 0.0, 0.0))
    mesh = trimesh.Trimesh(np.vstack([boxes.vertices, [[9.0, 9.0, 9.0]]]), boxes.faces, process=False)
    facts = mesh_facts(mesh)
    assert facts.components == 2 and facts.largest_share == pytest.approx(0.8)
    assert sorted(component_areas(mesh)) == pytest.approx([6.0, 24.0])


def test_a_mesh_turned_inside_out_has_a_positive_volume():
    box = trimesh.creation.box()
    box.invert()
    assert mesh_facts(box).volume == pytest.approx(1.0)
