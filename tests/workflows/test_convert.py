"""A scene of any layout to COLMAP, nerfstudio and IDR, and back."""

import json
import os
from dataclasses import replace

import cv2
import numpy as np
import pycolmap
import pytest
import torch

from neus.cli.main import main
from neus.errors import InputError
from neus.scenes.readers import DatasetConfig, read_scene
from neus.scenes.scene import Scene
from neus.scenes.writers import save_scene, world_to_cameras
from neus.workflows.convert import TARGETS, convert_scene
from tests.scenes.foreign import test_bundler, test_metashape, test_record3d
from tests.scenes.foreign.rig import CAMERA_TO_WORLD, NAMES, POINTS, WORLD_TO_CAMERA, assert_scene_shows
from tests.scenes.layouts import WORLD, largest_pixel_difference, ring_scene, write_blender

pytestmark = pytest.mark.filterwarnings("ignore:.*not registered")
SIZES = [(40, 30), (32, 24), (30, 40), (36, 28)]


def same_cameras(one: Scene, other: Scene) -> bool:
    """Poses within 1e-6, and world points within a hundredth of a pixel (far better, in fact)."""
    poses = [world_to_cameras(scene) for scene in (one, other)]
    return torch.allclose(*poses, atol=1e-6, rtol=0) and largest_pixel_difference(one, other) < 1e-4


@pytest.mark.parametrize("to", TARGETS)
def test_a_lens_is_taken_out_once_and_the_world_stays(tmp_path, to):
    folder = test_metashape.write(tmp_path / "scene")
    converted = convert_scene(folder, tmp_path / "out", to)
    assert converted.n_undistorted == 4 and converted.n_kept == 0
    back = read_scene(tmp_path / "out")
    found = world_to_cameras(back).numpy()
    assert np.abs(found - np.array(WORLD_TO_CAMERA)).max() < 1e-6
    # By hand, the distorted pixels that undistorted ones come from.
    expected = [test_metashape.shown(view) for view in range(4)]
    assert_scene_shows(tmp_path / "out", expected)
    assert back.metres == 1.0 and back.up == (0.0, 0.0, 1.0)
    again = convert_scene(tmp_path / "out", tmp_path / "again", to)
    assert again.n_kept == 4 and same_cameras(back, read_scene(tmp_path / "again"))


@pytest.mark.parametrize("to", TARGETS)
@pytest.mark.parametrize("start", ["idr", "transforms", "colmap"])
def test_round_trips_keep_cameras_images_masks_and_region(tmp_path, start, to):
    scene = ring_scene(SIZES)
    save_scene(scene, tmp_path / "start", start)
    region = DatasetConfig(center=tuple(WORLD[:3, 3].tolist()), radius=3.7) if start == "colmap" else DatasetConfig()
    convert_scene(tmp_path / "start", tmp_path / "out", to, region)
    back = read_scene(
        tmp_path / "out", replace(region, center=tuple(WORLD[:3, 3].tolist()), radius=3.7) if to == "colmap" else None
    )
    assert same_cameras(scene, back)
    assert torch.allclose(back.scene_to_world, scene.scene_to_world, atol=1e-9)
    for view in range(len(scene)):
        assert np.array_equal(back.images[view], scene.images[view])
        assert np.array_equal(back.masks[view], scene.masks[view])


@pytest.mark.parametrize("to", TARGETS)
def test_sparse_points_come_along_with_their_tracks(tmp_path, to):
    folder = test_bundler.write(tmp_path / "scene")
    convert_scene(folder, tmp_path / "out", to)
    points = read_scene(tmp_path / "out").points
    order = np.lexsort(points.positions.T)
    assert np.allclose(points.positions[order], POINTS[np.lexsort(POINTS.T)], atol=1e-12)
    assert (points.colors == [200, 100, 50]).all()
    if to == "colmap":  # the only layout that has tracks: views 0 and 2 saw every point
        assert np.unique(points.track_views).tolist() == [0, 2] and len(points.track_points) == 2 * len(POINTS)
        model = pycolmap.Reconstruction(str(tmp_path / "out" / "sparse" / "0"))
        assert len(model.points3D) == len(POINTS) and model.compute_mean_reprojection_error() < 1e-6


def test_files_without_distortion_are_linked_and_others_are_not(tmp_path):
    scene = ring_scene(SIZES)
    save_scene(scene, tmp_path / "start", "transforms")
    for to in ("colmap", "nerfstudio"):
        convert_scene(tmp_path / "start", tmp_path / to, to)
        for name in scene.names:
            assert os.path.samefile(tmp_path / "start" / "images" / name, tmp_path / to / "images" / name)
    converted = convert_scene(tmp_path / "start", tmp_path / "small", "colmap", DatasetConfig(downscale=2))
    assert converted.n_kept == 0 and read_scene(tmp_path / "small", DatasetConfig(camera_outside_sphere=False)).sizes[
        0
    ] == (20, 15)
    transforms = json.loads((tmp_path / "start" / "transforms.json").read_text())
    transforms |= {"k1": 0.02}
    (tmp_path / "start" / "transforms.json").write_text(json.dumps(transforms))
    converted = convert_scene(tmp_path / "start", tmp_path / "lens", "colmap")
    assert (converted.n_kept, converted.n_undistorted) == (0, 4)


