"""The surface that is textured: cleaned, split without gaps; views chosen smoothly; unknown values continued."""

import numpy as np
import pytest
import trimesh

from neus.meshing.measures import is_closed
from neus.texturing.charts import signed_areas
from neus.texturing.fill import continued, padded_texture
from neus.texturing.levels import bytes_of_light, encoded, linear
from neus.texturing.surface import cleaned, split
from neus.texturing.texels import Texels, barycentric_of, texels_of
from neus.texturing.view_weights import BEST, best_of, trust_of


def test_cleaning_joins_vertices_and_keeps_colours():
    box = trimesh.creation.box()
    apart = trimesh.Trimesh(box.vertices[box.faces].reshape(-1, 3), np.arange(36).reshape(-1, 3), process=False)
    apart.visual.vertex_colors = (100 * (apart.vertices + 0.5)).astype(np.uint8)
    apart.faces = np.concatenate([apart.faces, apart.faces[:1], [[0, 0, 1]]])
    found = cleaned(apart)
    assert len(found.vertices) == 8 and len(found.faces) == 12 and is_closed(found)
    assert np.array_equal(found.visual.vertex_colors[:, :3], (100 * (found.vertices + 0.5)).astype(np.uint8))


@pytest.mark.parametrize("longest", [0.9, 0.5, 0.31, 0.1])
def test_split_faces_close_the_same_surface(longest):
    box = trimesh.creation.box((1.0, 2.0, 0.3))
    vertices, faces = np.asarray(box.vertices), np.asarray(box.faces)
    fine = split(vertices, faces, longest, 10**6)
    edges = fine.vertices[fine.faces] - fine.vertices[np.roll(fine.faces, -1, axis=1)]
    assert np.linalg.norm(edges, axis=-1).max() <= longest
    mesh = trimesh.Trimesh(fine.vertices, fine.faces, process=False)
    assert is_closed(mesh) and mesh.area == pytest.approx(box.area) and mesh.volume == pytest.approx(box.volume)
    assert np.allclose(fine.corners_of(vertices[faces]), fine.vertices[fine.faces])


def test_splitting_stops_before_there_are_too_many_faces():
    box = trimesh.creation.box()
    assert len(split(np.asarray(box.vertices), np.asarray(box.faces), 1e-3, 500).faces) <= 500


def test_barycentric_coordinates_of_texels_are_where_their_centres_lie():
    corners = np.array([[[2.0, 3.0], [60.0, 10.0], [20.0, 55.0]], [[60.0, 10.0], [62.0, 60.0], [20.0, 55.0]]])
    texels = texels_of(corners, 64)
    owners, parts = barycentric_of(texels, corners)
    places = np.einsum("pi,pic->pc", parts, corners[owners])
    away = np.abs(places - np.column_stack([texels.indices % 64 + 0.5, texels.indices // 64 + 0.5])).max(axis=1)
    # Those that the border runs through may have their centres beside it.
    assert away.max() < 1.5 and (away[parts.min(axis=1) > 1e-6] < 1e-4).all()
    inner = parts.min(axis=1) > 1e-6
    assert inner.sum() == pytest.approx(np.abs(signed_areas(corners)).sum(), rel=0.03)


def test_a_face_smaller_than_a_texel_has_one():
    tiny = np.array([[[5.1, 7.1], [5.3, 7.1], [5.1, 7.3]]])
    texels = texels_of(tiny, 16)
    assert texels.indices.tolist() == [7 * 16 + 5] and barycentric_of(texels, tiny)[1].min() >= 0.0


def test_a_sliver_has_texels_all_along():
    sliver = np.array([[[3.1, 5.2], [60.1, 5.25], [3.1, 5.3]]])
    columns = texels_of(sliver, 64).indices - 5 * 64
    assert sorted(columns.tolist()) == list(range(3, 61))


def test_a_view_comes_and_goes_without_a_step():
    # The fifth of five views overtakes the fourth.
    steps = np.linspace(0.0, 1.0, 201)
    qualities = np.stack([np.full(201, q) for q in (1.0, 0.9, 0.8, 0.5)] + [steps]).astype(np.float32)
    weights = best_of(qualities)
    assert np.allclose(weights.sum(axis=0), 1.0) and ((weights > 0).sum(axis=0) <= BEST).all()
    assert np.abs(np.diff(weights, axis=1)).max() < 0.02
    assert np.allclose(best_of(np.ones((6, 3), np.float32)), 1 / 6)
    assert (best_of(np.zeros((6, 3), np.float32)) == 0).all()


def test_a_colour_unlike_all_others_is_not_trusted():
    colors = np.full((6, 2, 3), 100, np.uint8)
    colors[:, :, 1] += np.arange(6, dtype=np.uint8)[:, None]
    colors[2, 0] = (250, 10, 250)
    colors[:, 1] = np.array([[90], [110], [95], [105], [100], [102]])
    trust = trust_of(colors, np.ones((6, 2), bool))
    assert trust[:, 0].tolist() == [1, 1, 0, 1, 1, 1] and (trust[:, 1] == 1).all()
    few = np.zeros((6, 2), bool)
    few[:3] = True
    assert (trust_of(colors, few) == 1).all()


def test_values_are_continued_linearly_along_a_strip():
    n = 21
    x = np.linspace(0, 1, n)
    vertices = np.concatenate([np.column_stack([x, np.full(n, y), np.zeros(n)]) for y in (0.0, 0.05)])
    i = np.arange(n - 1)
    faces = np.concatenate([np.column_stack([i, i + 1, n + i]), np.column_stack([i + 1, n + i + 1, n + i])])
    far = vertices.max() + trimesh.creation.box((0.1,) * 3).vertices
    vertices, faces = np.concatenate([vertices, far]), np.concatenate([faces, 2 * n + trimesh.creation.box().faces])
    known = np.isin(vertices[:, 0], [0.0, 1.0])
    values = np.where(known, 2.0 + vertices[:, 0], -9.0)[:, None]
    found = continued(values, known, faces, vertices)[:, 0]
    assert np.abs(found[: 2 * n] - 2.0 - vertices[: 2 * n, 0]).max() < 0.05
    # A piece without a known value takes the mean of those known.
    assert np.allclose(found[2 * n :], 2.5)


def test_nothing_around_charts_is_left_black():
    inside = np.array([[10, 10], [10, 11], [11, 10], [50, 40]])
    texels = Texels(inside[:, 0] * 64 + inside[:, 1], np.array([0, 4]), 64)
    texture = padded_texture(texels, np.array([[200, 0, 0]] * 3 + [[0, 200, 0]], np.uint8))
    assert (texture.sum(axis=-1) > 150).all()
    assert (texture[13, 13] == [200, 0, 0]).all() and (texture[50, 47] == [0, 200, 0]).all()


def test_light_and_its_numbers_are_inverse():
    values = np.arange(256) / 255.0
    assert np.allclose(encoded(linear(values)), values) and np.array_equal(bytes_of_light(linear(values)), np.arange(256))
    assert bytes_of_light(np.array([-1.0, 2.0])).tolist() == [0, 255]
