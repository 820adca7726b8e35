"""The scale of a world from markers of known size."""

import cv2
import numpy as np
import pycolmap
import pytest

from neus.capture.markers import meeting_point, scale_from_markers, square_edge
from neus.errors import InputError
from neus.workflows.process import process_capture
from tests.capture import corner

WALL = 1024  # pixels of a wall's side
SIZE, N_VIEWS = (640, 480), 4


def world(tmp_path, edges: list[int], shrink: float = 0.5, n_views: int = N_VIEWS) -> pycolmap.Reconstruction:
    """Renders images of walls with markers of so many pixels of the wall; their exact model in a world of another size."""
    walls = [cv2.resize(wall, (WALL, WALL)) for wall in corner.textures()]
    dictionary = cv2.aruco.getPredefinedDictionary(cv2.aruco.DICT_4X4_50)
    for number, edge in enumerate(edges):
        wall, column = walls[number % 3], 60 + 330 * (number // 3)
        marker = cv2.aruco.generateImageMarker(dictionary, number, edge) / 255.0
        wall[60 : 100 + edge, column - 20 : column + 20 + edge] = 1.0
        is_mirrored = number % 3 != 1  # columns and rows of the wall run left about its normal
        wall[80 : 80 + edge, column : column + edge] = marker[:, ::-1] if is_mirrored else marker
    model = pycolmap.Reconstruction()
    camera = pycolmap.Camera.create_from_model_name(1, "SIMPLE_RADIAL", corner.FOCAL * SIZE[0] / corner.SIZE[0], *SIZE)
    model.add_camera_with_trivial_rig(camera)
    for number, pose in enumerate(corner.poses(n_views)):
        small = pose.copy()
        small[:3, 3] *= shrink
        image = pycolmap.Image(name=f"{number}.png", camera_id=1, image_id=number + 1)
        model.add_image_with_trivial_frame(image, pycolmap.Rigid3d(np.linalg.inv(small)[:3]))
        cv2.imwrite(str(tmp_path / f"{number}.png"), corner.render(pose, walls, size=SIZE))
    return model


def test_the_scale_is_that_of_the_markers(tmp_path, monkeypatch):
    monkeypatch.setattr(corner, "TEXTURE", WALL)
    model = world(tmp_path, [180, 180, 180])
    edge_in_metres = 0.05
    found = scale_from_markers(model, tmp_path, edge_in_metres)
    true_edge = 180 / WALL * corner.SIDE * 0.5
    assert found.n_markers == 3 and found.factor == pytest.approx(edge_in_metres / true_edge, rel=0.002)


@pytest.mark.slow
def test_a_scene_with_markers_comes_out_in_their_unit(tmp_path, monkeypatch):
    monkeypatch.setattr(corner, "TEXTURE", WALL)
    (tmp_path / "in").mkdir()
    world(tmp_path / "in", [180, 180, 180], n_views=7)
    edge = 1000.0 * 180 / WALL * corner.SIDE  # millimetres
    result = process_capture(tmp_path / "in", tmp_path / "scene", marker_edge=edge)
    images = pycolmap.Reconstruction(result.folder / "sparse" / "0").images.values()
    found = {image.name: image.projection_center() for image in images}
    true = [pose[:3, 3] for pose in corner.poses(7)]
    ratios = [np.linalg.norm(found[f"{i}.png"] - found["0.png"]) / np.linalg.norm(true[i] - true[0]) for i in range(1, 7)]
    assert np.median(ratios) == pytest.approx(1000.0, rel=0.005)
    assert result.facts["scale"]["n_markers"] == 3


@pytest.mark.slow
def test_markers_of_several_sizes_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(corner, "TEXTURE", WALL)
    model = world(tmp_path, [200, 150, 175])
    with pytest.raises(InputError, match="the 3 markers differ in size"):
        scale_from_markers(model, tmp_path, 0.05)


def test_images_without_markers_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(corner, "render", lambda *_, size: np.full(size[::-1], 128, np.uint8))
    with pytest.raises(InputError, match="0 markers found"):
        scale_from_markers(world(tmp_path, []), tmp_path, 0.05)


def test_rays_meet_where_they_come_from():
    generator = np.random.default_rng(0)
    point, centers = generator.normal(size=3), generator.normal(size=(5, 3))
    rays = [(center, (point - center) / np.linalg.norm(point - center)) for center in centers]
    assert np.allclose(meeting_point(rays), point)


def test_the_edge_of_a_turned_square_is_found():
    rotation = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    square = 0.7 * np.array([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]]) @ rotation.T + 3.0
    assert square_edge(square) == pytest.approx(0.7)
