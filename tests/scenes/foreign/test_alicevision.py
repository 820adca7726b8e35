"""AliceVision's cameras.sfm of Meshroom 2021 and 2023, written from the fields of either version."""

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

SENSOR, RATIO = 23.5, 1.02
K, T = (-0.1, 0.05, -0.02), (0.003, -0.002)


def texts(values):
    return [repr(float(value)) for value in np.ravel(values)]


def intrinsic(version):
    """The focal lengths FOCAL and FOCAL * RATIO, and the principal point CENTER, as each version writes them."""
    of_middle = [CENTER[0] - SIZE[0] / 2, CENTER[1] - SIZE[1] / 2]
    common = {"intrinsicId": "77", "width": str(SIZE[0]), "height": str(SIZE[1]), "serialNumber": "x"}
    if version < (1, 2, 0):
        return common | {"pxFocalLength": repr(FOCAL), "principalPoint": texts(CENTER)}
    if version < (1, 2, 1):
        return common | {"pxFocalLength": texts([FOCAL, FOCAL * RATIO]), "principalPoint": texts(CENTER)}
    common |= {"principalPoint": texts(of_middle)}
    if version < (1, 2, 2):
        return common | {"pxFocalLength": texts([FOCAL, FOCAL * RATIO])}
    common |= {"sensorWidth": repr(SENSOR), "focalLength": repr(FOCAL * SENSOR / SIZE[0])}
    return common | {"pixelRatio": repr(RATIO if version >= (1, 2, 5) else 1 / RATIO)}


def write(folder, version=(1, 2, 6), lens=None, change=lambda data: None):
    write_images(folder / "photos")
    data = {
        "version": [str(number) for number in version],
        "views": [
            {"viewId": f"{100 + v}", "poseId": f"{100 + v}", "intrinsicId": "77", "path": f"D:/shots/photos/{name}", "width": "96"}
            for v, name in enumerate(NAMES)
        ],
        "intrinsics": [intrinsic(version) | (lens or {"type": "pinhole"})],
        "poses": [
            # Column by column, as Eigen stores a matrix.
            {"poseId": f"{100 + v}", "pose": {"transform": {"rotation": texts(ROTATIONS[v].T), "center": texts(CENTERS[v])}, "locked": "0"}}
            for v in range(4)
        ],
        "structure": [
            {"landmarkId": "1", "X": texts(x), "color": ["1", "2", "3"], "observations": [{"observationId": "103", "featureId": "9"}]}
            for x in POINTS
        ],
    }  # fmt: skip
    change(data)
    (folder / "cameras.sfm").write_text(json.dumps(data))
    return folder


@pytest.mark.parametrize("version", [(1, 0, 0), (1, 2, 0), (1, 2, 1), (1, 2, 2), (1, 2, 4), (1, 2, 5), (1, 2, 12)])
def test_focal_length_and_principal_point_are_read_as_each_version_writes_them(tmp_path, version):
    ratio = 1.0 if version < (1, 2, 0) else RATIO
    posed = posed_of(write(tmp_path, version), "alicevision")
    assert_shows(posed, [brown(view, focal_y=FOCAL * ratio) for view in range(4)])
    assert posed.points.colors[5].tolist() == [1, 2, 3] and set(posed.points.track_views.tolist()) == {3}


@pytest.mark.parametrize(
    ("lens", "by_hand"),
    [
        ({"type": "radial1", "distortionParams": texts(K[:1])}, lambda v: brown(v, k=(K[0], 0, 0), focal_y=FOCAL * RATIO)),
        ({"type": "radial3", "distortionParams": texts(K)}, lambda v: brown(v, k=K, focal_y=FOCAL * RATIO)),
        ({"type": "pinhole", "distortionType": "radialk3", "distortionParams": texts(K)}, lambda v: brown(v, k=K, focal_y=FOCAL * RATIO)),
        ({"type": "brown", "distortionParams": texts([*K, *T])}, lambda v: brown(v, k=K, p=T, focal_y=FOCAL * RATIO)),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:.*found by another name")
def test_lenses_of_either_naming_are_opencvs(tmp_path, lens, by_hand):
    folder = write(tmp_path, lens=lens)
    assert_shows(posed_of(folder, "alicevision"), [by_hand(view) for view in range(4)])
    assert_scene_shows(folder, [by_hand(view) for view in range(4)])


def test_fisheyes_are_read_and_others_named(tmp_path):
    k = (0.01, -0.02, 0.003, 0.001)
    posed = posed_of(write(tmp_path, (1, 0, 0), {"type": "fisheye4", "distortionParams": texts(k)}), "alicevision")
    assert_shows(posed, [fisheye(view, k) for view in range(4)])
    with pytest.raises(InputError, match="its lens is 3deradial4, expected one of none, pinhole, radial1"):
        read_scene(write(tmp_path, lens={"type": "3deradial4"}))


@pytest.mark.filterwarnings("ignore:.*found by another name")
def test_images_are_found_where_they_are_now(tmp_path):
    scene = read_scene(write(tmp_path))
    assert len(scene) == 4 and scene.format == "alicevision"
    cache = tmp_path / "MeshroomCache" / "StructureFromMotion" / "0123abcd"
    cache.mkdir(parents=True)
    (tmp_path / "cameras.sfm").rename(cache / "cameras.sfm")
    assert read_scene(tmp_path).names == scene.names


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda data: data.pop("poses"), "no key 'poses'"),
        (lambda data: data["poses"][1]["pose"]["transform"].update(rotation=["1"]), "view IMG_0001.png: rotation: 1 numbers, expected 9"),
        (lambda data: data["intrinsics"][0].pop("focalLength"), "no key 'focalLength'"),
        (lambda data: data["views"][2].update(rigId="5", isPoseIndependant="0"), "view IMG_0002.png: it is of a camera rig"),
    ],
)  # fmt: skip
def test_damage_is_named(tmp_path, change, said):
    with pytest.raises(InputError, match=said):
        read_scene(write(tmp_path, change=change))


def test_views_without_a_pose_are_named(tmp_path):
    folder = write(tmp_path, change=lambda data: data["poses"].pop(0))
    with pytest.warns(InputWarning, match=r"1 of 4 views have no pose and are left out \(IMG_0000.png\)"):
        assert len(posed_of(folder, "alicevision").images) == 3
