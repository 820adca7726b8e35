from dataclasses import replace

import numpy as np
import pytest
import torch

from neus.scenes.synthetic import body_of, render_scene
from neus.stereo.exposure import exposures_of
from neus.stereo.rendered_depths import triangles_of
from neus.stereo.surface_points import SurfacePoints
from tests.stereo.painted_sphere import RADIUS, sphere_distances, sphere_scene

N_VIEWS = 24
AZIMUTHS, ELEVATIONS = range(0, 360, 45), (-20.0, 10.0, 40.0)


def changed(scene, maps):
    """Each image (H, W, 3) through its map (gain, offset), as 8 bits."""
    pairs = zip(scene.images, *maps, strict=True)
    images = [np.clip(np.rint(gain * image + 255.0 * offset), 0, 255).astype(np.uint8) for image, gain, offset in pairs]
    return replace(scene, images=images)


@pytest.fixture(scope="module")
def sphere():
    return sphere_scene(AZIMUTHS, ELEVATIONS, masks=True)


@pytest.fixture(scope="module")
def on_sphere():
    normals = np.random.default_rng(1).standard_normal((4000, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    return SurfacePoints(RADIUS * normals, normals, np.ones(len(normals)))


def found_in(scene, points):
    return exposures_of(scene, sphere_distances(96), points)


def test_maps_of_each_view_and_channel_are_found(sphere, on_sphere):
    generator = np.random.default_rng(2)
    gains = np.exp(generator.uniform(-0.25, 0.25, (N_VIEWS, 3)))
    offsets = generator.uniform(-0.04, 0.04, (N_VIEWS, 3))
    # The images begin in the common exposure, so the true maps are those whose means are 1 and 0.
    gains /= np.exp(np.log(gains).mean(axis=0))
    offsets -= gains * offsets.mean(axis=0) / gains.mean(axis=0)
    found = found_in(changed(sphere, (gains, offsets)), on_sphere)
    assert np.abs(np.log(found.gains / gains)).max() < 0.02 and np.abs(found.offsets - offsets).max() < 0.01


def test_equal_exposures_have_gains_of_one_within_their_errors(sphere, on_sphere):
    found = found_in(sphere, on_sphere)
    logs = np.log(found.levels)
    assert np.abs(logs).max() < 0.01
    assert np.median(np.abs(logs) / found.errors) < 2.0


def test_a_few_wrong_points_have_no_effect(sphere, on_sphere):
    gains, offsets = np.full((N_VIEWS, 3), 0.9), np.zeros((N_VIEWS, 3))
    gains[::2] = 1 / 0.9
    scene = changed(sphere, (gains, offsets))
    for image in scene.images[::3]:
        image[40:56, 48:60] = 230  # a highlight
    found = found_in(scene, on_sphere)
    assert np.abs(np.log(found.levels / gains)).max() < 0.02


def test_a_view_that_sees_no_point_keeps_its_colors(sphere, on_sphere):
    front = on_sphere.points[:, 0] > 0.1
    found = found_in(sphere, SurfacePoints(*(part[front] for part in on_sphere)))
    behind = AZIMUTHS.index(180)
    assert np.allclose(found.gains[behind], 1.0, atol=0.02) and np.allclose(found.offsets[behind], 0.0, atol=0.02)


def test_gains_of_a_synthetic_scene_are_found():
    size = {"views": 16, "width": 128, "height": 96, "antialias": 1}
    plain, scene = (render_scene(**size, kind=kind) for kind in ("house", "house+gain"))
    axis = torch.linspace(-1.0, 1.0, 96)
    body = body_of("house")
    distances = body.sdf(torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), dim=-1).reshape(-1, 3))
    distances = distances.reshape(96, 96, 96).numpy()
    points = torch.from_numpy(triangles_of(distances)[0][::3]).float()
    steps = 1e-3 * torch.eye(3)
    normals = torch.stack([body.sdf(points + step) - body.sdf(points - step) for step in steps], dim=-1)
    normals = torch.nn.functional.normalize(normals, dim=-1).numpy()
    found = exposures_of(scene, distances, SurfacePoints(points.numpy(), normals, np.ones(len(points), np.float32)))
    truth = np.array([_ratio(*pair) for pair in zip(scene.images, plain.images, strict=True)])
    truth /= np.exp(np.log(truth).mean())
    errors = np.log(found.levels) - np.log(truth)[:, None]
    assert np.log(truth).std() > 0.05 and np.sqrt((errors**2).mean()) < 0.02


def _ratio(image, plain):
    is_fair = (plain > 60) & (plain < 190)
    return np.median(image[is_fair] / plain[is_fair].astype(float))
