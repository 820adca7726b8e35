"""Polycam's raw data, written from its fields."""

import json

import pytest

from neus.errors import InputError
from neus.scenes.readers import DatasetConfig, read_scene
from tests.scenes.foreign.rig import (
    CENTER,
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


def write(folder, images="corrected_images", cameras="corrected_cameras", sized=True, shift=0.0):
    place = folder / "keyframes"
    write_images(place / images)
    (place / cameras).mkdir(exist_ok=True)
    for view, name in enumerate(NAMES):
        data = {f"t_{row}{column}": OPENGL[view][row, column] for row in range(3) for column in range(4)}
        data |= {
            "fx": FOCAL,
            "fy": FOCAL + 2,
            "cx": CENTER[0] + shift,
            "cy": CENTER[1],
            "blur_score": 80.0,
            "timestamp": 1,
        }
        data |= {"width": SIZE[0], "height": SIZE[1]} if sized else {}
        (place / cameras / name.replace(".png", ".json")).write_text(json.dumps(data))
    (folder / "mesh_info.json").write_text("{}")
    return folder


@pytest.mark.parametrize("sized", [True, False])
@pytest.mark.parametrize("folders", [("corrected_images", "corrected_cameras"), ("images", "cameras")])
def test_each_camera_has_the_image_of_its_name(tmp_path, folders, sized):
    folder = write(tmp_path, *folders, sized=sized)
    expected = [brown(view, focal_y=FOCAL + 2) for view in range(4)]
    posed = posed_of(folder, "polycam")
    assert_shows(posed, expected)
    assert posed.up == (0.0, 1.0, 0.0) and posed.metres == 1.0
    scene = assert_scene_shows(folder, expected)
    assert [name.rsplit("/")[-1] for name in scene.names] == NAMES and scene.metres == 1.0


def test_the_corrected_cameras_come_first(tmp_path):
    write(tmp_path, "images", "cameras", shift=5.0)
    folder = write(tmp_path)
    assert_shows(posed_of(folder, "polycam"), [brown(view, focal_y=FOCAL + 2) for view in range(4)])


def test_a_converted_folder_is_read_by_its_transforms(tmp_path):
    folder = write(tmp_path)
    frames = [
        {"file_path": f"keyframes/corrected_images/{name}", "transform_matrix": OPENGL[view].tolist()}
        for view, name in enumerate(NAMES)
    ]
    (folder / "transforms.json").write_text(json.dumps({"fl_x": FOCAL, "frames": frames}))
    assert read_scene(folder).format == "blender"

    assert read_scene(folder, DatasetConfig(format="polycam")).format == "polycam"


def test_damage_is_named(tmp_path):
    folder = write(tmp_path)
    file = folder / "keyframes" / "corrected_cameras" / "IMG_0001.json"
    file.write_text(file.read_text().replace('"t_12"', '"t_99"'))
    with pytest.raises(InputError, match="IMG_0001.json: no key 't_12'"):
        read_scene(folder)
    file.write_text("{")
    with pytest.raises(InputError, match="IMG_0001.json: not a readable json file"):
        read_scene(folder)
