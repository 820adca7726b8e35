"""Plain matrices: written by hand, and as published with a stone head, Middlebury's dinosaur and Strecha's facade."""

import cv2
import numpy as np
import pytest

from neus.errors import InputError, InputWarning
from neus.geometry.cameras import project
from neus.geometry.poses import invert
from neus.geometry.similarity import transform_points
from neus.scenes.readers import DatasetConfig, read_scene
from tests.scenes.foreign.rig import (
    CENTER,
    CENTERS,
    DATA,
    FOCAL,
    NAMES,
    ROTATIONS,
    SIZE,
    TRANSLATIONS,
    assert_scene_shows,
    assert_shows,
    brown,
    matrix_text,
    posed_of,
    write_images,
)

# Of pixels whose centres are at integers.
K = np.array([[FOCAL, 0.0, CENTER[0] - 0.5], [0.0, FOCAL + 2.0, CENTER[1] - 0.5], [0.0, 0.0, 1.0]])


def expected():
    return [brown(view, focal_y=FOCAL + 2.0) for view in range(4)]


def write_projections(folder, place="P", larger=1):
    write_images(folder / "images")
    (folder / place).mkdir()
    # (u + 0.5) and (v + 0.5) are `larger` times as large.
    grow = np.array([[larger, 0, (larger - 1) / 2], [0, larger, (larger - 1) / 2], [0, 0, 1.0]])
    for view, name in enumerate(NAMES):
        matrix = grow @ K @ np.column_stack([ROTATIONS[view], TRANSLATIONS[view]]) * (-0.3 if view == 2 else 1.7)
        (folder / place / f"{name.removesuffix('.png')}_P.txt").write_text(matrix_text(matrix))
    return folder


def write_middlebury(folder):
    write_images(folder / "images")
    rows = [
        f"{name} {matrix_text([np.concatenate([K.ravel(), ROTATIONS[view].ravel(), TRANSLATIONS[view]])])}\n"
        for view, name in enumerate(NAMES)
    ]
    (folder / "head_par.txt").write_text(f"{len(rows)}\n{''.join(rows)}")
    return folder


def write_strecha(folder):
    write_images(folder / "images")
    (folder / "cameras").mkdir()
    for view, name in enumerate(NAMES):
        text = f"{matrix_text(K)}\n0 0 0\n{matrix_text(ROTATIONS[view].T)}\n{matrix_text([CENTERS[view]])}\n{SIZE[0]} {SIZE[1]}\n"
        (folder / "cameras" / f"{name}.camera").write_text(text)
    return folder


@pytest.mark.parametrize(
    ("write", "name"),
    [(write_projections, "projections"), (write_middlebury, "middlebury"), (write_strecha, "strecha")],
)
def test_matrices_show_points_where_they_say(tmp_path, write, name):
    folder = write(tmp_path)
    assert_shows(posed_of(folder, name), expected())
    assert assert_scene_shows(folder, expected()).names == NAMES


def test_matrices_of_larger_images_are_noticed_by_their_principal_points(tmp_path):
    folder = write_projections(tmp_path, "P_full", larger=3)
    with pytest.warns(InputWarning, match="the matrices are of images 3 times as large"):
        assert_shows(posed_of(folder, "projections"), expected())


