"""Metashape's XML of cameras, written from its manual."""

import re

import numpy as np
import pytest

from neus.errors import InputError, InputWarning
from neus.scenes.readers import read_scene
from tests.scenes.foreign.rig import (
    CAMERA_TO_WORLD,
    CENTER,
    FOCAL,
    NAMES,
    SIZE,
    WORLD_TO_CAMERA,
    assert_scene_shows,
    assert_shows,
    on_plane,
    posed_of,
    write_images,
)

K, P, B = (-0.2, 0.05, -0.01, 0.02), (0.003, -0.002), (1.5, -0.7)
# From the chunk to the world.
SCALE, ANGLE, TRANSLATION = 0.4, 0.7, np.array([5.0, -3.0, 2.0])
ROTATION = np.array([[np.cos(ANGLE), -np.sin(ANGLE), 0], [np.sin(ANGLE), np.cos(ANGLE), 0], [0, 0, 1]])


def shown(view, k=K, p=P, b=B, fisheye=False):
    """The formula of the manual, p1 with r^2 + 2 x^2 in x."""
    x, y = on_plane(view)
    if fisheye:
        r = np.hypot(x, y)
        x, y = x * np.arctan(r) / r, y * np.arctan(r) / r
    r2 = x * x + y * y
    radial = 1 + k[0] * r2 + k[1] * r2**2 + k[2] * r2**3 + k[3] * r2**4
    xd = x * radial + p[0] * (r2 + 2 * x * x) + 2 * p[1] * x * y
    yd = y * radial + p[1] * (r2 + 2 * y * y) + 2 * p[0] * x * y
    return np.stack([CENTER[0] + xd * (FOCAL + b[0]) + yd * b[1], CENTER[1] + yd * FOCAL], axis=1)


def numbers(values):
    return " ".join(repr(float(value)) for value in np.ravel(values))


def write(folder, k=K, p=P, b=B, kind="frame", place=TRANSLATION, transform=True, lost=""):
    write_images(folder / "images")
    poses = []
    for pose in CAMERA_TO_WORLD:
        in_chunk = pose.copy()
        if transform:
            in_chunk[:3, :3] = ROTATION.T @ pose[:3, :3]
            in_chunk[:3, 3] = ROTATION.T @ (pose[:3, 3] + place - TRANSLATION - place) / SCALE
        poses.append(in_chunk)
    cameras = "".join(
        f'<camera id="{i}" sensor_id="7" component_id="0" label="{NAMES[i].removesuffix(".png")}">'
        f"<transform>{numbers(pose)}</transform></camera>"
        for i, pose in enumerate(poses)
    )
    similarity = (
        f"<rotation>{numbers(ROTATION)}</rotation><translation>{numbers(place)}</translation><scale>{SCALE}</scale>"
    )
    similarity = f"<transform>{similarity}</transform>" if transform else ""
    values = {"f": FOCAL, "cx": CENTER[0] - SIZE[0] / 2, "cy": CENTER[1] - SIZE[1] / 2}
    values |= {f"k{i + 1}": value for i, value in enumerate(k)} | {"p1": p[0], "p2": p[1], "b1": b[0], "b2": b[1]}
    calibration = f'<resolution width="{SIZE[0]}" height="{SIZE[1]}"/>' + "".join(
        f"<{n}>{v}</{n}>" for n, v in values.items() if v
    )
    (folder / "cameras.xml").write_text(
        '<?xml version="1.0" encoding="UTF-8"?>\n<document version="2.0.0"><chunk label="Chunk 1" enabled="true">'
        f'<sensors next_id="8"><sensor id="7" label="unknown" type="{kind}"><resolution width="{SIZE[0]}" height="{SIZE[1]}"/>'
        f'<calibration type="{kind}" class="initial"><f>3000</f></calibration>'
        f'<calibration type="{kind}" class="adjusted">{calibration}</calibration></sensor></sensors>'
        f'<components next_id="1" active_id="0"><component id="0" label="C">{similarity}</component></components>'
        f'<cameras next_id="9" next_group_id="1">{lost}<group id="0" label="g">{cameras}</group></cameras></chunk></document>'
    )
    return folder


