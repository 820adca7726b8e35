"""LLFF's poses_bounds.npy, written from its description."""

import cv2
import numpy as np
import pytest

from neus.errors import InputError
from neus.scenes.readers import read_scene
from tests.scenes.foreign.rig import (
    CENTERS,
    FOCAL,
    MIDDLE,
    NAMES,
    ROTATIONS,
    SIZE,
    assert_scene_shows,
    assert_shows,
    brown,
    posed_of,
    write_images,
)


def write(folder, change=lambda rows: rows, place="images"):
    write_images(folder / place)
    rows = []
    for rotation, center in zip(ROTATIONS, CENTERS, strict=True):
        right, down, forward = rotation
        matrix = np.stack([down, right, -forward, center, [SIZE[1], SIZE[0], FOCAL]], axis=1)
        rows.append([*matrix.ravel(), 2.0, 6.0])
    np.save(folder / "poses_bounds.npy", change(np.array(rows)))
    return folder


def test_columns_are_down_right_and_back(tmp_path):
    expected = [brown(view, center=MIDDLE) for view in range(4)]
    folder = write(tmp_path)
    assert_shows(posed_of(folder, "llff"), expected)
    assert assert_scene_shows(folder, expected).names == NAMES


def test_smaller_copies_are_seen_by_their_size(tmp_path):
    folder = write(tmp_path, place="images_2")
    for file in (folder / "images_2").iterdir():
        cv2.imwrite(
            str(file), cv2.resize(cv2.imread(str(file)), (SIZE[0] // 2, SIZE[1] // 2), interpolation=cv2.INTER_AREA)
        )
    scene = read_scene(folder)
    assert scene.sizes == [(SIZE[0] // 2, SIZE[1] // 2)] * 4
    assert np.allclose(scene.intrinsics[0].diagonal()[:2].numpy(), FOCAL / 2)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda rows: rows[:3], "3 cameras but 4 images in .*images; expected one for each"),
        (lambda rows: rows[:, :15], r"shape \(4, 15\), expected one row of 17 numbers"),
        (lambda rows: rows * np.where(np.arange(17) == 14, 0, 1), "focal length 0, expected positive"),
    ],
)
def test_damage_is_named(tmp_path, change, said):
    with pytest.raises(InputError, match=said):
        read_scene(write(tmp_path, change))
    (tmp_path / "poses_bounds.npy").write_bytes(b"PK")
    with pytest.raises(InputError, match="not a readable npy file"):
        read_scene(tmp_path)
