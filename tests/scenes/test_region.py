import math
from dataclasses import replace

import pytest
import torch

from neus.errors import InputError
from neus.geometry.poses import look_at
from neus.geometry.similarity import similarity
from neus.scenes.region import (
    NEAREST_CAMERA_FRACTION,
    Region,
    framed,
    given_region,
    in_frame,
    point_nearest_to_axes,
    region_from_axes,
    region_from_depths,
    smallest_ball,
)
from neus.scenes.region_from_points import region_from_points, region_of_all_points
from tests.scenes.layouts import WORLD, largest_pixel_difference, ring_scene

SIZES = [(40, 30), (32, 24), (30, 40), (40, 30), (40, 30), (32, 24), (40, 30), (40, 30), (40, 30), (40, 30)]
CENTER = torch.tensor([5.0, -2.0, 8.0], dtype=torch.float64)
UP = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)


def in_world(scene):
    """The same scene with the world as its frame, as readers hold it before the region is known."""
    poses = scene.scene_to_world @ scene.camera_to_scene
    poses[:, :3, :3] /= scene.scene_to_world[0, 0]
    return replace(scene, camera_to_scene=poses, scene_to_world=torch.eye(4, dtype=torch.float64))


def aimed_at(targets, distance=4.0):
    """Cameras on a sphere about CENTER, each with the pinhole of a 40x30 image, looking at its own target."""
    scene = ring_scene([(40, 30)] * len(targets), torch.eye(4, dtype=torch.float64))
    directions = random_directions(len(targets), seed=1)
    poses = [look_at(CENTER + distance * d, target, UP) for d, target in zip(directions, targets, strict=True)]
    intrinsics = torch.tensor([[40.0, 0.0, 20.0], [0.0, 40.0, 15.0], [0.0, 0.0, 1.0]], dtype=torch.float64)
    return replace(scene, camera_to_scene=torch.stack(poses), intrinsics=intrinsics.expand(len(targets), 3, 3))


