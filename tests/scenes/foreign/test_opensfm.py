"""OpenSfM's reconstruction.json, written from its documentation."""

import json

import cv2
import numpy as np
import pytest

from neus.errors import InputError, InputWarning
from neus.scenes.readers import read_scene
from tests.scenes.foreign.rig import (
    CENTER,
    FOCAL,
    MIDDLE,
    NAMES,
    POINTS,
    ROTATIONS,
    SIZE,
    TRANSLATIONS,
    assert_scene_shows,
    assert_shows,
    brown,
    fisheye,
    posed_of,
    write_images,
)

K, P = (-0.1, 0.05, -0.02), (0.003, -0.002)
LONGER = max(SIZE)
BROWN = {
    "projection_type": "brown", "width": SIZE[0], "height": SIZE[1], "focal_x": FOCAL / LONGER, "focal_y": (FOCAL + 2) / LONGER,
    "c_x": (CENTER[0] - SIZE[0] / 2) / LONGER, "c_y": (CENTER[1] - SIZE[1] / 2) / LONGER,
    "k1": K[0], "k2": K[1], "k3": K[2], "p1": P[0], "p2": P[1],
}  # fmt: skip
SIMPLE = {
    "projection_type": "perspective",
    "width": SIZE[0],
    "height": SIZE[1],
    "focal": FOCAL / LONGER,
    "k1": K[0],
    "k2": K[1],
}


def write(folder, camera=BROWN, change=lambda data: None, place="."):
    write_images(folder / "images")
    shots = {
        name: {
            "rotation": cv2.Rodrigues(ROTATIONS[view])[0].ravel().tolist(),
            "translation": TRANSLATIONS[view].tolist(),
            "camera": "v2 unknown",
        }
        for view, name in enumerate(NAMES)
    }
    points = {str(i + 5): {"coordinates": x.tolist(), "color": [9.0, 8.0, 7.0]} for i, x in enumerate(POINTS)}
    data = [
        {
            "cameras": {"v2 unknown": camera},
            "shots": shots,
            "points": points,
            "reference_lla": {"latitude": 0.0, "longitude": 0.0},
        }
    ]
    change(data)
    (folder / place).mkdir(exist_ok=True)
    (folder / place / "reconstruction.json").write_text(json.dumps(data))
    tracks = "".join(f"{NAMES[2]}\t{i + 5}\t0\t0.1\t0.2\t0.01\t1\t2\t3\n" for i in range(len(POINTS) + 3))
    (folder / place / "tracks.csv").write_text("OPENSFM_TRACKS_VERSION_v2\n" + tracks)
    return folder


@pytest.mark.parametrize("place", [".", "opensfm"])
@pytest.mark.parametrize(
    ("camera", "by_hand"),
    [
        (BROWN, lambda view: brown(view, focal_y=FOCAL + 2, k=K, p=P)),
        (SIMPLE, lambda view: brown(view, center=MIDDLE, k=(K[0], K[1], 0))),
        (SIMPLE | {"projection_type": "fisheye"}, lambda view: fisheye(view, (K[0], K[1], 0, 0), center=MIDDLE)),
    ],
)
def test_each_camera_shows_points_where_the_documentation_says(tmp_path, camera, by_hand, place):
    folder = write(tmp_path, camera, place=place)
    posed = posed_of(folder, "opensfm")
    assert_shows(posed, [by_hand(view) for view in range(4)])
    assert np.allclose(posed.points.positions, POINTS) and posed.points.colors[0].tolist() == [9, 8, 7]
    assert set(posed.points.track_views.tolist()) == {2} and len(posed.points.track_points) == len(POINTS)
    assert posed.up == (0.0, 0.0, 1.0) and posed.metres is None
    assert_scene_shows(folder, [by_hand(view) for view in range(4)])


def test_with_gps_the_unit_is_the_metre(tmp_path):
    folder = write(tmp_path, change=lambda data: data[0].update(reference_lla={"latitude": 47.1, "longitude": 8.2}))
    assert read_scene(folder).metres == 1.0


def test_the_largest_reconstruction_is_read(tmp_path):
    folder = write(tmp_path, change=lambda data: data.insert(0, {"cameras": {}, "shots": {}, "points": {}}))
    with pytest.warns(InputWarning, match="2 reconstructions; the largest is read .0 images, 4 images"):
        assert len(posed_of(folder, "opensfm").images) == 4


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda data: data[0]["shots"][NAMES[1]].pop("rotation"), f"shot {NAMES[1]}: no key 'rotation'"),
        (lambda data: data[0]["shots"][NAMES[1]].update(camera="v1"), "its camera: no key 'v1'"),
        (
            lambda data: data[0]["cameras"]["v2 unknown"].update(projection_type="spherical"),
            "its camera is spherical, expected one of",
        ),
        (lambda data: data[0]["cameras"]["v2 unknown"].update(width=0), "width 0 and height 72, expected pixels"),
    ],
)
def test_damage_is_named(tmp_path, change, said):
    with pytest.raises(InputError, match=said):
        read_scene(write(tmp_path, dict(BROWN), change))


def test_images_are_beside_the_folder_of_a_camera_file_that_is_named(tmp_path):
    folder = write(tmp_path, place="opensfm")
    assert read_scene(folder / "opensfm" / "reconstruction.json").names == NAMES
