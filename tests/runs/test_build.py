from dataclasses import replace

import pytest
import torch

from neus.runs.build import suited_to_scene
from neus.runs.config import ExperimentConfig
from neus.scenes.synthetic import render_scene


@pytest.fixture(scope="module")
def scene():
    return render_scene(views=4, width=32, height=24)


def finest_of(config: ExperimentConfig, scene, cells_per_pixel: float, **settings: int) -> int:
    hash_sdf = config.model.hash_sdf
    grid = replace(hash_sdf.grid, cells_per_pixel=cells_per_pixel, **settings)
    config = replace(config, model=replace(config.model, hash_sdf=replace(hash_sdf, grid=grid)))
    return suited_to_scene(config, scene).model.hash_sdf.grid.finest_resolution


def test_the_finest_level_has_the_cells_that_pixels_have_across_the_sphere(scene):
    # Focal length 1.5 x 24 pixels, cameras some three units away: 24 pixels across the sphere's diameter of two.
    distance = float(scene.camera_to_scene[:, :3, 3].norm(dim=-1).median())
    pixels = 2.0 * 36.0 / distance
    coarse = {"base_resolution": 4, "finest_resolution": 512}
    assert finest_of(ExperimentConfig(), scene, 2.0, **coarse) == pytest.approx(2.0 * pixels, rel=0.05)
    assert finest_of(ExperimentConfig(), scene, 1.0, **coarse) == pytest.approx(pixels, rel=0.05)


def test_the_finest_level_stays_within_what_the_conf_says(scene):
    config = ExperimentConfig()
    assert finest_of(config, scene, 0.0, finest_resolution=640) == 640
    assert finest_of(config, scene, 1000.0, finest_resolution=640) == 640
    assert finest_of(config, scene, 1e-3, base_resolution=16, finest_resolution=640) == 16


def test_larger_images_allow_finer_levels(scene):
    larger = replace(scene, intrinsics=scene.intrinsics * torch.tensor([[2.0], [2.0], [1.0]]))
    coarse = {"base_resolution": 4, "finest_resolution": 512}
    finest = [finest_of(ExperimentConfig(), each, 1.5, **coarse) for each in (scene, larger)]
    assert finest[1] == pytest.approx(2 * finest[0], abs=1)
