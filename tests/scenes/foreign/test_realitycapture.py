"""RealityCapture's CSV of cameras, written from its columns."""

import math

import numpy as np
import pytest

from neus.errors import InputError, InputWarning
from neus.scenes.readers import read_scene
from tests.scenes.foreign.rig import (
    CENTER,
    CENTERS,
    FOCAL,
    NAMES,
    OPENGL,
    SIZE,
    assert_scene_shows,
    assert_shows,
    brown,
    posed_of,
    write_images,
)

K, T = (-0.2, 0.05, -0.01), (0.003, -0.002)
HEADER = "#name,x,y,alt,heading,pitch,roll,f,px,py,k1,k2,k3,k4,t1,t2"


def angles(rotation):
    """Heading, pitch and roll of Rz(-heading) Rx(pitch) Ry(roll), degrees."""
    heading = -math.atan2(-rotation[0, 1], rotation[1, 1])
    return np.degrees([heading, math.asin(rotation[2, 1]), math.atan2(-rotation[2, 0], rotation[2, 2])])


def write(folder, header=HEADER, rows=None):
    write_images(folder / "images")
    if rows is None:
        px, py = (CENTER[0] - SIZE[0] / 2) / SIZE[0], (CENTER[1] - SIZE[1] / 2) / SIZE[0]
        rows = [
            [name, *CENTERS[view], *angles(OPENGL[view][:3, :3]), FOCAL * 36 / SIZE[0], px, py, *K, 0, *T]
            for view, name in enumerate(NAMES)
        ]
    lines = [",".join(row if isinstance(row, str) else repr(float(row)) for row in line) for line in rows]
    (folder / "scene.csv").write_text(f"#cameras {len(rows)}\n{header}\n" + "\n".join(lines) + "\n")
    return folder


def test_cameras_are_of_film_and_of_compass_angles(tmp_path):
    # t1 stands with r^2 + 2 x^2 in x: it is OpenCV's p2.
    expected = [brown(view, k=K, p=(T[1], T[0])) for view in range(4)]
    folder = write(tmp_path)
    posed = posed_of(folder, "realitycapture")
    assert_shows(posed, expected)
    assert posed.up == (0.0, 0.0, 1.0)
    assert_scene_shows(folder, expected)


def test_columns_may_be_left_out_and_smaller_images_taken(tmp_path):
    rows = [
        [*CENTERS[view][::-1], FOCAL * 36 / SIZE[0], *angles(OPENGL[view][:3, :3])[::-1], name]
        for view, name in enumerate(NAMES)
    ]
    folder = write(tmp_path, "alt, y, x, f, roll, pitch, heading, name", rows)
    expected = [brown(view, center=(SIZE[0] / 2, SIZE[1] / 2)) for view in range(4)]
    assert_shows(posed_of(folder, "realitycapture"), expected)
    assert_shows(posed_of(folder, "realitycapture"), [pixels / 4 for pixels in expected], (SIZE[0] // 4, SIZE[1] // 4))


def test_a_camera_headed_east_at_the_horizon_looks_along_x_with_z_upwards(tmp_path):
    rows = [["IMG_0000.png", 1, 2, 3, 90, 90, 0, 30]]
    pose = (
        posed_of(write(tmp_path, "#name,x,y,alt,heading,pitch,roll,f", rows), "realitycapture")
        .images[0]
        .camera_to_world
    )
    assert np.allclose(pose[:3, 2], [1, 0, 0]) and np.allclose(pose[:3, 1], [0, 0, -1])
    assert np.allclose(pose[:3, 3], [1, 2, 3])


@pytest.mark.parametrize(
    ("header", "rows", "said"),
    [
        ("#name,x,y,alt,heading,pitch,roll", None, "line 2 has no column f, expected name,x,y,alt"),
        (HEADER, [["a.png", 1, 2]], "line 3: 3 columns, expected 16 as in line 2"),
        (HEADER, [["a.png", "east", *[1] * 14]], "line 3: x: 'east' is no number"),
        (HEADER, [], "no camera with a pose in it"),
    ],
)
def test_damage_is_named(tmp_path, header, rows, said):
    with pytest.raises(InputError, match=said):
        read_scene(write(tmp_path, header, rows))


def test_images_that_are_not_in_the_file_are_named(tmp_path):
    folder = write(tmp_path)
    write_images(folder / "images", ["lost.png"])
    with pytest.warns(
        InputWarning, match=r"images: 1 images have no pose in .*scene.csv and are passed over \(lost.png\)"
    ):
        assert len(read_scene(folder)) == 4
