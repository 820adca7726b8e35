"""OpenMVG's sfm_data.json, written from its serializer's layout."""

import json

import numpy as np
import pytest

from neus.errors import InputError, InputWarning
from neus.scenes.readers import read_scene
from tests.scenes.foreign.rig import (
    CENTER,
    CENTERS,
    FOCAL,
    NAMES,
    POINTS,
    ROTATIONS,
    SIZE,
    assert_scene_shows,
    assert_shows,
    brown,
    fisheye,
    posed_of,
    write_images,
)


def write(folder, lens=None, change=lambda data: None, nested=False):
    write_images(folder / "images")
    base = {"width": SIZE[0], "height": SIZE[1], "focal_length": FOCAL, "principal_point": CENTER}
    camera = {"value0": base} if nested else dict(base)
    views = [
        {
            "key": 10 + view,
            "value": {
                "polymorphic_id": 1073741824,
                "ptr_wrapper": {
                    "id": 2147483649 + view,
                    "data": {
                        "local_path": "/", "filename": name, "width": SIZE[0], "height": SIZE[1],
                        "id_view": 10 + view, "id_intrinsic": 3, "id_pose": 20 + view,
                    },
                },
            },
        }
        for view, name in enumerate(NAMES)
    ]  # fmt: skip
    data = {
        "sfm_data_version": "0.3",
        "root_path": "/home/other/images",
        "views": views,
        "intrinsics": [
            {"key": 3, "value": {"polymorphic_id": 1, "ptr_wrapper": {"id": 2147483660, "data": camera | (lens or {})}}}
        ],
        "extrinsics": [
            {"key": 20 + view, "value": {"rotation": ROTATIONS[view].tolist(), "center": CENTERS[view].tolist()}}
            for view in range(4)
        ],
        "structure": [
            {
                "key": i,
                "value": {"X": x.tolist(), "observations": [{"key": 11, "value": {"id_feat": 0, "x": [1.0, 2.0]}}]},
            }
            for i, x in enumerate(POINTS)
        ],
        "control_points": [],
    }
    change(data)
    (folder / "sfm_data.json").write_text(json.dumps(data))
    return folder


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize(
    ("lens", "by_hand"),
    [
        ({}, lambda view: brown(view)),
        ({"disto_k1": [-0.1]}, lambda view: brown(view, k=(-0.1, 0, 0))),
        ({"disto_k3": [-0.1, 0.05, -0.02]}, lambda view: brown(view, k=(-0.1, 0.05, -0.02))),
        ({"disto_t2": [-0.1, 0.05, -0.02, 0.003, -0.002]}, lambda view: brown(view, k=(-0.1, 0.05, -0.02), p=(0.003, -0.002))),
        ({"fisheye": [0.01, -0.02, 0.003, 0.001]}, lambda view: fisheye(view, (0.01, -0.02, 0.003, 0.001))),
    ],
)  # fmt: skip
def test_each_lens_is_told_by_the_key_of_its_coefficients(tmp_path, lens, by_hand, nested):
    folder = write(tmp_path, lens, nested=nested)
    posed = posed_of(folder, "openmvg")
    assert_shows(posed, [by_hand(view) for view in range(4)])
    assert np.allclose(posed.points.positions, POINTS) and set(posed.points.track_views.tolist()) == {1}


def test_the_whole_scene_is_read_with_its_points(tmp_path):
    lens = {"disto_k3": [-0.1, 0.05, -0.02]}
    scene = assert_scene_shows(write(tmp_path, lens), [brown(view, k=(-0.1, 0.05, -0.02)) for view in range(4)])
    assert scene.names == NAMES and scene.region_from == "sparse points"
    assert read_scene(tmp_path / "sfm_data.json").format == "openmvg"


def test_views_without_a_pose_are_named(tmp_path):
    folder = write(tmp_path, change=lambda data: data["extrinsics"].pop(2))
    with pytest.warns(InputWarning, match=rf"1 of 4 views have no pose and are left out \({NAMES[2]}\)"):
        assert [image.name for image in posed_of(folder, "openmvg").images] == [NAMES[0], NAMES[1], NAMES[3]]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda data: data.pop("extrinsics"), "no key 'extrinsics'"),
        (lambda data: data["extrinsics"][1]["value"].pop("center"), f"view {NAMES[1]}: no key 'center'"),
        (lambda data: data["extrinsics"][1]["value"].update(rotation=[1, 2]), "rotation: 2 numbers, expected 9"),
        (lambda data: data["intrinsics"][0]["value"]["ptr_wrapper"]["data"].pop("focal_length"), "no focal_length, expected a pinhole"),
        (lambda data: data["structure"][4]["value"].update(X=[1, None, 2]), "point 4: X: 'None' is no number"),
    ],
)  # fmt: skip
def test_damage_is_named(tmp_path, change, said):
    with pytest.raises(InputError, match=said):
        read_scene(write(tmp_path, change=change))
