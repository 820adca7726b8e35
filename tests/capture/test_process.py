"""A corner of a room of known shape, from image files to a scene."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pycolmap
import pytest
import torch

from neus.errors import InputError
from neus.runs.videos import write_video
from neus.scenes.readers import read_scene
from neus.workflows.process import process_capture
from tests.capture import corner

N_IMAGES, SIZE, K1 = 6, (360, 270), -0.06
ROOT = Path(__file__).parents[2]


def similarity_to(found: np.ndarray, true: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """Scale, rotation and translation that bring points (n, 3) onto others in least squares (Umeyama 1991)."""
    a, b = found.mean(axis=0), true.mean(axis=0)
    u, s, v = np.linalg.svd((true - b).T @ (found - a))
    flip = np.diag([1.0, 1.0, np.sign(np.linalg.det(u @ v))])
    rotation = u @ flip @ v
    scale = float((s * np.diag(flip)).sum() / ((found - a) ** 2).sum())
    return scale, rotation, b - scale * rotation @ a


@pytest.fixture(scope="module")
def captured(tmp_path_factory):
    """A capture of six good images in a subfolder and in upper case, a damaged one and a copy; and the true poses."""
    folder = tmp_path_factory.mktemp("capture")
    poses = corner.write(folder / "in" / "day one", N_IMAGES, k1=K1, size=SIZE)
    (folder / "in" / "day one" / "03.jpg").rename(folder / "in" / "day one" / "03.JPG")
    shutil.copyfile(folder / "in" / "day one" / "02.jpg", folder / "in" / "day one" / "again.jpg")
    whole = (folder / "in" / "day one" / "01.jpg").read_bytes()
    (folder / "in" / "broken.jpg").write_bytes(whole[: len(whole) // 2])
    return process_capture(folder / "in", folder / "scene"), folder, poses


def test_all_good_images_are_posed_and_the_others_named_with_the_reason(captured):
    result, *_ = captured
    assert result.registered == [f"day_one/{i:02d}.{'JPG' if i == 3 else 'jpg'}" for i in range(N_IMAGES)]
    assert set(result.unregistered) == {"broken.jpg", "day one/again.jpg"}
    assert "truncated" in result.unregistered["broken.jpg"] and "02.jpg" in result.unregistered["day one/again.jpg"]


def test_poses_and_lens_are_those_the_images_were_rendered_with(captured):
    result, _, poses = captured
    model = pycolmap.Reconstruction(result.folder / "sparse" / "0")
    images = sorted(model.images.values(), key=lambda image: image.name)
    centers = np.array([image.projection_center() for image in images])
    true = np.array([pose[:3, 3] for pose in poses])
    scale, rotation, shift = similarity_to(centers, true)
    assert np.linalg.norm(scale * centers @ rotation.T + shift - true, axis=1).max() < 0.01 * 3.4
    for image, pose in zip(images, poses, strict=True):
        turned = image.cam_from_world().rotation.matrix() @ rotation.T @ pose[:3, :3]
        assert np.degrees(np.arccos(min(1.0, (np.trace(turned) - 1) / 2))) < 0.3
    (camera,) = model.cameras.values()
    assert (camera.width, camera.height) == SIZE
    assert camera.mean_focal_length() == pytest.approx(corner.FOCAL * SIZE[0] / corner.SIZE[0], rel=0.01)
    assert camera.params[3] == pytest.approx(K1, abs=0.02)


def test_points_lie_on_the_walls(captured):
    result, _, poses = captured
    model = pycolmap.Reconstruction(result.folder / "sparse" / "0")
    images = sorted(model.images.values(), key=lambda image: image.name)
    aligned = similarity_to(np.array([i.projection_center() for i in images]), np.array([p[:3, 3] for p in poses]))
    points = aligned[0] * np.array([p.xyz for p in model.points3D.values()]) @ aligned[1].T + aligned[2]
    assert len(points) > 300 and np.median(np.abs(points).min(axis=1)) < 0.01


def test_the_scene_is_read_with_its_vertical_and_the_files_bytes_are_kept(captured):
    result, folder, poses = captured
    scene = read_scene(result.folder)
    assert scene.names == result.registered and scene.format == "colmap"
    upward = torch.stack([-scene.camera_to_scene[v, :3, 1] for v in range(len(scene))]).mean(dim=0)
    up = torch.tensor(scene.up, dtype=torch.float64)
    assert float(up @ upward) > 0.8
    # Cameras are level, so their horizontal axes lie in the horizontal plane.
    assert float((scene.camera_to_scene[:, :3, 0] @ up).abs().max()) < 0.01
    copy, original = result.folder / "images" / "day_one" / "02.jpg", folder / "in" / "day one" / "02.jpg"
    assert copy.read_bytes() == original.read_bytes()


def test_the_arc_that_no_camera_covers_is_told(captured):
    # Six cameras on an arc of 60 degrees about a point near the walls: most of the circle is open.
    facts = captured[0].facts
    assert 240.0 < facts["gap_degrees"] < 320.0 and set(facts["gap_between"]) == {"day_one/00.jpg", "day_one/05.jpg"}


def test_the_same_command_again_returns_at_once_and_other_files_do_not(captured):
    result, folder, _ = captured
    started = time.monotonic()
    again = process_capture(folder / "in", folder / "scene")
    assert again.was_done and again.registered == result.registered and time.monotonic() - started < 1.0
    notes = json.loads((result.folder / "capture.json").read_text(encoding="utf-8"))
    assert notes["unregistered"] == result.unregistered and not (result.folder / ".capture").exists()


@pytest.mark.slow
def test_a_capture_that_was_killed_goes_on_and_gives_the_same_model(captured, tmp_path):
    result, folder, _ = captured
    command = [sys.executable, "-m", "neus", "process", str(folder / "in"), "--out", str(tmp_path / "scene")]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    work = tmp_path / "scene" / ".capture"
    deadline = time.monotonic() + 60
    while not list(work.glob("attempts/*/database.match.json")):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    process.kill()
    process.wait()
    assert not (tmp_path / "scene" / "capture.json").exists()
    extracted = next(work.glob("attempts/*/database.extract.json")).stat().st_mtime_ns
    again = process_capture(folder / "in", tmp_path / "scene")
    assert again.registered == result.registered and "reading" not in again.seconds and extracted
    first, second = (pycolmap.Reconstruction(r.folder / "sparse" / "0") for r in (result, again))
    centers = [{i.name: i.projection_center() for i in model.images.values()} for model in (first, second)]
    assert all(np.array_equal(centers[0][name], centers[1][name]) for name in result.registered)


@pytest.mark.slow
def test_images_of_two_cameras_are_posed_together_each_with_its_own_lens(tmp_path):
    corner.write(tmp_path / "in", 5, size=(360, 270), exif=corner.phone_exif(model="A"), prefix="a")
    corner.write(tmp_path / "in", 4, size=(320, 240), exif=corner.phone_exif(model="B"), prefix="b")
    result = process_capture(tmp_path / "in", tmp_path / "scene")
    assert len(result.registered) == 9
    cameras = pycolmap.Reconstruction(result.folder / "sparse" / "0").cameras.values()
    found = sorted((camera.width, round(camera.mean_focal_length() / camera.width, 2)) for camera in cameras)
    assert found == [(320, pytest.approx(1.08, abs=0.02)), (360, pytest.approx(1.08, abs=0.02))]


@pytest.mark.slow
def test_images_of_different_things_are_refused_in_one_line(tmp_path):
    for number in range(4):
        corner.write(tmp_path / str(number), 2, seed=number, size=SIZE, prefix=str(number))
        (tmp_path / "in").mkdir(exist_ok=True)
        shutil.move(tmp_path / str(number) / f"{number}00.jpg", tmp_path / "in")
    with pytest.raises(InputError, match="no two of them show the same thing") as error:
        process_capture(tmp_path / "in", tmp_path / "scene")
    assert "\n" not in str(error.value) and not (tmp_path / "scene" / "capture.json").exists()


@pytest.mark.slow
def test_blurred_images_are_refused_as_blurred(tmp_path):
    corner.write(tmp_path / "in", 4, size=SIZE)
    for file in (tmp_path / "in").iterdir():
        cv2.imwrite(str(file), cv2.GaussianBlur(cv2.imread(str(file)), None, 12.0))
    with pytest.raises(InputError, match="most of them are blurred"):
        process_capture(tmp_path / "in", tmp_path / "scene")


@pytest.mark.slow
def test_many_images_are_matched_with_those_that_look_like_them(tmp_path, monkeypatch):
    monkeypatch.setattr("neus.capture.ladder.ALL_PAIRS", 3)
    corner.write(tmp_path / "in", N_IMAGES, size=SIZE)
    assert len(process_capture(tmp_path / "in", tmp_path / "scene").registered) == N_IMAGES


@pytest.mark.slow
def test_a_video_becomes_a_scene_of_some_of_its_frames(tmp_path):
    walls = corner.textures()
    frames = (np.repeat(corner.render(pose, walls, size=SIZE)[..., None], 3, axis=2) for pose in corner.poses(40, heights=1))
    write_video(tmp_path / "walk.mp4", frames, *SIZE)
    result = process_capture(tmp_path / "walk.mp4", tmp_path / "scene", n_frames=8)
    assert len(result.registered) == 8 and all(name.startswith("frame_0000") for name in result.registered)
    (camera,) = pycolmap.Reconstruction(result.folder / "sparse" / "0").cameras.values()
    assert camera.mean_focal_length() == pytest.approx(corner.FOCAL * SIZE[0] / corner.SIZE[0], rel=0.02)


def refusal(neus_command, *arguments) -> str:
    """The one line of a command that refuses its input."""
    status, _, err = neus_command("process", *arguments)
    assert status == 2 and len(err) == 1 and err[0].startswith("error: ")
    return err[0]


def test_two_images_are_too_few(neus_command, tmp_path):
    corner.write(tmp_path / "in", 2, size=(320, 240))
    line = refusal(neus_command, tmp_path / "in", "--out", tmp_path / "scene")
    assert "2 usable images, expected at least 3" in line


def test_copies_of_one_image_are_one_image(neus_command, tmp_path):
    corner.write(tmp_path / "in", 2, size=(320, 240))
    (tmp_path / "in" / "01.jpg").unlink()
    for number in range(1, 12):
        shutil.copyfile(tmp_path / "in" / "00.jpg", tmp_path / "in" / f"{number:02d}.jpg")
    line = refusal(neus_command, tmp_path / "in", "--out", tmp_path / "scene")
    assert "1 different images (11 left out" in line and "a copy of 00.jpg" in line


def test_an_empty_folder_raw_files_and_other_files_are_refused(neus_command, tmp_path):
    (tmp_path / "in").mkdir()
    assert "no images in it" in refusal(neus_command, tmp_path / "in", "--out", tmp_path / "scene")
    (tmp_path / "in" / "a.NEF").write_bytes(b"raw")
    assert "export them as JPEG" in refusal(neus_command, tmp_path / "in", "--out", tmp_path / "scene")
    assert "expected a folder of images, or a video" in refusal(neus_command, tmp_path / "in" / "a.NEF", "--out", tmp_path / "s")
    assert "no such folder or video" in refusal(neus_command, tmp_path / "nowhere", "--out", tmp_path / "s")


def test_a_folder_of_something_else_is_not_written_to(neus_command, tmp_path):
    corner.write(tmp_path / "in", 2, size=(320, 240))
    (tmp_path / "scene").mkdir()
    (tmp_path / "scene" / "thesis.txt").write_text("mine")
    assert "not an earlier capture's" in refusal(neus_command, tmp_path / "in", "--out", tmp_path / "scene")
    assert "lies within the images" in refusal(neus_command, tmp_path / "in", "--out", tmp_path / "in" / "scene")
    (tmp_path / "file").write_text("")
    assert "cannot be written" in refusal(neus_command, tmp_path / "in", "--out", tmp_path / "file" / "scene")
    assert os.listdir(tmp_path / "scene") == ["thesis.txt"]
