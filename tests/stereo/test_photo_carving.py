from dataclasses import replace

import numpy as np
import pytest
import torch

from neus.geometry.poses import look_at
from neus.geometry.rays import pixel_centers, rays_from_pixels
from neus.scenes.scene import Scene
from neus.stereo.photo_carving import air_carved, photo_carved

RESOLUTION = 64
N_VIEWS, SIZE = 16, (96, 72)
AXIS = torch.linspace(-1.0, 1.0, RESOLUTION)
GRID = torch.stack(torch.meshgrid(AXIS, AXIS, AXIS, indexing="ij"), -1)
# A box open at the top, whose walls the sweep has seen, and the fill that hides its floor.
OUTER, WALL, FLOOR, TOP = 0.5, 0.1, -0.15, 0.15


def sphere(points):
    return points.norm(dim=-1) - 0.6


def open_box(points):
    x, y, z = points.unbind(-1)
    block = torch.maximum(torch.maximum(x.abs(), y.abs()) - OUTER, (z + 0.05).abs() - 0.2)
    hollow = torch.maximum(torch.maximum(x.abs(), y.abs()) - (OUTER - WALL), FLOOR - z)
    return torch.maximum(block, -hollow)


def filled_box(points):
    x, y, z = points.unbind(-1)
    return torch.maximum(torch.maximum(x.abs(), y.abs()) - OUTER, (z + 0.05).abs() - 0.2)


def first_hits(sdf, origins, directions):
    t = torch.full((len(origins),), 1.6)
    for _ in range(80):
        t = t + 0.9 * sdf(origins + t[:, None] * directions).clamp_max(0.5)
    return t, sdf(origins + t[:, None] * directions).abs() < 0.01


def painted(points, seed=3):
    generator = torch.Generator().manual_seed(seed)
    waves = torch.nn.functional.normalize(torch.randn(3, 3, 12, generator=generator), dim=1)
    waves = waves * torch.linspace(10.0, 30.0, 12)
    return (128 + 50 * torch.sin(points @ waves).sum(-1).T / 1.7).clamp(0, 255).byte()


def reflected(points, directions, view):
    """A flat mirror's image of a painted world: another in each view."""
    return painted(points + 0.8 * directions, seed=view)


def dome(origins, directions):
    """A painted room around, seen where nothing is hit; its pattern is as coarse as the images are small."""
    along = (origins * directions).sum(-1)
    t = (along**2 - origins.square().sum(-1) + 4.0**2).sqrt() - along
    return painted(0.15 * (origins + t[:, None] * directions))


def photographed(sdf, colors, background=None):
    images, masks, poses = [], [], []
    width, height = SIZE
    intrinsics = torch.tensor([[1.6 * height, 0, width / 2], [0, 1.6 * height, height / 2], [0, 0, 1]]).double()
    for view in range(N_VIEWS):
        turn, lift = torch.tensor(2.399963 * view).double(), torch.tensor(0.3 + 1.0 * view / N_VIEWS).double()
        center = 2.6 * torch.stack([lift.cos() * turn.cos(), lift.cos() * turn.sin(), lift.sin()])
        pose = look_at(center, torch.zeros(3).double(), torch.tensor([0.0, 0.0, 1.0]).double())
        rays = rays_from_pixels(pixel_centers(width, height).reshape(-1, 2), intrinsics, pose)
        origins, directions = (part.float() for part in rays)
        t, hit = first_hits(sdf, origins, directions)
        image = background(origins, directions) if background else torch.zeros(len(t), 3, dtype=torch.uint8)
        image[hit] = colors((origins + t[:, None] * directions)[hit], directions[hit], view)
        images.append(image.reshape(height, width, 3).numpy())
        masks.append(hit.reshape(height, width).numpy())
        poses.append(pose)
    names = [str(view) for view in range(N_VIEWS)]
    k = intrinsics.expand(N_VIEWS, 3, 3).clone()
    return Scene(images, masks, k, torch.stack(poses), torch.eye(4).double(), names)


@pytest.fixture(scope="module")
def box_scene():
    return photographed(open_box, lambda points, directions, view: painted(points))


@pytest.fixture(scope="module")
def box_start():
    """The filled box, of which the outside is seen to two steps' depth, and nothing of the fill."""
    values, truth = filled_box(GRID), open_box(GRID)
    is_visible = (truth < 0) & (values > -0.07) & (GRID[..., 2] < TOP - 0.04)
    return values.numpy().astype(np.float32), is_visible.numpy()


@pytest.fixture(scope="module")
def hollowed(box_scene, box_start):
    return photo_carved(*box_start, box_scene)


def test_a_filled_hollow_with_a_painted_floor_is_opened(hollowed):
    hollow = (filled_box(GRID) < 0) & (open_box(GRID) > 0.03)
    assert (hollowed[hollow.numpy()] > 0).mean() > 0.85


def test_floor_and_walls_of_the_hollow_stay(hollowed):
    assert (hollowed[(open_box(GRID) < -0.03).numpy()] < 0).mean() > 0.99


