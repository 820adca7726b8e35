"""NSVF's folder of a scene, written from its description."""

import numpy as np
import pytest

from neus.errors import InputError, InputWarning
from neus.scenes.readers import read_scene
from tests.scenes.foreign.rig import (
    CAMERA_TO_WORLD,
    CENTER,
    FOCAL,
    MIDDLE,
    TARGET,
    assert_scene_shows,
    assert_shows,
    brown,
    matrix_text,
    posed_of,
    write_images,
)

STEMS = ["0_train_0", "0_train_1", "0_train_2", "1_val_0"]


def write(folder, intrinsics, stems=STEMS):
    write_images(folder / "rgb", [f"{stem}.png" for stem in stems])
    (folder / "pose").mkdir()
    for stem, pose in zip(stems, CAMERA_TO_WORLD, strict=True):
        (folder / "pose" / f"{stem}.txt").write_text(matrix_text(pose))
    (folder / "intrinsics.txt").write_text(intrinsics)
    corners = [*(TARGET - [0.7, 0.8, 0.9]), *(TARGET + [0.7, 0.8, 0.9]), 0.05]
    (folder / "bbox.txt").write_text(" ".join(repr(float(x)) for x in corners))
    return folder


def test_training_views_are_read_in_the_ball_around_the_box(tmp_path):
    matrix = np.eye(4)
    matrix[:3, :3] = [[FOCAL, 0, CENTER[0]], [0, FOCAL + 2, CENTER[1]], [0, 0, 1]]
    folder = write(tmp_path, matrix_text(matrix))
    expected = [brown(view, focal_y=FOCAL + 2) for view in range(3)]
    with pytest.warns(InputWarning, match=r"1 views are for validation and test and are left out \(1_val_0.txt\)"):
        assert_shows(posed_of(folder, "nsvf"), expected)
    with pytest.warns(InputWarning, match="validation"):
        scene = assert_scene_shows(folder, expected)
    assert np.allclose(scene.scene_to_world[:3, 3], TARGET) and scene.region_from == ""
    assert np.isclose(float(scene.scene_to_world[0, 0]), np.sqrt(0.49 + 0.64 + 0.81))


def test_other_names_are_all_read_and_a_short_intrinsics_file(tmp_path):
    stems = ["a", "b", "c", "d"]
    folder = write(tmp_path, f"{FOCAL} {MIDDLE[0]} {MIDDLE[1]} 0.\n0. 0. 0.\n0.\n1.\n72 96\n", stems)
    assert_shows(posed_of(folder, "nsvf"), [brown(view, center=MIDDLE) for view in range(4)])
    (folder / "pose" / "b.txt").write_text("1 0 0")
    with pytest.raises(InputError, match="b.txt: 3 numbers, expected 16"):
        read_scene(folder)