@pytest.mark.parametrize("to", ["colmap", "nerfstudio"])
def test_alpha_channels_stay_in_the_images(tmp_path, to):
    scene = ring_scene(SIZES)
    write_blender(scene, tmp_path / "start")
    converted = convert_scene(tmp_path / "start", tmp_path / "out", to)
    assert converted.n_kept == 4 and not (tmp_path / "out" / "masks").exists()
    assert "masks: in the alpha channels" in "\n".join(converted.lines)
    before, back = (
        read_scene(tmp_path / "start"),
        read_scene(tmp_path / "out", DatasetConfig(camera_outside_sphere=False)),
    )
    assert same_cameras(before, back)
    for view in range(4):
        assert np.array_equal(before.alphas[view], back.alphas[view]) and np.array_equal(
            before.images[view], back.images[view]
        )


def test_idr_gets_pngs_with_masks_beside_them(tmp_path):
    scene = ring_scene(SIZES)
    write_blender(scene, tmp_path / "start")
    convert_scene(tmp_path / "start", tmp_path / "out", "idr")
    assert cv2.imread(str(tmp_path / "out" / "image" / "000.png"), cv2.IMREAD_UNCHANGED).shape == (30, 40, 3)
    back = read_scene(tmp_path / "out")
    assert same_cameras(scene, back)
    assert all(np.array_equal(back.masks[view], scene.masks[view]) for view in range(4))


def test_images_within_an_archive_are_copied_out(tmp_path):
    folder = test_record3d.write(tmp_path)
    converted = convert_scene(folder / "walk.r3d", tmp_path / "out", "nerfstudio")
    assert converted.n_kept == 4
    for view in range(4):
        inside = (tmp_path / "all" / "rgbd" / f"{view}.jpg").read_bytes()
        assert (tmp_path / "out" / "images" / f"{view}.jpg").read_bytes() == inside
    assert read_scene(tmp_path / "out").metres == 1.0


def test_a_scene_without_a_region_is_converted_where_none_is_needed(tmp_path):
    scene = ring_scene(SIZES)
    poses = scene.camera_to_scene.clone()
    poses[:, :3, :3] = poses[:1, :3, :3]  # all look the same way
    save_scene(replace(scene, camera_to_scene=poses, masks=None), tmp_path / "start", "colmap")
    for to in ("colmap", "nerfstudio"):
        assert not convert_scene(tmp_path / "start", tmp_path / to, to).has_region
    assert "sphere_radius" not in json.loads((tmp_path / "nerfstudio" / "transforms.json").read_text())


def test_the_command_line_says_what_was_kept(tmp_path, capsys):
    folder = test_bundler.write(tmp_path / "scene")
    assert (
        main(["convert", str(folder), "--to", "colmap", "--out", str(tmp_path / "out"), "--set", "dataset.exclude=[0]"])
        == 0
    )
    said = capsys.readouterr().out.splitlines()
    assert said == [
        "format: bundler", "images: 3; 3 undistorted and encoded", f"masks: none; sparse points: {len(POINTS)}", str(tmp_path / "out"),
    ]  # fmt: skip
    assert sorted(file.name for file in (tmp_path / "out" / "images").iterdir()) == NAMES[1:]
    assert np.allclose(world_to_cameras(read_scene(tmp_path / "out"))[0], np.linalg.inv(CAMERA_TO_WORLD[1]), atol=1e-9)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--to", "colmap", "--format", "nvm"], "no camera file of the format nvm in it"),
        (["--to", "colmap", "--format", "zip"], "dataset.format"),
        (["--to", "idr", "--set", "train.end_iter=3"], "reads the section dataset alone"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(tmp_path, capsys, options, said):
    folder = test_bundler.write(tmp_path / "scene")
    assert main(["convert", str(folder), "--out", str(tmp_path / "out"), *options]) == 2
    error = capsys.readouterr().err.strip()
    assert error.count("\n") == 0 and said in error and not (tmp_path / "out").exists()


def test_a_folder_with_something_in_it_is_left_alone(tmp_path):
    folder = test_bundler.write(tmp_path / "scene")
    with pytest.raises(InputError, match="already exists; expected a new folder"):
        convert_scene(folder, folder, "idr")
    with pytest.raises(InputError, match="--to ply: expected one of colmap, nerfstudio, idr"):
        convert_scene(folder, tmp_path / "out", "ply")
    (tmp_path / "world").mkdir()
    ring = save_scene(replace(ring_scene(SIZES), up=(0.0, 0.0, 1.0)), tmp_path / "world", "idr")
    (ring / "world.json").write_text('{"up": [0, 1], "metres": null}')
    with pytest.raises(InputError, match="world.json: up .0, 1. and metres None, expected three numbers"):
        read_scene(ring)
