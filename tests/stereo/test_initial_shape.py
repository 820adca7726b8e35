import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from neus.errors import InputError
from neus.geometry.poses import look_at
from neus.geometry.rays import pixel_centers, rays_from_pixels
from neus.kernels.zero_distances.cpu import distances_to_zeros
from neus.scenes.scene import Scene
from neus.stereo import visual_hull
from neus.stereo.initial_shape import initial_shape
from neus.stereo.surface_refinement import Round
from neus.stereo.visual_hull import hull_values, spread_views

RESOLUTION = 48
# An open tray, whose inside no silhouette shows, with a thin post on one of its corners: lower and upper corners.
FLOOR = ((-0.6, -0.6, -0.35), (0.6, 0.6, -0.25))
WALLS = [
    ((-0.6, -0.6, -0.35), (-0.5, 0.6, 0.1)), ((0.5, -0.6, -0.35), (0.6, 0.6, 0.1)),
    ((-0.6, -0.6, -0.35), (0.6, -0.5, 0.1)), ((-0.6, 0.5, -0.35), (0.6, 0.6, 0.1)),
]  # fmt: skip
POST = ((0.52, 0.52, 0.1), (0.58, 0.58, 0.5))
BOXES = torch.tensor([FLOOR, *WALLS, POST])
SIZE = (160, 120)


def nearest_hits(origins, directions):
    """Distances to the union of the boxes along rays, infinite where they miss."""
    ends = (BOXES[:, :, None] - origins) / directions
    enters, leaves = ends.amin(1).amax(-1), ends.amax(1).amin(-1)
    return torch.where(enters < leaves, enters, torch.inf).amin(0)


def painted(points):
    generator = torch.Generator().manual_seed(3)
    waves = torch.nn.functional.normalize(torch.randn(3, 24, generator=generator), dim=0)
    waves = waves * torch.linspace(12.0, 70.0, 24)
    return (128 + 45 * torch.sin(points @ waves + torch.arange(24)).sum(-1) / 3).clamp(0, 255).byte()


def looked_at(center):
    width, height = SIZE
    intrinsics = torch.tensor([[1.6 * height, 0, width / 2], [0, 1.6 * height, height / 2], [0, 0, 1]]).double()
    pose = look_at(center, torch.zeros(3).double(), torch.tensor([0.0, 0.0, 1.0]).double())
    rays = rays_from_pixels(pixel_centers(width, height).reshape(-1, 2), intrinsics, pose)
    origins, directions = (part.float() for part in rays)
    t = nearest_hits(origins, directions)
    hit = t.isfinite()
    grey = torch.zeros(len(t), dtype=torch.uint8)
    grey[hit] = painted((origins + t[:, None] * directions)[hit])
    image = grey.reshape(height, width, 1).expand(-1, -1, 3)
    return np.ascontiguousarray(image), hit.reshape(height, width).numpy(), intrinsics, pose


@pytest.fixture(scope="module")
def scene():
    turns = 2.399963 * torch.arange(28).double()
    lifts = torch.linspace(0.3, 1.15, 28).double()
    centers = 3.0 * torch.stack([lifts.cos() * turns.cos(), lifts.cos() * turns.sin(), lifts.sin()], -1)
    images, masks, intrinsics, poses = zip(*(looked_at(center) for center in centers), strict=True)
    names = [str(view) for view in range(len(images))]
    world = torch.eye(4).double()
    return Scene(list(images), list(masks), torch.stack(intrinsics), torch.stack(poses), world, names)


def shape_of(scene):
    """Of depth maps alone, without rounds."""
    return initial_shape(scene, resolution=RESOLUTION, rounds=())


@pytest.fixture(scope="module")
def distances(scene):
    return shape_of(scene).distances


@pytest.fixture(scope="module")
def truth():
    """Signed distances to the nearest box, a bound inside."""
    axis = torch.linspace(-1.0, 1.0, RESOLUTION)
    return box_distances(torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), -1))


def box_distances(points):
    lower, upper = BOXES[:, 0], BOXES[:, 1]
    q = (points[..., None, :] - (lower + upper) / 2).abs() - (upper - lower) / 2
    return (q.clamp_min(0).norm(dim=-1) + q.amax(-1).clamp_max(0)).amin(-1)


def yard():
    """Indices of vertices well within the tray."""
    axis = torch.linspace(-1.0, 1.0, RESOLUTION)
    across, up = axis.abs() < 0.35, (axis > -0.12) & (axis < 0.02)
    return across[:, None, None] & across[None, :, None] & up[None, None, :]


def values_along_post(distances):
    points = torch.tensor([0.55, 0.55, 0.0]) + torch.linspace(0.13, 0.47, 40)[:, None] * torch.tensor([0.0, 0.0, 1.0])
    grid = points.flip(-1)[None, None, None]
    return torch.nn.functional.grid_sample(distances[None, None], grid, align_corners=True).flatten()


def test_the_hull_contains_the_object_and_its_closed_yard(scene, truth):
    hull = torch.from_numpy(hull_values(scene, RESOLUTION))
    assert (hull[truth < 0] < 0).all() and (hull[yard()] < 0).all()