def test_images_made_smaller_are_seen_by_strechas_size(tmp_path):
    folder = write_strecha(tmp_path)
    for file in (folder / "images").iterdir():
        cv2.imwrite(
            str(file), cv2.resize(cv2.imread(str(file)), (SIZE[0] // 2, SIZE[1] // 2), interpolation=cv2.INTER_AREA)
        )
    assert_shows(posed_of(folder, "strecha"), [pixels / 2 for pixels in expected()], (SIZE[0] // 2, SIZE[1] // 2))


@pytest.mark.parametrize(
    ("write", "file", "old", "new", "said"),
    [
        (write_middlebury, "head_par.txt", "4\n", "5\n", "first line says 5 images, but 4 lines follow"),
        (write_middlebury, "head_par.txt", " 0.0 0.0 1.0", " 0.0 1.0", "line 2: 20 numbers, expected 21"),
        (write_strecha, "cameras/IMG_0001.png.camera", "0 0 0\n", "", "camera: 23 numbers, expected 26"),
    ],
)
def test_damage_is_named(tmp_path, write, file, old, new, said):
    folder = write(tmp_path)
    (folder / file).write_text((folder / file).read_text().replace(old, new, 1))
    with pytest.raises(InputError, match=said):
        read_scene(folder)


def test_a_singular_projection_is_named(tmp_path):
    folder = write_projections(tmp_path)
    (folder / "P" / "IMG_0001_P.txt").write_text("1 0 0 1\n0 1 0 1\n1 1 0 1\n")
    with pytest.raises(InputError, match="IMG_0001_P.txt: its left 3x3 part is singular"):
        read_scene(folder)


def real(name):
    return pytest.param(name, marks=pytest.mark.skipif(not (DATA / name).is_dir(), reason=f"no ../shared/data/{name}"))


def lazily(name, **settings):
    return read_scene(DATA / name, DatasetConfig(camera_outside_sphere=False, **settings), lazy=True)


@pytest.mark.parametrize("name", [real("buddha_head")])
def test_the_published_matrices_of_the_stone_head_are_one_pinhole_camera_aimed_at_it(name):
    with pytest.warns(InputWarning, match="2 times as large"):
        scene = lazily(name)
    assert len(scene) == 67 and scene.names[0] == "00001.jpg" and scene.format == "projections"
    # Its SOURCE.md, with pixel centres at integers: f = 930.5, c = (684.1, 386.8); the axes meet near (0.003, -0.079, 2.240).
    for intrinsics in scene.intrinsics.numpy():
        assert np.allclose(intrinsics, [[930.5, 0, 684.6], [0, 930.5, 387.3], [0, 0, 1]], atol=0.06)
    offset = scene.scene_to_world[:3, 3].numpy() - [0.003, -0.079, 2.240]
    assert np.linalg.norm(offset) < 0.03
    published = np.load(DATA / name / "P_1368x770.npz")
    point = transform_points(invert(scene.scene_to_world), scene.scene_to_world[:3, 3] + 0.1)
    for view, key in enumerate(published.files):
        u, v, w = published[key] @ [*(scene.scene_to_world[:3, 3] + 0.1).tolist(), 1.0]
        pixels = project(point, scene.camera(view))[0].numpy()
        assert np.abs(pixels - [u / w + 0.5, v / w + 0.5]).max() < 0.01


@pytest.mark.parametrize("name", [real("middlebury_dino")])
def test_the_silhouettes_of_the_dinosaur_agree_on_one_hull_in_its_published_box(name):
    scene = lazily(name)
    assert len(scene) == 30 and scene.format == "middlebury"
    low, high = [-0.041897, 0.001126, -0.037845], [0.030897, 0.088227, 0.035495]
    grid = np.stack(np.meshgrid(*(np.linspace(a, b, 60) for a, b in zip(low, high))), axis=-1).reshape(-1, 3)
    grid = transform_points(invert(scene.scene_to_world), scene.scene_to_world.new_tensor(grid))
    is_inside, silhouettes, places = np.ones(len(grid), bool), [], []
    for view in range(0, 30, 3):
        # The recipe of its authors.
        bright = (scene.images[view].max(axis=2) > 0.19 * 255).astype(np.uint8)
        silhouette = cv2.erode(cv2.dilate(bright, np.ones((21, 21))), np.ones((15, 15)))
        columns, rows = project(grid, scene.camera(view))[0].numpy().astype(int).clip([0, 0], [639, 479]).T
        is_inside &= silhouette[rows, columns] > 0
        silhouettes.append(silhouette)
        places.append((rows, columns))
    for silhouette, (rows, columns) in zip(silhouettes, places, strict=True):
        hull = np.zeros_like(silhouette)
        hull[rows[is_inside], columns[is_inside]] = 1
        hull = cv2.dilate(hull, np.ones((11, 11)))
        assert (silhouette & hull).sum() > 0.93 * silhouette.sum()


@pytest.mark.parametrize("name", [real("herzjesu_p8")])
def test_the_facade_has_the_published_cameras_at_half_their_size(name):
    scene = lazily(name)
    assert len(scene) == 8 and scene.format == "strecha" and scene.metres == 1.0
    k = np.array([[2759.48, 0, 1520.69], [0, 2764.16, 1006.81], [0, 0, 1]])
    center = scene.scene_to_world @ scene.camera_to_scene[0, :, 3]
    assert np.allclose(center[:3].numpy(), [-6.71999, -14.2551, 0.279539])
    # u' = u / 2 - 1 / 4 for centres at integers.
    assert np.allclose(scene.intrinsics[0, :2, 2].numpy(), k[:2, 2] / 2 - 0.25 + 0.5)
    assert np.allclose(scene.intrinsics[0].diagonal()[:2].numpy(), k.diagonal()[:2] / 2)
