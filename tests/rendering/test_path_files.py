import json
import math

import pytest
import torch

from neus.errors import InputError, InputWarning
from neus.geometry.cameras import project
from neus.geometry.poses import rotation_from_vector
from neus.geometry.similarity import similarity, transform_points
from neus.rendering.path_files import nerfstudio_path, read_camera_path, write_camera_path
from tests.rendering.test_paths import ring, vector

SCENE_TO_WORLD = similarity(300.0, vector(100.0, -20.0, 600.0), rotation_from_vector(vector(0.3, 0.5, -0.2)))


def assert_same(found, expected):
    assert len(found) == len(expected)
    for one, other in zip(found, expected):
        torch.testing.assert_close(one.camera_to_scene, other.camera_to_scene)
        torch.testing.assert_close(one.intrinsics, other.intrinsics)
        assert (one.width, one.height) == (other.width, other.height)


def written(path, content):
    path.write_text(json.dumps(content))
    return path


# The second is a handful of an object at the metres of a map.
@pytest.mark.parametrize("frame", [SCENE_TO_WORLD, similarity(0.2, vector(448262.0, 5411932.0, 150.0))])
def test_a_path_is_read_back_as_it_was_written(tmp_path, frame):
    write_camera_path(tmp_path / "path.json", ring(), frame, fps=24.0)
    path = read_camera_path(tmp_path / "path.json", frame)
    assert_same(path.cameras, ring())
    assert path.fps == 24.0


def test_a_nerfstudio_camera_goes_there_and_back(tmp_path):
    content = nerfstudio_path(ring(), SCENE_TO_WORLD, fps=25.0)
    path = read_camera_path(written(tmp_path / "camera_path.json", content), SCENE_TO_WORLD)
    assert_same(path.cameras, ring())
    assert path.fps == 25.0 and content["seconds"] == 12 / 25


def test_a_nerfstudio_camera_at_rest_looks_along_minus_z_with_y_up_and_its_fov_is_vertical(tmp_path):
    entry = {"camera_to_world": torch.eye(4).flatten().tolist(), "fov": 90, "aspect": 2}
    content = {"render_width": 400, "render_height": 200, "camera_path": [entry], "fps": 24, "seconds": 1}
    camera = read_camera_path(written(tmp_path / "p.json", content), torch.eye(4).double()).cameras[0]
    for point, pixel in (
        ((0.0, 0.0, -1.0), (200.0, 100.0)),
        ((0.0, 1.0, -1.0), (200.0, 0.0)),
        ((2.0, 0.0, -1.0), (400.0, 100.0)),
    ):
        found, depth = project(vector(*point), camera)
        torch.testing.assert_close(found, vector(*pixel))
        assert depth == 1.0


def test_the_frame_of_a_nerfstudio_run_leads_back_to_the_world(tmp_path):
    transform, scale = rotation_from_vector(vector(-0.4, 0.1, 0.9)), 0.002
    rows = torch.cat([transform, vector(5.0, 6.0, 7.0)[:, None]], dim=1)
    nerfstudio_from_world = similarity(scale, scale * vector(5.0, 6.0, 7.0), transform)
    content = nerfstudio_path(ring(), nerfstudio_from_world @ SCENE_TO_WORLD)
    center = torch.tensor(content["camera_path"][3]["camera_to_world"]).reshape(4, 4)[:3, 3].double()
    in_world = transform_points(SCENE_TO_WORLD, ring()[3].center)
    torch.testing.assert_close(center, scale * (transform @ in_world + vector(5.0, 6.0, 7.0)), rtol=1e-5, atol=1e-5)
    written(tmp_path / "dataparser_transforms.json", {"transform": rows.tolist(), "scale": scale})
    path = read_camera_path(written(tmp_path / "camera_path.json", content), SCENE_TO_WORLD)
    assert_same(path.cameras, ring())