def test_two_wrong_masks_in_a_hundred_do_not_cut_the_hull(scene, truth):
    views = [*range(28), *range(28)]
    doubled = scene.subset(views)
    doubled.masks[0] = np.roll(doubled.masks[0], 40, axis=1)
    assert (torch.from_numpy(hull_values(doubled, RESOLUTION))[truth < 0] < 0).all()


def test_a_limited_number_of_views_from_all_around_makes_the_hull_of_many(scene, monkeypatch):
    assert spread_views(scene, 28) == list(range(28))
    angles = torch.linspace(0, 2 * math.pi, 1001).double()[:-1]
    poses = torch.eye(4).double().repeat(1000, 1, 1)
    poses[:, 0, 3], poses[:, 1, 3] = angles.cos(), angles.sin()
    many = spread_views(replace(scene, images=scene.images[:1] * 1000, camera_to_scene=poses), 8)
    assert torch.diff(torch.tensor(many)).min() >= 125 // 2 and len(many) == 8
    again = scene.subset([view for view in range(28) for _ in range(2)])  # each camera twice
    monkeypatch.setattr(visual_hull, "MOST_VIEWS", 28)
    seen, outline = [], visual_hull._outline
    monkeypatch.setattr(visual_hull, "_outline", lambda s, view: seen.append(view) or outline(s, view))
    hull = hull_values(again, 16)
    assert len(seen) == 28 and np.array_equal(hull, hull_values(scene, 16))


def test_images_open_the_yard(distances):
    assert (distances[yard()] > 0).float().mean() > 0.95


def test_the_object_is_kept(distances, truth):
    assert (distances[truth < -0.02] < 0).float().mean() > 0.99
    assert float(distances[truth < 0].max()) < 0.05


def test_a_thin_post_survives(distances):
    # It is 1.4 steps of the lattice wide.
    values = values_along_post(distances)
    assert (values < 0).float().mean() > 0.7 and values.max() < 0.25 * 2.0 / (RESOLUTION - 1)


def test_without_masks_images_alone_open_the_yard_and_keep_the_object(scene, truth):
    distances = shape_of(replace(scene, masks=None)).distances
    assert (distances[yard()] > 0).float().mean() > 0.95
    assert (distances[truth < -0.02] < 0).float().mean() > 0.98


def test_the_visual_hull_stays_where_nothing_can_be_matched(scene):
    grey = replace(scene, images=[np.full_like(image, 128) for image in scene.images])
    hull = hull_values(scene, RESOLUTION)
    found = shape_of(grey)
    assert ((found.distances.numpy() < 0) != (hull < 0)).mean() < 5e-3 and len(found.points.points) == 0


def test_images_without_texture_and_masks_are_an_error(scene):
    grey = replace(scene, images=[np.full_like(image, 128) for image in scene.images], masks=None)
    with pytest.raises(InputError, match="nothing could be matched"):
        shape_of(grey)


def test_rounds_bring_the_surface_nearer_and_points_lie_on_it(scene):
    coarse = shape_of(scene)
    fine = initial_shape(scene, resolution=RESOLUTION, rounds=(Round(160, 4, 0.5, 7, 64),))
    for shape in (coarse, fine):
        assert box_distances(torch.from_numpy(shape.points.points)).abs().median() < 0.02
    assert len(fine.distances) == 64 and fine.is_visible.any() and 0.003 < fine.pixel < 0.02
    facing = (fine.points.normals * fine.points.points).sum(-1)
    assert np.abs(np.linalg.norm(fine.points.normals, axis=-1) - 1.0).max() < 1e-3 and len(facing) > 500


def test_the_same_images_give_the_same_shape_and_each_stage_says_what_it_found(scene, distances):
    lines = []
    again = initial_shape(scene, lines.append, RESOLUTION, ())
    assert torch.equal(again.distances, distances) and len(lines) == 3
    assert "depth maps of 28 views" in lines[0] and all(line.startswith("initial shape: ") for line in lines)


def test_the_resolution_is_honoured(scene):
    found = initial_shape(scene.subset([0, 9, 18, 27]), None, 21, ()).distances
    assert found.shape == (21, 21, 21) and found.dtype == torch.float32 and found[0, 0, 0] > 0.5


def test_distances_to_a_sphere_are_right_to_a_step_and_mostly_much_closer():
    axis = np.linspace(-1.0, 1.0, 40)
    radius = np.sqrt(axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2)
    found = distances_to_zeros((radius**2 - 0.36).astype(np.float32), axis[1] - axis[0])
    errors, step = abs(found - (radius - 0.6)), axis[1] - axis[0]
    assert errors.max() < step and np.median(errors) < 0.1 * step
    near = abs(radius - 0.6) < step
    assert errors[near].max() < 0.5 * step and np.median(errors[near]) < 0.03 * step
    assert ((found < 0) == (radius**2 < 0.36)).all()


def test_masks_without_a_common_point_are_an_error(scene):
    masks = [np.roll(mask, 60 if view % 2 else -60, axis=1) & (np.arange(160) // 80 == view % 2)
             for view, mask in enumerate(scene.masks)]  # fmt: skip
    with pytest.raises(InputError, match="no point in common"):
        shape_of(replace(scene, masks=masks))


def test_a_resolution_of_two_is_an_error(scene):
    with pytest.raises(InputError, match="at least 8"):
        initial_shape(scene, None, 2, ())
