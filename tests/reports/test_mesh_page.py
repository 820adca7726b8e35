import re

import numpy as np
import pytest
import trimesh
from PIL import Image
from scipy.spatial import cKDTree

from neus.reports.mesh_page import mesh_page
from tests.reports.packed import decoded_page, element
from tests.reports.pages import problems_of


@pytest.fixture(scope="module")
def ball():
    """A sphere far from the origin, coloured by place, with one vertex that belongs to no face."""
    mesh = trimesh.creation.icosphere(3, radius=40.0)
    colors = np.column_stack([(mesh.vertices + 40.0) / 80.0 * 255.0, np.full(len(mesh.vertices), 255)]).round().astype(np.uint8)
    vertices = np.concatenate([[[900.0, 0.0, 0.0]], mesh.vertices + (500.0, -20.0, 7.0)])
    placed = trimesh.Trimesh(vertices, mesh.faces + 1, process=False)
    placed.visual.vertex_colors = np.concatenate([[[0, 0, 0, 255]], colors])
    return placed


def textured():
    mesh = trimesh.creation.icosphere(2)
    uv = np.random.default_rng(1).random((len(mesh.vertices), 2))
    mesh.visual = trimesh.visual.TextureVisuals(uv=uv, image=Image.new("RGB", (8, 8), (200, 90, 30)))
    return mesh


def corners_of(vertices, faces):
    """(m, 9) the corners of each face from the one with the smallest coordinates on, in the sense that they run."""
    corners = vertices[faces]
    first = np.argmin(corners @ (1.0, 1e3, 1e6), axis=1)
    return corners[np.arange(len(faces))[:, None], (first[:, None] + np.arange(3)) % 3].reshape(-1, 9)


def test_the_page_holds_the_mesh_within_half_a_step(ball):
    header, found = decoded_page(mesh_page(ball, "ball", ""))
    assert header["vertices"] == len(ball.vertices) - 1 and header["faces"] == len(ball.faces)
    assert header["step"] == pytest.approx(80.0 / 65535, rel=1e-2)
    distance, number = cKDTree(ball.vertices).query(found["positions"])
    assert np.abs(found["positions"] - ball.vertices[number]).max() <= header["step"] / 2 * (1 + 1e-6)
    assert np.array_equal(found["colors"], ball.visual.vertex_colors[number, :3])
    assert np.abs((found["normals"] * ball.vertex_normals[number]).sum(axis=1)).min() > np.cos(np.radians(1.0))
    assert (found["normals"] * ball.vertex_normals[number]).sum(axis=1).min() > 0
    # The same faces, run through in the same sense.
    own, shown = (set(map(tuple, np.sort(f, axis=1))) for f in (ball.faces, number[found["faces"]]))
    assert own == shown
    placed = trimesh.Trimesh(found["positions"], found["faces"], process=False)
    assert placed.is_watertight and placed.volume == pytest.approx(trimesh.Trimesh(ball.vertices, ball.faces).volume, rel=1e-4)


def test_texture_coordinates_and_texture_come_along():
    mesh = textured()
    text = mesh_page(mesh, "ball", "")
    header, found = decoded_page(text)
    number = cKDTree(mesh.vertices).query(found["positions"])[1]
    assert np.abs(found["uv"] - mesh.visual.uv[number]).max() <= max(header["uv_step"])
    assert element(text, "mesh-texture").startswith("data:image/jpeg;base64,") and not header["has_colors"]


def test_a_plain_mesh_has_neither_colours_nor_cameras():
    header, found = decoded_page(mesh_page(trimesh.creation.box(), "box", ""))
    assert not header["has_colors"] and not header["has_uv"] and header["cameras"] == 0 and len(found["frusta"]) == 0


def test_cameras_lie_where_they_were(ball):
    frusta = np.random.default_rng(0).normal(scale=300.0, size=(4, 5, 3)) + (500.0, 0.0, 0.0)
    header, found = decoded_page(mesh_page(ball, "ball", "", frusta=frusta))
    middle = (np.array(header["low"]) + header["high"]) / 2
    assert np.allclose(found["frusta"] + middle, frusta, atol=1e-3)


def test_the_vertical_is_upwards(ball):
    header, _ = decoded_page(mesh_page(ball, "ball", "", up=(0.0, -2.0, 0.0), front=(0.0, 0.3, -1.0)))
    turn = np.array(header["turn"])
    assert np.allclose(turn @ (0.0, -1.0, 0.0), (0.0, 1.0, 0.0)) and np.allclose(turn @ (0.0, 0.0, -1.0), (0.0, 0.0, 1.0))
    assert np.linalg.det(turn) == pytest.approx(1.0)


def test_the_page_needs_nothing_from_elsewhere_and_is_the_same_each_time(ball):
    text = mesh_page(ball, "</script><b>ball", "")
    assert problems_of(text) == [] and "<b>ball" not in text
    assert not re.search(r"https?:|//[a-z]+\.|\bfetch\(|XMLHttp|WebSocket|\bimport\(", text)
    assert "default-src 'none'" in text[: text.index("</head>")]
    assert text == mesh_page(ball, "</script><b>ball", "")


def test_without_scripts_the_six_sides_are_seen(ball):
    text = mesh_page(ball, "ball", "")
    still = text[text.index('<div id="mesh-still">') :]
    assert still.count("<img") == 6 and '<div id="mesh-viewer" hidden>' in text and "WebGL 2" in still
