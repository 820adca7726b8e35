"""Textures of bodies whose images are known exactly."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import trimesh

from neus.errors import InputError
from neus.texturing.drawn import drawn
from neus.texturing.levels import encoded
from neus.texturing.texture import made_texture
from neus.workflows.texture import difference_to_images
from tests.texturing.conftest import HELD_OUT
from tests.texturing.painted import CELLS, RADIUS, ball, ball_paint, ball_scene, board, board_scene, slow_paint

# Texels: these images show no more.
SMALL = 256


def errors_of(model, paint, project=lambda points: points):
    """(m,) levels by which the texture at the middle of each face is from the paint there."""
    size = len(model.texture)
    places = (model.uvs[model.faces].mean(axis=1) * size).astype(int).clip(0, size - 1)
    points = project(model.vertices[model.faces].mean(axis=1))
    return np.abs(model.texture[places[:, 1], places[:, 0]] - 255 * encoded(paint(points))).max(axis=1)


def on_ball(points):
    return points * (RADIUS / np.linalg.norm(points, axis=1, keepdims=True))


def test_images_not_used_are_drawn_to_35_db_and_better_than_by_vertices(textured_ball):
    found = difference_to_images(textured_ball.model, textured_ball.model.surface, textured_ball.scene, list(HELD_OUT))
    assert found.held_out and found.n_views == len(HELD_OUT)
    assert found.psnr > 40.0 and found.psnr > found.psnr_of_vertices + 6.0 and found.levels < 2.0


def test_each_place_has_the_colour_that_the_paint_has_there(textured_ball):
    errors = errors_of(textured_ball.model, ball_paint, on_ball)
    assert np.median(errors) < 3.0 and np.quantile(errors, 0.99) < 12.0


def test_facts_say_what_was_made(textured_ball):
    facts = textured_ball.facts
    assert facts.size == len(textured_ball.model.texture) == 1024 and 1 <= facts.n_charts < 60 and facts.n_boxed == 0
    assert 0.4 < facts.utilization < 1.0 and facts.fraction_seen == 1.0
    assert set(facts.seconds) == {"charts", "exposures", "views", "atlas", "baking", "filling"}


def test_no_two_faces_share_a_texel_and_charts_keep_their_distance(textured_ball):
    model, size = textured_ball.model, len(textured_ball.model.texture)
    corners = model.uvs[model.faces] * size
    assert model.uvs.min() >= 0.0 and model.uvs.max() <= 1.0
    middle = corners.mean(axis=1, keepdims=True)
    counts = np.zeros((size, size), np.uint8)
    for triangle in middle + 0.9 * (corners - middle):
        one = np.zeros((size, size), np.uint8)
        cv2.fillConvexPoly(one, np.floor(triangle).astype(np.int32), 1)
        counts += one
    # Integers round by up to a texel: only whole overlaps count.
    assert (cv2.erode(counts, np.ones((3, 3))) <= 1).all()
    numbers = chart_image(corners, model.faces, size)
    for distance in (1, 2):
        kernel = np.ones((2 * distance + 1,) * 2)
        highest = cv2.dilate(numbers, kernel)
        lowest = -cv2.dilate(np.where(numbers > 0, -numbers, -1e6).astype(np.float32), kernel)
        # Two texels to each side: four between charts.
        assert (highest == lowest)[(highest > 0) & (lowest < 1e6)].all(), distance


def chart_image(corners, faces, size):
    """(size, size) float32 with the number of the chart, from 1, of each texel whose centre it covers; 0 for none."""
    from neus.meshing.measures import connected_numbers
    from neus.texturing.texels import texels_of

    texels = texels_of(corners, size)
    pieces = connected_numbers(faces.max() + 1, faces.ravel(), np.roll(faces, -1, axis=1).ravel())[faces[:, 0]]
    image = np.zeros(size * size, np.float32)
    image[texels.indices] = np.repeat(pieces, np.diff(texels.starts)) + 1
    return image.reshape(size, size)


@pytest.fixture(scope="module")
def textured_board():
    return made_texture(board(), board_scene(), most_texels=256)


def test_corners_of_a_checkerboard_lie_within_a_texel(textured_board):
    model, facts = textured_board
    size = facts.size
    # The board is flat: one affine map leads from it to the texture.
    ones = np.column_stack([model.vertices[:, :2], np.ones(len(model.vertices))])
    to_texels = np.linalg.lstsq(ones, model.uvs * size, rcond=None)[0]
    inner = np.stack(np.meshgrid(*2 * [np.arange(1, CELLS) / CELLS - 0.5]), axis=-1).reshape(-1, 2)
    expected = np.column_stack([inner, np.ones(len(inner))]) @ to_texels
    grey = cv2.cvtColor(model.texture, cv2.COLOR_RGB2GRAY)
    # OpenCV has pixel centres at integers.
    start = (expected - 0.5).astype(np.float32)[:, None].copy()
    found = cv2.cornerSubPix(grey, start, (8, 8), (-1, -1), (cv2.TERM_CRITERIA_COUNT, 50, 0.001))[:, 0] + 0.5
    distances = np.linalg.norm(found - expected, axis=1)
    assert distances.max() < 1.0 and distances.max() > 0.0


def test_two_large_faces_are_textured_sharply_in_the_middle_of_cells(textured_board):
    model, facts = textured_board
    ones = np.column_stack([model.vertices[:, :2], np.ones(len(model.vertices))])
    to_texels = np.linalg.lstsq(ones, model.uvs * facts.size, rcond=None)[0]
    cells = np.stack(np.meshgrid(*2 * [(np.arange(CELLS) + 0.5) / CELLS - 0.5]), axis=-1)
    places = (np.concatenate([cells, np.ones((*cells.shape[:2], 1))], axis=-1) @ to_texels).astype(int)
    found = model.texture[places[..., 1], places[..., 0], 0]
    dark = np.add.outer(np.arange(CELLS), np.arange(CELLS)) % 2 == 0
    assert np.abs(found[dark] - 255.0 * encoded(np.array(0.05))).max() < 4
    assert np.abs(found[~dark] - 255.0 * encoded(np.array(0.85))).max() < 4


def test_what_no_view_sees_continues_its_neighbours_and_nothing_is_black_or_magenta():
    scene = ball_scene(8, 96, lowest=0.5)
    for image, mask in zip(scene.images, scene.masks, strict=True):
        image[~mask] = (255, 0, 255)  # what must not leak in
    model, facts = made_texture(ball(3), scene, SMALL)
    assert 0.3 < facts.fraction_seen < 0.95
    seen_range = 255 * encoded(np.array([0.1, 0.6]))
    texels = model.texture.reshape(-1, 3).astype(float)
    assert texels.min() > seen_range[0] - 30 and texels.max() < seen_range[1] + 30
    assert not ((texels[:, 0] > 220) & (texels[:, 1] < 70) & (texels[:, 2] > 220)).any()


def test_colours_of_the_mesh_are_taken_where_no_view_sees_it_shifted_to_the_images():
    scene, mesh = ball_scene(8, 96, lowest=0.5, paint=slow_paint), ball(3)
    # The field has the right paint, too dark by as much everywhere.
    shade = encoded(slow_paint(np.asarray(mesh.vertices)) - 0.1)
    mesh.visual.vertex_colors = (255 * shade).round().astype(np.uint8)
    with_field, without = (made_texture(given, scene, SMALL)[0] for given in (mesh, ball(3)))
    errors = [np.median(errors_below(model, -0.3)) for model in (with_field, without)]
    assert errors[0] < 5 and errors[1] > 10


def errors_below(model, height):
    """Levels by which the texture at vertices below a height is from the paint there."""
    chosen, size = model.vertices[:, 2] < height, len(model.texture)
    places = (model.uvs[chosen] * size).astype(int).clip(0, size - 1)
    return np.abs(model.texture[places[:, 1], places[:, 0]] - 255 * encoded(slow_paint(model.vertices[chosen]))).max(axis=1)


def test_something_that_moved_through_some_images_is_left_out():
    scene = ball_scene(24, 96)
    images = [image.copy() for image in scene.images]
    for view in (2, 6, 10):
        images[view][30:42, 40:60] = (255, 0, 255)
    model, facts = made_texture(ball(3), replace(scene, images=images), SMALL)
    assert facts.fraction_rejected > 0.005
    assert np.quantile(errors_of(model, ball_paint, on_ball), 0.98) < 30


def test_exposures_are_leveled():
    scene = ball_scene(12, 96)
    gains = 1.0 + 0.25 * np.sin(np.arange(12) * 2.4)
    dimmed = [np.clip(image * gain * 0.7, 0, 255).astype(np.uint8) for image, gain in zip(scene.images, gains, strict=True)]
    scene = replace(scene, images=dimmed)
    leveled, facts = made_texture(ball(3), scene, SMALL)
    as_it_is, _ = made_texture(ball(3), scene, SMALL, level_exposure=False)
    assert 1.4 < facts.exposure_ratio < 2.0
    rms = [np.sqrt((relative_errors(model) ** 2).mean()) for model in (leveled, as_it_is)]
    assert rms[0] < 0.3 * rms[1]


def relative_errors(model):
    """(m,) of the green channel: what the texture has at the middle of faces over what the paint has, less its mean."""
    size = len(model.texture)
    places = (model.uvs[model.faces].mean(axis=1) * size).astype(int).clip(0, size - 1)
    points = on_ball(model.vertices[model.faces].mean(axis=1))
    found = model.texture[places[:, 1], places[:, 0], 1] / (255 * encoded(ball_paint(points)[:, 1]))
    return found / found.mean() - 1.0


def test_a_mesh_with_pinched_edges_and_a_hundred_floating_pieces_is_finished():
    places = np.random.default_rng(0).uniform(-0.8, 0.8, (100, 3))
    pieces = [trimesh.creation.icosphere(1, 0.02).apply_translation(place) for place in places]
    book = [[0, 0, 0], [0, 0, 0.3], [0.3, 0, 0], [0, 0.3, 0], [-0.3, 0, 0], [0, -0.3, 0]]
    pages = trimesh.Trimesh(book, [[0, 1, 2], [0, 1, 3], [0, 1, 4], [0, 1, 5]], process=False)
    twice = trimesh.Trimesh(book, [[0, 1, 2], [2, 1, 0], [0, 0, 1]], process=False)
    mesh = trimesh.util.concatenate([ball(2), *pieces, pages, twice])
    model, facts = made_texture(mesh, ball_scene(6, 64), 512)
    assert facts.n_charts >= 101 and len(model.faces) == 320 + 100 * 80 + 4
    assert np.isfinite(model.uvs).all() and 0.0 <= model.uvs.min() and model.uvs.max() <= 1.0
    assert drawn(model, ball_scene(1, 64).camera(0))[1].any()


def test_a_mesh_without_an_area_is_refused():
    with pytest.raises(InputError, match="none of its 1 faces has an area"):
        made_texture(trimesh.Trimesh([[0, 0, 0], [1, 0, 0], [2, 0, 0]], [[0, 1, 2]], process=False), ball_scene(2, 32))
