import numpy as np
import pytest
import torch
import trimesh

from neus.evaluation.depth import depth_scores, is_in_unit_sphere
from neus.geometry.cameras import Camera
from neus.geometry.poses import look_at
from neus.geometry.rays import intersect_sphere, pixel_centers, rays_from_pixels
from neus.meshing.visibility import mesh_depth

CENTER = torch.tensor([1.0, -2.5, 0.7], dtype=torch.float64)
INTRINSICS = torch.tensor([[60.0, 0.0, 31.0], [0.0, 58.0, 25.0], [0.0, 0.0, 1.0]], dtype=torch.float64)


@pytest.fixture
def camera():
    pose = look_at(CENTER, torch.zeros(3).double(), torch.tensor([0.0, 0.0, 1.0]).double())
    return Camera(INTRINSICS, pose, 64, 48)


def sphere_depth(camera, radius):
    """Depth (H, W) of a sphere about the origin in closed form, infinite beside it."""
    pixels = pixel_centers(camera.width, camera.height).reshape(-1, 2).double()
    origins, directions = rays_from_pixels(pixels, camera.intrinsics, camera.camera_to_scene)
    enters, _, hits = intersect_sphere(origins, directions, radius)
    depth = torch.where(hits, enters * (directions @ camera.forward), torch.inf)
    return depth.reshape(camera.height, camera.width).numpy()


def test_the_depth_of_a_fine_sphere_is_that_of_the_closed_form(camera):
    expected = sphere_depth(camera, 0.7)
    found = mesh_depth(trimesh.creation.icosphere(6, 0.7), camera)
    both = np.isfinite(found) & np.isfinite(expected)
    assert (np.isfinite(found) != np.isfinite(expected)).mean() < 0.005 and both.mean() > 0.2
    # The mesh lies within its sphere by up to 1e-4; at a grazing angle that is more along the ray.
    error = np.abs(found[both] - expected[both])
    assert np.median(error) < 1e-4 and error.max() < 0.02


def test_only_what_lies_in_the_unit_sphere_counts(camera):
    for radius, inside in ((0.99, True), (1.01, False)):
        depth = sphere_depth(camera, radius)
        seen = np.isfinite(depth)
        assert (is_in_unit_sphere(np.where(seen, depth, 100.0), camera)[seen] == inside).all()
        assert not is_in_unit_sphere(np.where(seen, depth, 100.0), camera)[~seen].any()


def test_a_uniform_offset_is_the_error_and_a_hole_is_missing_cover():
    truth = np.full((10, 20), 500.0)
    depth = truth + 3.0
    depth[:, :5] = np.inf
    found = depth_scores(depth, truth, truth > 0, [2.0, 4.0])
    assert (found["mean"], found["median"], found["rmse"]) == pytest.approx((3.0, 3.0, 3.0))
    assert found["covered"] == 0.75 and found["within"] == [0.0, 0.75] and found["n_pixels"] == 200
    truth[:5] = 0.0
    assert depth_scores(depth, truth, truth > 0, [4.0])["n_pixels"] == 100


def test_a_view_in_which_nothing_counts_has_no_error():
    nothing = depth_scores(np.ones((2, 2)), np.ones((2, 2)), np.zeros((2, 2), bool), [1.0])
    assert nothing == {"n_pixels": 0, "covered": 0.0, "mean": None, "median": None, "rmse": None, "within": [0.0]}