def test_matter_is_never_added_and_what_was_seen_stays(hollowed, box_start):
    values, is_visible = box_start
    assert not ((values >= 0) & (hollowed < 0)).any()
    assert (hollowed[is_visible] < 0).mean() > 0.99 and (hollowed[hollowed < 0] == values[hollowed < 0]).all()


def test_a_painted_sphere_stays_as_it_is():
    scene = photographed(sphere, lambda points, directions, view: painted(points))
    values = sphere(GRID).numpy().astype(np.float32)
    is_visible = (values < 0) & (GRID[..., 0] > 0).numpy()
    assert (photo_carved(values, is_visible, scene) == values).mean() > 0.9999


@pytest.mark.parametrize("n_proven", ["all of it", "half of it"])
def test_a_mirror_is_not_eaten(n_proven):
    """Its colours differ in every view at any depth, be the limit learnt on it or on a painted half."""
    is_matt = torch.zeros_like(GRID[..., 0], dtype=torch.bool) if n_proven == "all of it" else GRID[..., 0] < 0

    def colors(points, directions, view):
        mirror = reflected(points, directions, view)
        return mirror if n_proven == "all of it" else torch.where(points[:, :1] < 0, painted(points), mirror)

    scene = photographed(filled_box, colors)
    values = filled_box(GRID).numpy().astype(np.float32)
    is_visible = (values < 0) & (values > -0.07)
    is_visible &= is_matt.numpy() if n_proven == "half of it" else (GRID[..., 1] < 0).numpy()
    carved = photo_carved(values, is_visible, scene)
    assert (carved[values < 0] < 0).mean() > 0.995


def test_without_texture_nothing_is_drilled(box_start, box_scene):
    grey = replace(box_scene, images=[np.full_like(image, 128) for image in box_scene.images])
    np.testing.assert_array_equal(photo_carved(*box_start, grey), box_start[0])


def test_where_all_was_seen_or_nothing_proven_the_shape_is_unchanged(box_start, box_scene):
    values, _ = box_start
    np.testing.assert_array_equal(photo_carved(values, values < 0, box_scene), values)
    np.testing.assert_array_equal(photo_carved(values, np.zeros(values.shape, dtype=bool), box_scene), values)


def test_the_order_of_views_and_the_number_of_threads_change_nothing(hollowed, box_start, box_scene):
    n = torch.get_num_threads()
    try:
        torch.set_num_threads(3 - min(n, 2))
        turned = photo_carved(*box_start, box_scene)
    finally:
        torch.set_num_threads(n)
    np.testing.assert_array_equal(turned, hollowed)
    shuffled = photo_carved(*box_start, box_scene.subset(list(reversed(range(N_VIEWS)))))
    # Sums in another order differ by rounding: a vertex may fall on the other side of the limit.
    assert ((shuffled < 0) != (hollowed < 0)).mean() < 1e-3


@pytest.fixture(scope="module")
def ball():
    """The ball that is looked for, of which a sweep has seen nothing."""
    values = (GRID.norm(dim=-1) - 0.98).numpy().astype(np.float32)
    return values, np.zeros(values.shape, dtype=bool)


def unmasked(*what):
    return replace(photographed(*what), masks=None)


def bare(points, directions, view):
    """White without any texture, and a little light from above: nothing for a sweep to match."""
    return (235 + 15 * points[:, 2:]).expand(-1, 3).byte()


def test_air_before_a_painted_room_goes_and_a_bare_object_stays(ball):
    left = air_carved(*ball, unmasked(sphere, bare, dome)) < 0
    radius, z = GRID.norm(dim=-1).numpy(), GRID[..., 2].numpy()
    # To a coarse step, 0.065 here.
    assert left[radius < 0.47].all() and left[radius < 0.55].mean() > 0.98
    # Below, no camera sees what is there.
    assert left[(radius > 0.7) & (radius < 0.95) & (z > 0)].mean() < 0.4


def test_air_before_black_stays_since_nothing_proves_it(ball):
    left = air_carved(*ball, unmasked(sphere, lambda points, directions, view: 0 * bare(points, directions, view)))
    np.testing.assert_array_equal(left, ball[0])


def test_next_to_no_matter_is_no_error():
    values = (GRID.norm(dim=-1) - 0.02).numpy().astype(np.float32)
    scene = unmasked(sphere, bare, dome)
    np.testing.assert_array_equal(air_carved(values, np.zeros(values.shape, dtype=bool), scene) < 0, False)


def test_a_painted_wall_is_no_air():
    """Edges of strong paint do not agree to the pixel, least of all on a coarse lattice."""
    scene = unmasked(sphere, lambda points, directions, view: painted(points), dome)
    values = sphere(GRID).numpy().astype(np.float32)
    left = air_carved(values, np.zeros(values.shape, dtype=bool), scene)
    assert (left[values < 0] < 0).mean() > 0.99


def test_what_the_sweep_has_seen_is_no_air(ball):
    values, _ = ball
    np.testing.assert_array_equal(air_carved(values, values < 0, unmasked(sphere, bare, dome)), values)
