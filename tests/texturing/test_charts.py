"""Charts and atlases: flat, at their own area, side by side, whatever the mesh, and within a time limit."""

import time

import numpy as np
import pytest
import trimesh

from neus.kernels.raster_depth.cpu import foremost_triangles
from neus.texturing import charts as charts_module
from neus.texturing.atlas import packed_atlas
from neus.texturing.box_charts import box_charts
from neus.texturing.charts import charts_of, cut_in_pieces, has_xatlas, signed_areas, triangle_areas

xatlas = pytest.mark.skipif(not has_xatlas(), reason="xatlas is not installed")


def ramp(turns=3, steps=120):
    """A winding ramp: seen from above it lies over itself."""
    angle = np.linspace(0, 2 * np.pi * turns, steps)
    inner, outer = (np.column_stack([r * np.cos(angle), r * np.sin(angle), 0.02 * angle]) for r in (0.5, 1.0))
    vertices, i = np.concatenate([inner, outer]), np.arange(steps - 1)
    faces = np.concatenate([np.column_stack([i, steps + i, i + 1]), np.column_stack([i + 1, steps + i, steps + i + 1])])
    return vertices, faces


def overlap(atlas):
    """The part of the charts' area that texels miss: what lies over something else, and borders."""
    corners = atlas.places[atlas.faces]
    flat = np.column_stack([corners.reshape(-1, 2), np.ones(3 * len(corners))])
    covered = (foremost_triangles(flat, np.arange(len(flat)).reshape(-1, 3), atlas.size, atlas.size)[1] >= 0).sum()
    return 1.0 - covered / np.abs(signed_areas(corners)).sum()


def of_ball(subdivisions):
    mesh = trimesh.creation.icosphere(subdivisions)
    return np.asarray(mesh.vertices), np.asarray(mesh.faces)


@pytest.mark.parametrize("use_xatlas", [pytest.param(True, marks=xatlas), False])
@pytest.mark.parametrize("make", [ramp, lambda: of_ball(3)], ids=["ramp", "ball"])
def test_charts_cover_the_mesh_once(make, use_xatlas):
    vertices, faces = make()
    found = charts_of(vertices, faces, use_xatlas=use_xatlas)
    assert np.array_equal(found.sources[found.faces], faces) and len(found.uvs) == len(found.sources)
    assert found.n_boxed == (0 if use_xatlas else len(faces))
    atlas = packed_atlas(found, 512, use_xatlas)
    assert atlas.places.min() >= 0 and atlas.places.max() <= 512 and atlas.utilization > 0.15
    # Every chart has at most one face at a place: borders alone cost texels, half of one all along.
    assert abs(overlap(atlas)) < 0.02


@xatlas
def test_charts_of_xatlas_have_the_areas_of_the_surface():
    vertices, faces = of_ball(4)
    found = charts_of(vertices, faces)
    flat, areas = np.abs(signed_areas(found.uvs[found.faces])), triangle_areas(vertices[faces])
    assert flat.sum() == pytest.approx(areas.sum(), rel=1e-3)
    assert np.quantile(flat / areas, 0.02) > 0.6 and np.quantile(flat / areas, 0.98) < 1.6
    again = charts_of(vertices, faces)
    assert np.array_equal(found.uvs, again.uvs) and np.array_equal(found.faces, again.faces)


@xatlas
def test_a_piece_that_takes_too_long_is_laid_out_by_main_directions(monkeypatch):
    monkeypatch.setattr(charts_module, "MOST_LOST", 2)
    vertices, faces = of_ball(5)
    started = time.monotonic()
    found = charts_of(vertices, faces, limit=0.01)
    assert time.monotonic() - started < 15 and found.n_boxed == len(faces)
    assert np.array_equal(found.sources[found.faces], faces)


def test_a_ramp_seen_from_above_is_taken_apart_where_it_lies_over_itself():
    vertices, faces = ramp()
    sources, corners, uvs, numbers = box_charts(vertices, faces)
    assert numbers.max() >= 2 and np.array_equal(sources[corners], faces)
    assert np.allclose(np.abs(signed_areas(uvs[corners])), np.abs(signed_areas(vertices[faces][..., :2])))
    assert (signed_areas(uvs[corners]) > 0).all()


def test_pieces_are_small_and_whole():
    centers = np.random.default_rng(0).normal(size=(1000, 3))
    pieces = cut_in_pieces(centers, 70)
    assert max(map(len, pieces)) <= 70 and np.array_equal(np.sort(np.concatenate(pieces)), np.arange(1000))
