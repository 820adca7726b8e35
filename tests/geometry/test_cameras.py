import numpy as np
import pytest
import torch

from neus.errors import InputError
from neus.geometry.cameras import Camera, camera_from_projection, project
from neus.geometry.poses import invert, look_at
from neus.geometry.similarity import similarity, transform_points

POSE = look_at(
    torch.tensor([3.0, -2.0, 1.0], dtype=torch.float64),
    torch.tensor([0.1, 0.0, -0.2], dtype=torch.float64),
    torch.tensor([0.0, -1.0, 0.0], dtype=torch.float64),
)
K = torch.tensor([[320.0, 1.5, 203.0], [0.0, 310.0, 148.0], [0.0, 0.0, 1.0]], dtype=torch.float64)


def projection(intrinsics=K, pose=POSE):
    return (intrinsics @ invert(pose)[:3]).numpy()


def random_points(n=50):
    return 0.5 * torch.randn(n, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("factor", [1.0, -1.0, 1e-6, -250.0])
def test_a_decomposed_projection_gives_back_the_camera_whatever_its_scale(factor):
    intrinsics, pose = camera_from_projection(factor * projection())
    torch.testing.assert_close(intrinsics, K)
    torch.testing.assert_close(pose, POSE)


def test_the_camera_of_any_projection_reproduces_it():
    rng = np.random.default_rng(0)
    for _ in range(50):
        matrix = rng.normal(size=(3, 4))
        intrinsics, pose = camera_from_projection(matrix)
        again = projection(intrinsics, pose)
        scale = (again * matrix).sum() / (matrix * matrix).sum()
        np.testing.assert_allclose(again, scale * matrix, atol=1e-8 * np.abs(again).max())
        rotation = pose[:3, :3]
        torch.testing.assert_close(rotation @ rotation.T, torch.eye(3, dtype=torch.float64))
        assert float(torch.linalg.det(rotation)) == pytest.approx(1.0)
        assert float(intrinsics[2, 2]) == 1.0 and intrinsics.tril(-1).abs().max() < 1e-9


def test_points_fall_where_the_projection_matrix_says():
    points = random_points()
    homogeneous = points.numpy() @ projection()[:, :3].T + projection()[:, 3]
    pixels, depth = project(points, Camera(K, POSE, 400, 300))
    np.testing.assert_allclose(pixels.numpy(), homogeneous[:, :2] / homogeneous[:, 2:])
    np.testing.assert_allclose(depth.numpy(), homogeneous[:, 2])


def test_depth_is_along_the_axis_and_negative_behind():
    camera = Camera(K, POSE, 400, 300)
    points = camera.center + torch.tensor([[2.0], [-2.0]], dtype=torch.float64) * camera.forward
    pixels, depth = project(points, camera)
    torch.testing.assert_close(depth, torch.tensor([2.0, -2.0], dtype=torch.float64))
    torch.testing.assert_close(pixels[0], K[:2, 2])
    assert torch.isfinite(pixels).all()


def test_what_is_right_and_below_falls_right_and_below():
    camera = Camera(K, POSE, 400, 300)
    middle = camera.center + 3.0 * camera.forward
    pixels, _ = project(torch.stack([middle, middle + POSE[:3, 0], middle + POSE[:3, 1]]), camera)
    assert pixels[1, 0] > pixels[0, 0] and pixels[2, 1] > pixels[0, 1]


@pytest.mark.parametrize("factor", [0.5, 0.25, 2.0])
def test_a_scaled_camera_sees_points_at_scaled_pixels(factor):
    camera = Camera(K, POSE, 400, 300)
    scaled = camera.scaled(factor)
    assert (scaled.width, scaled.height) == (400 * factor, 300 * factor)
    torch.testing.assert_close(project(random_points(), scaled)[0], factor * project(random_points(), camera)[0])
    assert torch.equal(scaled.camera_to_scene, camera.camera_to_scene)


def test_a_resized_camera_keeps_its_field_of_view_when_sides_are_rounded():
    camera = Camera(K, POSE, 401, 299)
    small = camera.scaled(0.1)
    assert (small.width, small.height) == (40, 30)
    sizes = torch.tensor([[401.0, 299.0], [40.0, 30.0]], dtype=torch.float64)
    fractions = [project(random_points(), c)[0] / size for c, size in zip((camera, small), sizes, strict=True)]
    torch.testing.assert_close(*fractions)


def test_no_camera_shrinks_to_nothing():
    tiny = Camera(K, POSE, 400, 3).scaled(0.01)
    assert (tiny.width, tiny.height) == (4, 1)


def test_single_points_and_batches_of_any_shape_project_alike():
    camera, points = Camera(K, POSE, 400, 300), random_points(24)
    pixels, depth = project(points.reshape(2, 3, 4, 3), camera)
    assert pixels.shape == (2, 3, 4, 2) and depth.shape == (2, 3, 4)
    torch.testing.assert_close(pixels[1, 2, 3], project(points[-1], camera)[0])
    assert project(points.float(), camera)[0].dtype == torch.float32


def test_look_at_puts_the_target_in_the_middle_of_the_image_and_up_upwards():
    camera = Camera.look_at(eye=(30.0, -20.0, 10.0), target=(1.0, 2.0, 3.0), up=(0.0, 0.0, 1.0), size=(200, 100))
    scene_to_world = similarity(1.0, torch.zeros(3, dtype=torch.float64))
    points = torch.tensor([[1.0, 2.0, 3.0], [1.0, 2.0, 4.0]], dtype=torch.float64)
    pixels, depth = project(points, camera.in_scene(scene_to_world))
    torch.testing.assert_close(pixels[0], torch.tensor([100.0, 50.0], dtype=torch.float64))
    assert abs(float(pixels[1, 0]) - 100.0) < 1e-9 and pixels[1, 1] < 50.0 and (depth > 0).all()


def test_the_field_of_view_spans_the_height():
    camera = Camera.look_at((0.0, 0.0, -5.0), (0.0, 0.0, 0.0), (0.0, -1.0, 0.0), fov=60.0, size=(80, 60))
    edge = torch.tensor([[0.0, 5.0 * np.tan(np.radians(30.0)), 0.0]], dtype=torch.float64)
    pixels, _ = project(edge, camera.in_scene(torch.eye(4, dtype=torch.float64)))
    torch.testing.assert_close(pixels, torch.tensor([[40.0, 60.0]], dtype=torch.float64))


def test_a_camera_sees_the_same_in_both_frames_and_comes_back():
    scene_to_world = similarity(250.0, torch.tensor([10.0, -20.0, 600.0], dtype=torch.float64), POSE[:3, :3])
    camera = Camera(K, POSE, 406, 296)
    world, points = camera.in_world(scene_to_world), random_points()
    as_in_world = Camera(world.intrinsics, world.camera_to_world, 406, 296)
    pixels, depth = project(points, camera)
    in_world = project(transform_points(scene_to_world, points), as_in_world)
    torch.testing.assert_close(in_world, (pixels, 250.0 * depth))
    torch.testing.assert_close(world.in_scene(scene_to_world).camera_to_scene, POSE)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"eye": (1, 1, 1)}, r"eye and target are both \[1.0, 1.0, 1.0\]"),
        ({"fov": 180}, "fov 180 and size"),
        ({"size": (0, 5)}, r"size \(0, 5\)"),
    ],
)
def test_a_camera_that_cannot_be_is_refused(arguments, said):
    with pytest.raises(InputError, match=said):
        Camera.look_at(**{"eye": (0, 0, 0), "target": (1, 1, 1), **arguments})