def test_the_vertical_angle_of_our_format_spans_the_height(tmp_path):
    entry = {"camera_to_world": torch.eye(4).tolist(), "fov": 40.0}
    content = {"width": 80, "height": 60, "cameras": [entry]}
    path = read_camera_path(written(tmp_path / "p.json", content), torch.eye(4).double())
    assert path.fps == 30.0
    top, _ = project(vector(0.0, -math.tan(math.radians(20.0)), 1.0), path.cameras[0])
    torch.testing.assert_close(top, vector(40.0, 0.0))


GOOD = {"camera_to_world": torch.eye(4).tolist(), "fov": 40.0}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "expected an object"),
        ({"frames": []}, "no list 'cameras'"),
        ({"width": 8, "height": 6, "cameras": []}, "at least one camera"),
        ({"width": 8, "cameras": [GOOD]}, "height is None, expected a whole number"),
        ({"width": 8.5, "height": 6, "cameras": [GOOD]}, "width is 8.5"),
        ({"width": 8, "height": 6, "fps": 0, "cameras": [GOOD]}, "fps is 0"),
        ({"width": 8, "height": 6, "cameras": [GOOD, {**GOOD, "fov": 190}]}, "camera 1: fov is 190"),
        ({"width": 8, "height": 6, "cameras": [{"fov": 40}]}, "camera 0: camera_to_world: expected 4 x 4"),
        (
            {"width": 8, "height": 6, "cameras": [{**GOOD, "camera_to_world": [2.0] * 16}]},
            "camera 0: the last row of its pose is",
        ),
        (
            {"width": 8, "height": 6, "cameras": [{**GOOD, "intrinsics": [[0, 0, 0]] * 3}]},
            "camera 0: intrinsics need focal",
        ),
        (
            {"camera_type": "fisheye", "camera_path": [GOOD], "render_width": 8, "render_height": 6},
            "camera_type is 'fisheye', expected 'perspective'",
        ),
    ],
)
def test_what_is_no_path_is_refused_in_one_line(tmp_path, content, message):
    with pytest.raises(InputError, match=message) as caught:
        read_camera_path(written(tmp_path / "p.json", content), torch.eye(4).double())
    assert "\n" not in str(caught.value) and "p.json" in str(caught.value)


def test_a_file_that_is_missing_or_no_json_is_named(tmp_path):
    with pytest.raises(InputError, match="none.json: cannot be read"):
        read_camera_path(tmp_path / "none.json", torch.eye(4).double())
    (tmp_path / "p.json").write_text("{")
    with pytest.raises(InputError, match="p.json: not JSON"):
        read_camera_path(tmp_path / "p.json", torch.eye(4).double())


def test_rounded_and_scaled_poses_are_repaired(tmp_path):
    pose = torch.eye(4, dtype=torch.float64)
    pose[:3, :3], pose[:3, 3] = rotation_from_vector(vector(0.4, -1.0, 0.2)), vector(100.0, 2.0, -7.0)
    exact = [{**GOOD, "camera_to_world": pose.tolist()}] * 2
    expected = read_camera_path(written(tmp_path / "p.json", {"width": 8, "height": 6, "cameras": exact}), SCENE_TO_WORLD)
    scaled = pose.clone()
    scaled[:3, :3] *= 0.3
    content = {"width": 8, "height": 6, "cameras": [{**GOOD, "camera_to_world": m.tolist()} for m in (scaled, (pose * 1e3).round() / 1e3)]}
    with pytest.warns(InputWarning) as caught:
        repaired = read_camera_path(written(tmp_path / "q.json", content), SCENE_TO_WORLD)
    assert ["1 poses scale by about 0.3" in str(w.message) for w in caught] == [True, False]
    for found, camera in zip(repaired.cameras, expected.cameras, strict=True):
        torch.testing.assert_close(found.camera_to_scene, camera.camera_to_scene, rtol=0.0, atol=2e-3)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_path_saved_on_windows_is_read(tmp_path, encoding):
    content = {"width": 8, "height": 6, "cameras": [GOOD]}
    (tmp_path / "p.json").write_bytes(json.dumps(content, indent=1).replace("\n", "\r\n").encode(encoding))
    assert len(read_camera_path(tmp_path / "p.json", SCENE_TO_WORLD).cameras) == 1
