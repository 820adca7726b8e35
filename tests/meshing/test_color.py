import numpy as np
import pytest
import torch
import trimesh

from neus.errors import InputError
from neus.meshing.color import color_vertices


def test_colours_are_evaluated_at_the_vertices_along_the_unit_normals():
    mesh = trimesh.creation.icosphere(3, 0.5)
    colored = color_vertices(mesh, lambda points, normals: (points + normals) / 3 + 0.5, chunk=100)
    expected = np.round((1.5 * mesh.vertices / 0.5 / 3 + 0.5) * 255)
    np.testing.assert_allclose(colored.visual.vertex_colors[:, :3], expected.clip(0, 255), atol=3)
    assert (colored.visual.vertex_colors[:, 3] == 255).all()


def test_the_field_s_normals_are_used_and_kept():
    mesh = trimesh.creation.icosphere(2)
    sideways = np.tile([1.0, 0.0, 0.0], (len(mesh.vertices), 1))
    mesh.vertex_normals = sideways
    colored = color_vertices(mesh, lambda points, normals: normals)
    np.testing.assert_array_equal(colored.visual.vertex_colors, np.tile([255, 0, 0, 255], (len(sideways), 1)))
    np.testing.assert_array_equal(colored.vertex_normals, sideways)


def test_colours_beyond_the_range_are_clipped_and_others_rounded():
    mesh = trimesh.creation.box()
    colored = color_vertices(mesh, lambda points, normals: torch.tensor([[-1.0, 0.5, 2.0]]).expand(len(points), 3))
    np.testing.assert_array_equal(colored.visual.vertex_colors[0], [0, 128, 255, 255])


def test_a_colour_that_is_not_a_number_is_refused():
    with pytest.raises(InputError, match="vertex colours: .* NaN"):
        color_vertices(trimesh.creation.box(), lambda points, normals: points * float("nan"))
