from dataclasses import replace

import numpy as np
import pytest
import torch

from neus.geometry.similarity import scale_of
from neus.scenes.readers import DatasetConfig
from neus.scenes.region import Region, framed
from neus.scenes.writers import write_colmap
from neus.stereo.region_from_matches import located, read_located_scene
from tests.stereo.painted_sphere import RADIUS, sphere_scene
from tests.stereo.resting_sphere import resting_sphere_scene

# Twice as large as need be, and beside the object, as the ball of sparse points on object and table is.
BESIDE = Region(torch.tensor([0.4, -0.2, -0.4]).double(), 1.3, "sparse points")
AROUND = range(0, 360, 36)


def assert_region_holds_the_sphere_alone(scene, largest=1.4):
    center, radius = scene.scene_to_world[:3, 3], scale_of(scene.scene_to_world)
    assert float(center.norm()) + RADIUS <= radius <= largest * RADIUS


@pytest.fixture(scope="module")
def on_table():
    return resting_sphere_scene(AROUND, (25.0, 50.0))


def test_the_region_is_that_of_what_stands_on_a_table(on_table):
    found = located(framed(on_table, BESIDE), DatasetConfig())
    assert_region_holds_the_sphere_alone(found)
    assert found.region_from == "sparse points and depth maps"


def test_the_region_is_that_of_what_hangs_at_a_wall():
    # All cameras before the plane, within 35 degrees of its normal.
    found = located(framed(resting_sphere_scene(AROUND, (55.0, 75.0)), BESIDE), DatasetConfig())
    assert_region_holds_the_sphere_alone(found)


def test_a_wall_with_nothing_on_it_keeps_its_region():
    wall = framed(resting_sphere_scene(AROUND, (55.0, 75.0), with_sphere=False), BESIDE)
    assert located(wall, DatasetConfig()) is wall


def test_a_region_that_cuts_the_object_grows_until_it_holds_it():
    cut = Region(torch.tensor([0.05, 0.0, 0.0]).double(), 0.48, "sparse points")
    found = located(framed(sphere_scene(AROUND, (-25.0, 25.0)), cut), DatasetConfig())
    assert_region_holds_the_sphere_alone(found)


def test_a_region_that_fits_stays():
    fitting = framed(sphere_scene(AROUND, (-25.0, 25.0)), Region(torch.zeros(3).double(), 1.15 * RADIUS, "sparse points"))
    assert located(fitting, DatasetConfig()) is fitting


def test_images_and_cameras_alone_give_the_region_of_what_stands_on_a_table(on_table, tmp_path):
    found = read_located_scene(write_colmap(on_table, tmp_path / "scene"))
    assert_region_holds_the_sphere_alone(found)


@pytest.mark.parametrize("region", ["scale_mat_i of the camera file", "", "masks", "all sparse points"])
def test_regions_that_are_given_or_from_masks_are_not_looked_for_again(on_table, region):
    scene = framed(on_table, replace(BESIDE, found_from=region))
    assert located(scene, DatasetConfig()) is scene


def test_the_whole_scene_and_scenes_with_masks_keep_their_region(on_table):
    scene = framed(on_table, BESIDE)
    assert located(scene, DatasetConfig(region="scene")) is scene
    masked = replace(scene, masks=[np.ones(image.shape[:2], bool) for image in scene.images])
    assert located(masked, DatasetConfig()) is masked