def random_directions(n, seed):
    directions = torch.randn(n, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.normalize(directions, dim=-1)


def test_moving_into_the_frame_of_a_region_and_out_again_changes_no_ray():
    scene = in_world(ring_scene(SIZES))
    center = WORLD[:3, 3] + 0.2
    moved = framed(scene, Region(center, 2.7))
    assert largest_pixel_difference(moved, scene) < 1e-6
    assert torch.equal(moved.scene_to_world, similarity(2.7, center))


def test_axes_that_meet_meet_where_the_cameras_look():
    scene = aimed_at([CENTER] * 8)
    torch.testing.assert_close(point_nearest_to_axes(scene), CENTER)


def test_a_few_cameras_that_look_elsewhere_do_not_matter():
    astray = CENTER + torch.tensor([0.0, 0.0, 3.0], dtype=torch.float64)
    scene = aimed_at([CENTER] * 12 + [astray] * 2)
    assert float((point_nearest_to_axes(scene) - CENTER).norm()) < 0.05


@pytest.mark.parametrize("n_views", [1, 5])
def test_parallel_axes_do_not_say_where_the_object_is(n_views):
    scene = aimed_at([CENTER] * n_views)
    poses = scene.camera_to_scene.clone()
    poses[:, :3, :3] = poses[0, :3, :3]
    with pytest.raises(InputError, match=f"optical axes of the {n_views} views are parallel.*give the centre"):
        point_nearest_to_axes(replace(scene, camera_to_scene=poses))


def test_cameras_that_look_outwards_are_refused():
    scene = aimed_at([CENTER] * 6)
    backwards = scene.camera_to_scene @ torch.diag(torch.tensor([-1.0, 1.0, -1.0, 1.0], dtype=torch.float64))
    with pytest.raises(InputError, match="look away from the point where their axes meet"):
        point_nearest_to_axes(replace(scene, camera_to_scene=backwards))


def test_the_sphere_from_axes_just_fits_into_the_images():
    # 15 pixels to the nearest border at a focal length of 40, seen from a distance of 4.
    region = region_from_axes(aimed_at([CENTER] * 8))
    assert region.radius == pytest.approx(4.0 * math.sin(math.atan(15 / 40)))
    torch.testing.assert_close(region.center, CENTER)


@pytest.mark.parametrize("shift", [-9.0, 12.0, 20.0, 31.0])
def test_where_the_principal_point_is_hardly_changes_the_sphere(shift):
    # Cropped images: the lower border (30 rows) is 15 - shift pixels from it, beyond it from 15 on.
    scene = aimed_at([CENTER] * 8)
    cropped = scene.intrinsics.clone()
    cropped[:, 1, 2] += shift
    radius = region_from_axes(replace(scene, intrinsics=cropped)).radius
    whole = math.atan((15 + shift) / 40) + math.atan((15 - shift) / 40)
    assert radius == pytest.approx(4.0 * math.sin(whole / 2)) and radius > 0.9


def test_millions_of_points_have_the_sphere_of_those_drawn_from_them():
    scene = aimed_at([CENTER] * 4)
    surface = CENTER + 0.9 * random_directions(2000, seed=2)
    many = surface.repeat(1000, 1)
    found, expected = region_from_points(scene, many), region_from_points(scene, surface)
    assert found.radius == pytest.approx(expected.radius, rel=0.03)


def test_the_sphere_from_a_wide_lens_takes_no_more_than_half_of_the_distance():
    scene = aimed_at([CENTER] * 8)
    wide = scene.intrinsics.clone()
    wide[:, [0, 1], [0, 1]] = 5.0
    assert region_from_axes(replace(scene, intrinsics=wide)).radius == pytest.approx(2.0)


def test_the_sphere_from_depths_reaches_to_the_nearest_surfaces():
    nearest = torch.tensor([3.0] * 7 + [0.1] * 2, dtype=torch.float64)
    assert region_from_depths(aimed_at([CENTER] * 9), nearest).radius == pytest.approx(1.1)
    with pytest.raises(InputError, match="in front of the nearest surface at 8"):
        region_from_depths(aimed_at([CENTER] * 9), nearest + 5.0)


@pytest.mark.parametrize("noise", ["none", "background", "strays", "behind"])
def test_the_sphere_around_sparse_points_disregards_outliers(noise):
    scene = aimed_at([CENTER] * 12)
    surface = CENTER + 0.9 * random_directions(400, seed=2)
    outliers = {
        "none": surface[:0],
        "background": CENTER + 300.0 * random_directions(800, seed=3),
        "strays": CENTER + 1.9 * random_directions(6, seed=4),
        "behind": CENTER + 6.0 * random_directions(200, seed=5),
    }[noise]
    region = region_from_points(scene, torch.cat([surface, outliers]))
    farthest = float((surface - region.center).norm(dim=-1).max())
    assert farthest < region.radius < 1.2 * 0.9
    assert float((region.center - CENTER).norm()) < 0.1


def test_what_few_views_have_in_their_frame_is_no_part_of_the_object():
    # A turntable with a lamp above: near, but out of the frame of all views.
    scene = aimed_at([CENTER] * 12)
    angles = torch.linspace(0.0, 2 * math.pi, 13, dtype=torch.float64)[:-1]
    ring = torch.stack([angles.cos(), angles.sin(), torch.full_like(angles, 0.1)], dim=-1)
    scene = replace(scene, camera_to_scene=torch.stack([look_at(CENTER + 4.0 * d, CENTER, UP) for d in ring]))
    surface = CENTER + 0.9 * random_directions(400, seed=2)
    lamp = CENTER + 2.4 * UP + 0.1 * random_directions(100, seed=3)
    region = region_from_points(scene, torch.cat([surface, lamp]))
    assert region.radius < 1.2 * 0.9 and float((region.center - CENTER).norm()) < 0.1


def ring_around(n, distance=4.0, height=0.1, focal=40.0):
    """A turntable: cameras all around CENTER, looking at it."""
    scene = ring_scene([(40, 30)] * n, torch.eye(4, dtype=torch.float64))
    angles = torch.linspace(0.0, 2 * math.pi, n + 1, dtype=torch.float64)[:-1]
    ring = torch.stack([angles.cos(), angles.sin(), torch.full_like(angles, height)], dim=-1)
    intrinsics = torch.tensor([[focal, 0.0, 20.0], [0.0, focal, 15.0], [0.0, 0.0, 1.0]], dtype=torch.float64)
    poses = torch.stack([look_at(CENTER + distance * d, CENTER, UP) for d in ring])
    return replace(scene, camera_to_scene=poses, intrinsics=intrinsics.expand(n, 3, 3))


def table(n, inner, outer, height):
    """Points on a ring in a plane below CENTER, such as markers around a turntable."""
    generator = torch.Generator().manual_seed(6)
    angles = 2 * math.pi * torch.rand(n, dtype=torch.float64, generator=generator)
    radii = inner + (outer - inner) * torch.rand(n, dtype=torch.float64, generator=generator)
    flat = torch.stack([radii * angles.cos(), radii * angles.sin(), torch.zeros_like(radii)], dim=-1)
    return CENTER - height * UP + flat


def test_markers_around_a_turntable_are_no_part_of_the_object():
    # They fill the images up to their left and right borders, in most of the views.
    scene = ring_around(32)
    surface = CENTER + 0.7 * random_directions(400, seed=2)
    region = region_from_points(scene, torch.cat([surface, table(200, 1.7, 2.1, 1.1)]))
    assert 0.7 < region.radius < 1.2 * 0.7 and float((region.center - CENTER).norm()) < 0.1


def test_a_sphere_that_would_end_at_a_near_camera_drops_the_outskirts_not_the_object():
    # Views from one side, one of them close by; things beside the object are in the frame of those that stand back.
    directions = torch.nn.functional.normalize(random_directions(12, seed=1) + 2.0 * UP, dim=-1)
    distances = [1.1] + [4.0] * 11
    scene = aimed_at([CENTER] * 12)
    poses = [look_at(CENTER + r * d, CENTER, UP) for r, d in zip(distances, directions, strict=True)]
    scene = replace(scene, camera_to_scene=torch.stack(poses))
    surface = CENTER + 0.7 * random_directions(400, seed=2)
    beside = table(90, 1.6, 2.0, 0.2)
    beside = beside[(beside - CENTER)[:, 0] > 1.2]
    region = region_from_points(scene, torch.cat([surface, beside]))
    assert float((surface - region.center).norm(dim=-1).max()) < region.radius
    nearest = float((scene.camera_to_scene[:, :3, 3] - region.center).norm(dim=-1).min())
    assert region.radius <= NEAREST_CAMERA_FRACTION * nearest


@pytest.mark.parametrize("tilt", [0.0, 0.02])
def test_a_wall_that_images_show_part_by_part_is_held_whole(tilt):
    # Axes that are parallel, or meet far away: only the points say where the wall is.
    scene = aimed_at([CENTER] * 9)
    right, down, ahead = torch.eye(3, dtype=torch.float64)
    places = [CENTER + 1.5 * (column * right + row * down) - 4.0 * ahead for row in (-1, 0, 1) for column in (-1, 0, 1)]
    poses = [look_at(place, place + ahead + tilt * (place - CENTER - 4.0 * ahead) * (right + down), down) for place in places]
    scene = replace(scene, camera_to_scene=torch.stack(poses))
    flat = torch.rand(600, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(3)) - 0.5
    wall = CENTER + flat * torch.tensor([4.0, 3.0, 0.2], dtype=torch.float64)
    region = region_from_points(scene, torch.cat([wall, CENTER + 60.0 * ahead + 10.0 * flat[:50]]))
    inside = (wall - region.center).norm(dim=-1) < region.radius
    assert float(inside.double().mean()) > 0.99 and region.radius < 1.3 * 0.5 * math.hypot(4.0, 3.0)
    assert region.found_from == "sparse points"


def test_a_whole_scene_is_what_any_view_shows():
    scene = aimed_at([CENTER] * 12)
    room = CENTER + 9.0 * random_directions(800, seed=3)
    region = region_of_all_points(scene, torch.cat([room, CENTER + 0.9 * random_directions(400, seed=2)]))
    assert 9.0 < region.radius < 1.2 * 9.0 and float((region.center - CENTER).norm()) < 1.0
    with pytest.raises(InputError, match="0 of 20 sparse points lie in the frame of any view"):
        region_of_all_points(aimed_at([CENTER + 3.0 * UP] * 1), (CENTER + 500.0 * UP).expand(20, 3) * -1.0)


def test_too_few_points_are_refused():
    with pytest.raises(InputError, match="9 of 109 sparse points lie where the cameras look, expected at least 10"):
        points = torch.cat([CENTER.expand(9, 3), CENTER + 500.0 * random_directions(100, seed=0)])
        region_from_points(aimed_at([CENTER] * 8), points)


def test_regions_stay_clear_of_the_cameras():
    scene = aimed_at([CENTER] * 8, distance=1.0)
    points = CENTER + 0.97 * random_directions(300, seed=2)
    nearest_depths = torch.full((8,), 0.01, dtype=torch.float64)
    assert region_from_depths(scene, nearest_depths).radius <= NEAREST_CAMERA_FRACTION + 1e-9
    nearest = scene.camera_to_scene[:, :3, 3]
    wide = scene.intrinsics.clone()
    wide[:, [0, 1], [0, 1]] = 5.0
    region = region_from_points(replace(scene, intrinsics=wide), points)
    assert region.radius <= float((nearest - region.center).norm(dim=-1).min())


def test_a_region_is_given_whole_or_not_at_all():
    scene = ring_scene(SIZES[:2])
    assert given_region(scene, None, None) is None
    region = given_region(scene, [1, 2, 3], 4)
    assert region.center.tolist() == [1.0, 2.0, 3.0] and region.radius == 4.0
    for center, radius, message in [
        (None, 1.0, "no centre"),
        ([0.0, 0.0, 0.0], None, "no radius"),
        ([0.0, 0.0], 1.0, "three finite numbers"),
        ([0.0, 0.0, float("nan")], 1.0, "three finite numbers"),
        ([0.0, 0.0, 0.0], 0.0, "a positive one"),
        ([0.0, 0.0, 0.0], float("inf"), "a positive one"),
    ]:
        with pytest.raises(InputError, match=message):
            given_region(scene, center, radius)


@pytest.mark.parametrize("n_points", [4, 50, 2000])
def test_the_smallest_ball_around_points_on_a_sphere_is_that_sphere(n_points):
    # Four corners of a regular tetrahedron fix the ball already; further points lie on it.
    corners = torch.tensor([[1.0, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]], dtype=torch.float64) / math.sqrt(3.0)
    points = CENTER + 2.0 * torch.cat([corners, random_directions(n_points - 4, seed=6)])
    center, radius = smallest_ball(points)
    assert float((center - CENTER).norm()) < 0.02 and 2.0 <= radius < 2.02
    assert float((points - center).norm(dim=-1).max()) <= radius


def test_points_are_in_frame_up_to_the_border_and_before_the_camera():
    camera = ring_scene([(40, 30)]).camera(0)
    pixels = torch.tensor([[0.0, 0.0], [39.9, 29.9], [40.0, 10.0], [10.0, 30.0], [-0.1, 5.0], [5.0, 5.0]])
    depth = torch.tensor([1.0, 1.0, 1.0, 1.0, 1.0, -1.0])
    assert in_frame(pixels, depth, camera).tolist() == [True, True, False, False, False, False]


def test_an_awkward_world_changes_nothing():
    scene = in_world(ring_scene(SIZES, WORLD))
    plain = in_world(ring_scene(SIZES, torch.eye(4, dtype=torch.float64)))
    found, expected = region_from_axes(scene), region_from_axes(plain)
    assert found.radius == pytest.approx(expected.radius * float(WORLD[0, 0]))
    torch.testing.assert_close(found.center, WORLD[:3, :3] @ expected.center + WORLD[:3, 3])
