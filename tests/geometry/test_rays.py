import pytest
import torch

from neus.geometry.cameras import Camera, project
from neus.geometry.poses import look_at
from neus.geometry.rays import intersect_sphere, near_far_around_center, pixel_centers, rays_from_pixels

K = torch.tensor([[50.0, 0.3, 21.0], [0.0, 55.0, 14.0], [0.0, 0.0, 1.0]], dtype=torch.float64)


@pytest.fixture
def camera():
    return Camera(K, look_at(vector(2.0, -1.0, 3.0), vector(0.1, 0.2, 0.0), vector(0.0, -1.0, 0.0)), 40, 30)


def vector(*numbers):
    return torch.tensor(numbers, dtype=torch.float64)


def random_rays(n, seed=0):
    generator = torch.Generator().manual_seed(seed)
    origins = 2.0 * torch.randn(n, 3, dtype=torch.float64, generator=generator)
    directions = torch.randn(n, 3, dtype=torch.float64, generator=generator)
    return origins, torch.nn.functional.normalize(directions, dim=-1)


def test_pixel_centres_lie_in_the_middle_of_the_pixels():
    centers = pixel_centers(40, 30)
    assert centers.shape == (30, 40, 2)
    assert centers[7, 3].tolist() == [3.5, 7.5]
    assert centers.reshape(-1, 2).mean(dim=0).tolist() == [20.0, 15.0]


@pytest.mark.parametrize("distance", [0.01, 1.0, 1000.0])
def test_points_on_rays_through_pixels_project_back_to_those_pixels(camera, distance):
    pixels = pixel_centers(40, 30)
    origins, directions = rays_from_pixels(pixels, camera.intrinsics, camera.camera_to_scene)
    found, depth = project(origins + distance * directions, camera)
    torch.testing.assert_close(found, pixels)
    assert (depth > 0).all() and (depth <= distance * (1 + 1e-9)).all()


def test_directions_are_unit_and_origins_the_camera_centre(camera):
    origins, directions = rays_from_pixels(pixel_centers(40, 30), camera.intrinsics, camera.camera_to_scene)
    torch.testing.assert_close(directions.norm(dim=-1), torch.ones(30, 40, dtype=torch.float64))
    assert torch.equal(origins, camera.center.expand(30, 40, 3))


def test_the_ray_through_the_principal_point_is_the_optical_axis(camera):
    _, direction = rays_from_pixels(camera.intrinsics[:2, 2], camera.intrinsics, camera.camera_to_scene)
    torch.testing.assert_close(direction, camera.forward)


def test_each_pixel_may_have_a_camera_of_its_own(camera):
    pixels = pixel_centers(40, 30).reshape(-1, 2)[:5]
    together = rays_from_pixels(pixels, K.expand(5, 3, 3), camera.camera_to_scene.expand(5, 4, 4))
    for found, expected in zip(together, rays_from_pixels(pixels, K, camera.camera_to_scene), strict=True):
        torch.testing.assert_close(found, expected)


def test_near_and_far_lie_one_unit_around_the_point_nearest_to_the_centre():
    origins, directions = random_rays(200)
    near, far = near_far_around_center(origins, directions)
    nearest = origins + ((near + far) / 2).unsqueeze(-1) * directions
    torch.testing.assert_close((nearest * directions).sum(-1), torch.zeros(200, dtype=torch.float64))
    torch.testing.assert_close(far - near, torch.full((200,), 2.0, dtype=torch.float64))


def test_near_and_far_contain_the_part_in_the_unit_sphere():
    origins, directions = random_rays(500)
    near, far = near_far_around_center(origins, directions)
    enters, leaves, hits = intersect_sphere(origins, directions)
    assert 20 < int(hits.sum()) < 480
    assert (near[hits] <= enters[hits] + 1e-12).all() and (leaves[hits] <= far[hits] + 1e-12).all()


@pytest.mark.parametrize("radius", [0.5, 1.0, 3.0])
def test_rays_enter_and_leave_a_sphere_on_it(radius):
    origins, directions = random_rays(500)
    enters, leaves, hits = intersect_sphere(origins, directions, radius)
    exits = (origins + leaves.unsqueeze(-1) * directions)[hits].norm(dim=-1)
    torch.testing.assert_close(exits, torch.full_like(exits, radius))
    is_outside = hits & (origins.norm(dim=-1) > radius)
    entries = (origins + enters.unsqueeze(-1) * directions)[is_outside].norm(dim=-1)
    torch.testing.assert_close(entries, torch.full_like(entries, radius))
    is_inside = origins.norm(dim=-1) < radius
    assert hits[is_inside].all() and (enters[is_inside] == 0).all()


def test_rays_hit_exactly_when_some_point_ahead_is_inside():
    origins, directions = random_rays(300)
    hits = intersect_sphere(origins, directions)[2]
    t = torch.linspace(0.0, 12.0, 4001, dtype=torch.float64)
    closest = (origins[:, None] + t[:, None] * directions[:, None]).norm(dim=-1).amin(-1)
    is_clear = (closest - 1.0).abs() > 1e-3
    assert torch.equal(hits[is_clear], (closest < 1.0)[is_clear])


def test_a_sphere_behind_and_a_tangent_are_no_hits():
    origins = torch.tensor([[0.0, 0.0, 3.0], [0.0, 1.0, -3.0], [0.0, 1.1, -3.0]], dtype=torch.float64)
    assert not intersect_sphere(origins, vector(0.0, 0.0, 1.0).expand(3, 3))[2].any()


def test_the_chord_at_height_h_has_the_length_of_pythagoras():
    heights = torch.linspace(0.0, 0.99, 30, dtype=torch.float64)
    origins = torch.stack([torch.zeros_like(heights), heights, torch.full_like(heights, -5.0)], dim=-1)
    enters, leaves, _ = intersect_sphere(origins, vector(0.0, 0.0, 1.0).expand(30, 3))
    torch.testing.assert_close(leaves - enters, 2 * (1 - heights**2).sqrt())
