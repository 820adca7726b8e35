"""Distances to meshes have the right size and sign, also off edges and corners."""

import numpy as np
import pytest
import torch
import trimesh

from neus.errors import InputError
from neus.geometry import shapes
from neus.geometry.similarity import transform_points
from neus.lod.mesh_distance import MESH_RADIUS, barycentric_of_nearest, teacher_from_mesh


def test_a_box_has_the_distances_of_its_closed_form():
    teacher = teacher_from_mesh(trimesh.creation.box((1, 2, 3)), "box")
    points = 2.0 * torch.rand(3000, 3) - 1.0
    scale = MESH_RADIUS / np.linalg.norm([0.5, 1.0, 1.5])
    wanted = shapes.box(points, [0.5 * scale, scale, 1.5 * scale])
    assert torch.allclose(teacher.sdf(points), wanted, atol=1e-5)


def test_signs_hold_where_faces_meet_at_sharp_angles():
    """A thin star, off whose tips the nearest face alone would tell the wrong side."""
    ring = [(np.cos(a) * r, np.sin(a) * r, 0.0) for a, r in zip(np.arange(10) * np.pi / 5, [1.0, 0.25] * 5, strict=True)]
    vertices = np.array([*ring, (0, 0, 0.2), (0, 0, -0.2)])
    faces = [(i, (i + 1) % 10, 10) for i in range(10)] + [((i + 1) % 10, i, 11) for i in range(10)]
    mesh = trimesh.Trimesh(vertices, faces, process=False)
    teacher = teacher_from_mesh(mesh, "star")
    points = 2.0 * torch.rand(4000, 3) - 1.0
    in_mesh = transform_points(teacher.scene_to_world, points.double()).numpy()
    wanted = winding_numbers(in_mesh, vertices[faces]) > 0.5
    assert np.array_equal(teacher.sdf(points).numpy() < 0, wanted) and 20 < wanted.sum() < 2000


def winding_numbers(points, triangles):
    """(M,) how often a closed surface goes round points: the sum of the solid angles of its triangles (Van Oosterom 1983)."""
    a, b, c = (triangles[None, :, i] - points[:, None] for i in range(3))
    x, y, z = (np.linalg.norm(side, axis=-1) for side in (a, b, c))
    below = x * y * z + (a * b).sum(-1) * z + (b * c).sum(-1) * x + (c * a).sum(-1) * y
    return np.arctan2((a * np.cross(b, c)).sum(-1), below).sum(1) / (2 * np.pi)


def test_a_mesh_is_brought_into_the_unit_sphere_and_its_place_is_known():
    mesh = trimesh.creation.icosphere(4, 50.0)
    mesh.apply_translation((100.0, 0.0, -300.0))
    teacher = teacher_from_mesh(mesh, "ball")
    center = transform_points(teacher.scene_to_world, torch.zeros(3, dtype=torch.float64))
    assert torch.allclose(center, torch.tensor([100.0, 0.0, -300.0], dtype=torch.float64))
    points = torch.nn.functional.normalize(torch.randn(50, 3), dim=1) * 0.7
    assert torch.allclose(teacher.sdf(points), torch.full((50,), 0.7 - MESH_RADIUS), atol=2e-3)


def test_colors_of_vertices_are_interpolated():
    mesh = trimesh.creation.icosphere(4)
    mesh.visual.vertex_colors = np.round((mesh.vertices * 0.5 + 0.5) * 255).astype(np.uint8)
    teacher = teacher_from_mesh(mesh, "ball")
    directions = torch.nn.functional.normalize(torch.randn(200, 3), dim=1)
    assert (teacher.near_color(directions * 0.8) - (directions * 0.5 + 0.5)).abs().max() < 0.01


def test_the_nearest_point_of_a_triangle_lies_within_it_on_a_side_or_at_a_corner():
    triangle = np.array([[[0.0, 0, 0], [1, 0, 0], [0, 1, 0]]])
    found = [barycentric_of_nearest(np.array([p]), triangle)[0] for p in ((0.25, 0.25, 1), (0.5, -1, 0), (-1, -1, 2), (1, 1, 0))]
    np.testing.assert_allclose(found, [[0.5, 0.25, 0.25], [0.5, 0.5, 0], [1, 0, 0], [0, 0.5, 0.5]])


def test_an_open_mesh_has_no_inside():
    mesh = trimesh.creation.box()
    mesh.update_faces(np.arange(len(mesh.faces)) > 0)
    with pytest.raises(InputError, match="open.ply: 11 faces with open edges"):
        teacher_from_mesh(mesh, "open.ply")
