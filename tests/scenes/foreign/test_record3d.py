"""Record3D's .r3d, written from its metadata."""

import json
import zipfile

import cv2
import numpy as np
import pytest

from neus.errors import InputError
from neus.scenes.readers import DatasetConfig, read_scene
from tests.scenes.foreign.rig import (
    CENTER,
    FOCAL,
    OPENGL,
    SIZE,
    assert_shows,
    brown,
    posed_of,
    quaternion,
    write_images,
)

SHIFTS = [0.0, 2.0, -3.0, 1.0]


def write(folder, per_frame=True, is_zip=True, change=lambda data: None):
    write_images(folder / "all" / "rgbd", [f"{view}.jpg" for view in range(4)])
    poses = []
    for pose in OPENGL:
        w, x, y, z = quaternion(pose[:3, :3])
        poses.append([x, y, z, w, *pose[:3, 3]])
    data = {
        "K": [FOCAL, 0, 0, 0, FOCAL, 0, *CENTER, 1], "w": SIZE[0], "h": SIZE[1], "dw": 48, "dh": 36, "fps": 30,
        "poses": np.array(poses).tolist(),
    }  # fmt: skip
    if per_frame:
        data["perFrameIntrinsicCoeffs"] = [[FOCAL, FOCAL + 1, CENTER[0] + shift, CENTER[1]] for shift in SHIFTS]
    change(data)
    (folder / "all" / "metadata").write_text(json.dumps(data))
    (folder / "all" / "rgbd" / "0.depth").write_bytes(b"bvx2")
    if not is_zip:
        return folder / "all"
    scene = folder / "scene"
    scene.mkdir()
    with zipfile.ZipFile(scene / "walk.r3d", "w") as file:
        for entry in sorted((folder / "all").rglob("*.*")) + [folder / "all" / "metadata"]:
            file.write(entry, entry.relative_to(folder / "all").as_posix())
    return scene


def by_hand(per_frame):
    if not per_frame:
        return [brown(view) for view in range(4)]
    return [brown(view, focal_y=FOCAL + 1, center=(CENTER[0] + SHIFTS[view], CENTER[1])) for view in range(4)]


@pytest.mark.parametrize("is_zip", [True, False])
@pytest.mark.parametrize("per_frame", [True, False])
def test_cameras_are_read_each_with_its_own_lens(tmp_path, is_zip, per_frame):
    folder = write(tmp_path, per_frame, is_zip)
    posed = posed_of(folder, "record3d")
    assert_shows(posed, by_hand(per_frame))
    assert posed.up == (0.0, 1.0, 0.0) and posed.metres == 1.0


def test_images_are_read_from_within_the_file(tmp_path):
    folder = write(tmp_path)
    scene = read_scene(folder / "walk.r3d")
    assert scene.names == ["0.jpg", "1.jpg", "2.jpg", "3.jpg"] and scene.sizes == [SIZE] * 4
    inside = cv2.imread(str(tmp_path / "all" / "rgbd" / "2.jpg"))[:, :, ::-1]
    assert np.array_equal(scene.images[2], inside)
    lazy = read_scene(folder, DatasetConfig(views=(3, 1)), lazy=True)
    assert lazy.names == ["1.jpg", "3.jpg"] and np.array_equal(lazy.images[1], inside)
    assert [path.name for path in folder.iterdir()] == ["walk.r3d"]


@pytest.mark.filterwarnings("ignore")
def test_frames_without_a_pose_are_left_out_and_damage_is_named(tmp_path):
    assert len(read_scene(write(tmp_path / "a", change=lambda data: data["poses"].pop())).names) == 3
    for name, change, said in [
        ("b", lambda data: data["poses"][1].pop(), "walk.r3d: metadata: pose 1: 6 numbers, expected 7"),
        ("c", lambda data: data.pop("w"), "no key 'w'"),
        (
            "d",
            lambda data: data.update(perFrameIntrinsicCoeffs=[[1, 2, 3]]),
            "perFrameIntrinsicCoeffs 0: 3 numbers, expected 4",
        ),
    ]:
        with pytest.raises(InputError, match=said):
            read_scene(write(tmp_path / name, change=change))
    (tmp_path / "e.r3d").write_bytes(b"PK")
    with pytest.raises(InputError, match="not a readable zip file"):
        read_scene(tmp_path / "e.r3d")
