from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from neus.errors import InputError
from neus.geometry.cup import object_sdf
from neus.scenes.readers import DatasetConfig
from neus.scenes.region import Region, framed
from neus.scenes.scene import Scene
from neus.scenes.writers import write_colmap
from neus.stereo.region_from_matches import located, read_located_scene, region_from_matches

WIDTH, HEIGHT, FOCAL, DISTANCE = 200, 160, 200.0, 4.0
# Pixels of the wall for each unit of it, and its sides; beyond it the images are grey.
DENSITY, WALL = FOCAL / DISTANCE, (6.0, 5.0)


def wall_scene():
    """Nine cameras side by side before a painted wall in z = 0, all looking along z; the wall is wider than an image."""
    generator = np.random.default_rng(0)
    noise = generator.integers(0, 256, [round(side * DENSITY / 3) for side in WALL[::-1]] + [3], dtype=np.uint8)
    painted = cv2.resize(noise, [round(side * DENSITY) for side in WALL], interpolation=cv2.INTER_CUBIC)
    around = np.pad(painted, ((200, 200), (200, 200), (0, 0)), constant_values=128)
    images, poses = [], []
    for row in (-0.6, 0.0, 0.6):
        for column in (-1.0, 0.0, 1.0):
            pose = torch.eye(4, dtype=torch.float64)
            pose[:3, 3] = torch.tensor([column, row, -DISTANCE])
            left = round(around.shape[1] / 2 + column * DENSITY - WIDTH / 2)
            top = round(around.shape[0] / 2 + row * DENSITY - HEIGHT / 2)
            images.append(np.ascontiguousarray(around[top : top + HEIGHT, left : left + WIDTH]))
            poses.append(pose)
    intrinsics = torch.tensor([[FOCAL, 0, WIDTH / 2], [0, FOCAL, HEIGHT / 2], [0, 0, 1]], dtype=torch.float64)
    names = [f"{view}.png" for view in range(len(images))]
    frame = torch.eye(4, dtype=torch.float64)
    return Scene(images, None, intrinsics.expand(len(images), 3, 3).clone(), torch.stack(poses), frame, names)


@pytest.fixture(scope="module")
def wall_folder(tmp_path_factory):
    return write_colmap(wall_scene(), tmp_path_factory.mktemp("wall") / "scene")


def test_a_wall_before_parallel_cameras_is_found_from_what_they_share(wall_folder):
    scene = read_located_scene(wall_folder)
    center, radius = scene.scene_to_world[:3, 3], float(scene.scene_to_world[0, 0])
    assert scene.region_from == "points that images share"
    # What two images show: 6 by 4.4 units.
    assert abs(float(center[2])) < 0.3 and float(center.norm()) < 0.5 and 2.4 < radius < 1.2 * np.hypot(3.0, 2.2)


def test_a_region_that_is_given_is_not_looked_for(wall_folder):
    scene = read_located_scene(wall_folder, DatasetConfig(center=(0.0, 0.0, 0.0), radius=2.0))
    assert scene.region_from == "" and float(scene.scene_to_world[0, 0]) == 2.0


def test_a_box_is_the_region_and_bounds_the_mesh(wall_folder):
    scene = read_located_scene(wall_folder, DatasetConfig(box=(-2.0, -1.0, -0.5, 2.0, 1.0, 0.5)))
    assert float(scene.scene_to_world[0, 0]) == pytest.approx(np.sqrt(2.0**2 + 1.0 + 0.5**2))
    in_world = scene.box * scene.scene_to_world[0, 0] + scene.scene_to_world[:3, 3]
    torch.testing.assert_close(in_world.flatten(), torch.tensor([-2.0, -1.0, -0.5, 2.0, 1.0, 0.5], dtype=torch.float64))


@pytest.mark.parametrize("box", [(1.0, 2.0, 3.0), (0.0, 0.0, 0.0, 1.0, -1.0, 1.0), (0.0, 0.0, 0.0, 1.0, float("nan"), 1.0)])
def test_a_box_that_is_none_is_refused(wall_folder, box):
    with pytest.raises(InputError, match="dataset.box: .*expected six numbers in world units"):
        read_located_scene(wall_folder, DatasetConfig(box=box))


def test_images_without_anything_in_common_say_no_region(wall_folder, tmp_path):
    generator = np.random.default_rng(1)
    noise = [generator.integers(0, 256, (HEIGHT, WIDTH, 3)).astype(np.uint8) for _ in range(9)]
    scene = replace(wall_scene(), images=noise)
    assert region_from_matches(scene) is None
    with pytest.raises(InputError, match="optical axes of the 9 views are parallel"):
        read_located_scene(write_colmap(scene, tmp_path / "noise"))


def test_the_sphere_of_the_axes_is_moved_onto_the_object(right):
    # As read without points and masks: about a place beside the cup, less than half as large as it.
    beside = torch.tensor([0.4, 0.3, -0.1], dtype=torch.float64)
    astray = replace(framed(replace(right, masks=None), Region(beside, 0.35, "optical axes")), scene_to_world=torch.eye(4).double())
    found = located(astray, DatasetConfig())
    assert found.region_from == "points that images share"
    frame = found.scene_to_world  # from the new frame to the astray one
    grid = torch.stack(torch.meshgrid(*[torch.linspace(-1.0, 1.0, 40)] * 3, indexing="ij"), dim=-1).reshape(-1, 3)
    cup = grid[object_sdf(grid) < 0.0].double()
    distances = (((cup - beside) / 0.35) - frame[:3, 3]).norm(dim=-1) / frame[0, 0]
    assert float(distances.max()) < 1.0 and float(frame[0, 0]) * 0.35 < 1.6


def test_other_regions_stay_unless_the_whole_scene_is_asked_for(right):
    masked = replace(right, region_from="masks")
    assert located(masked, DatasetConfig()) is masked
    whole = located(masked, DatasetConfig(region="scene"))
    assert whole.region_from == "all points that images share"
    assert float(whole.scene_to_world[0, 0]) > 1.5 * float(right.scene_to_world[0, 0])
    assert located(replace(right, region_from=""), DatasetConfig(region="scene")).region_from == ""