def test_lenses_are_those_of_the_manual_and_the_world_that_of_the_component(tmp_path):
    folder = write(tmp_path)
    posed = posed_of(folder, "metashape")
    assert_shows(posed, [shown(view) for view in range(4)])
    assert posed.metres == 1.0 and posed.up == (0.0, 0.0, 1.0)
    for image, world_to_camera in zip(posed.images, WORLD_TO_CAMERA, strict=True):
        assert np.allclose(image.camera_to_world.numpy() @ world_to_camera, np.eye(4), atol=1e-9)
    scene = assert_scene_shows(folder, [shown(view) for view in range(4)])
    assert scene.names == NAMES and scene.metres == 1.0


@pytest.mark.parametrize("lens", [{"k": (-0.2, 0.05, 0.01, 0.0), "b": (0, 0)}, {"k": (0.0,) * 4, "p": (0, 0)}])
def test_simpler_lenses_are_read_alike(tmp_path, lens):
    folder = write(tmp_path, **lens)
    assert_shows(posed_of(folder, "metashape"), [shown(view, **lens) for view in range(4)])
    assert_scene_shows(folder, [shown(view, **lens) for view in range(4)])


def test_fisheyes_have_the_angle_in_place_of_the_radius(tmp_path):
    lens = {"p": (0.0, 0.0), "b": (0.0, 0.0)}
    folder = write(tmp_path, kind="fisheye", **lens)
    assert_shows(posed_of(folder, "metashape"), [shown(view, fisheye=True, **lens) for view in range(4)])
    with pytest.raises(InputError, match="a fisheye with p1 and p2 is not read"):
        read_scene(write(tmp_path, kind="fisheye"))
    with pytest.raises(InputError, match="its sensor is spherical, expected frame or fisheye"):
        read_scene(write(tmp_path, kind="spherical"))


def test_without_a_transform_the_world_is_that_of_the_chunk(tmp_path):
    posed = posed_of(write(tmp_path, transform=False), "metashape")
    assert_shows(posed, [shown(view) for view in range(4)])
    assert posed.metres is None and posed.up is None


def test_a_world_of_the_whole_earth_is_moved_to_its_origin(tmp_path):
    place = np.array([4.2e6, 1.7e5, 4.78e6])
    with pytest.warns(InputWarning, match=r"the whole Earth; it is moved .* \(4200000.000 170000.000 4780000.000\)"):
        posed = posed_of(write(tmp_path, place=place), "metashape")
    # `write` has the points at the origin of the chunk moved by TRANSLATION.
    for image, pose in zip(posed.images, CAMERA_TO_WORLD, strict=True):
        assert np.allclose(image.camera_to_world[:3, 3], pose[:3, 3] - TRANSLATION, atol=1e-6)
    assert np.allclose(posed.up, place / np.linalg.norm(place)) and posed.metres == 1.0


def test_cameras_without_a_pose_are_named(tmp_path):
    folder = write(
        tmp_path, lost='<camera id="8" sensor_id="7" label="DSC_9"/><camera id="9" enabled="0" label="off"/>'
    )
    with pytest.warns(InputWarning, match=r"1 of 5 cameras have no pose and are left out \(DSC_9\)"):
        assert len(posed_of(folder, "metashape").images) == 4


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('sensor_id="7"', 'sensor_id="3"', "camera IMG_0000: its sensor '3' is not in the file"),
        (f"<f>{FOCAL}</f>", "", "camera IMG_0000: no focal length f"),
        (f"<f>{FOCAL}</f>", "<f>long</f>", "camera IMG_0000: f: 'long' is no number"),
        ("<transform>1", "<transform>1 1", "transform: 17 numbers, expected 16"),
        ("</document>", "", "not readable XML"),
        ("<scale>0.4", "<scale>0", "scale 0.0, expected a positive number"),
    ],
)
def test_damage_is_named(tmp_path, old, new, said):
    folder = write(tmp_path)
    text = (folder / "cameras.xml").read_text()
    text = re.sub(r'(label="IMG_0000"><transform>)', r"\g<1>1 ", text) if "17" in said else text.replace(old, new, 1)
    (folder / "cameras.xml").write_text(text)
    with pytest.raises(InputError, match=said):
        read_scene(folder)
