import cv2
import numpy as np
import pytest
import torch
import trimesh

from neus.errors import InputError
from neus.geometry.cameras import project
from neus.geometry.cup import BOUNDING_RADIUS, STIRRER_TOP, object_sdf, part_distances
from neus.geometry.rays import pixel_centers, rays_from_pixels
from neus.geometry.similarity import transform_points
from neus.meshing.cubes import marching_cubes
from neus.rendering.sphere_tracing import trace
from neus.scenes import synthetic
from neus.scenes.idr import read_idr
from neus.scenes.synthetic import render_scene, world_sdf, write_synthetic

SIZE = {"views": 6, "width": 40, "height": 30, "antialias": 1}
PARTS = ("cup", "handle", "stirrer", "sugar")


@pytest.fixture(scope="module")
def scene():
    return render_scene(**SIZE)


@pytest.fixture(scope="module")
def mesh():
    """The object's surface on a lattice fine enough for its joints, which overlap by 0.004 to 0.012."""
    axis = torch.linspace(-0.95, 0.95, 113, dtype=torch.float64)
    slabs = [object_sdf(torch.stack(torch.meshgrid(x[None], axis, axis, indexing="ij"), -1))[0] for x in axis]
    vertices, faces = marching_cubes(torch.stack(slabs).numpy())
    return trimesh.Trimesh(vertices * (axis[1] - axis[0]).item() - 0.95, faces)


@pytest.fixture(scope="module")
def surface(mesh):
    """(N, 3) points on the object: the mesh's vertices, moved along the gradient until the distance is zero."""
    points = torch.from_numpy(np.array(mesh.vertices))
    for _ in range(4):
        points, distances = points.requires_grad_(), None
        distances = object_sdf(points)
        (gradients,) = torch.autograd.grad(distances.sum(), points)
        points = (points - distances.unsqueeze(-1) * gradients).detach()
    return points[object_sdf(points).abs() < 1e-7]


def random_directions(*shape, seed):
    directions = torch.randn(*shape, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.normalize(directions, dim=-1)


def near_surface(surface, reach=0.1, n=1500):
    """(n, 3) points within about `reach` of the surface, on both sides of it."""
    generator = torch.Generator().manual_seed(0)
    chosen = surface[torch.randint(len(surface), (n,), generator=generator)]
    lengths = reach * torch.rand(n, 1, dtype=torch.float64, generator=generator)
    return chosen + lengths * random_directions(n, seed=1)


def test_the_object_is_one_piece_with_two_holes(mesh):
    assert mesh.is_watertight and mesh.body_count == 1
    # Euler's number is 2 - 2 genus: the handle's hole, and the one under the stirrer, which touches floor and rim.
    assert mesh.euler_number == -2


@pytest.mark.parametrize(
    "part, place",
    [
        ("handle", (0.45, 0.0, 0.16)),
        ("handle", (0.41, 0.0, -0.24)),
        ("stirrer", (-0.33, 0.27, 0.33)),
        ("stirrer", (0.115, -0.0965, -0.44)),
        ("sugar", (-0.226, -0.485, -0.5)),
    ],
)
def test_each_part_is_joined_to_the_cup_where_it_should_be(part, place):
    generator = torch.Generator().manual_seed(0)
    points = torch.tensor(place) + 0.06 * (2.0 * torch.rand(100_000, 3, generator=generator) - 1.0)
    shared_depth = part_distances(points)[:, [0, PARTS.index(part)]].amax(dim=-1)
    assert shared_depth.min() < -0.003


def test_the_handle_does_not_reach_through_the_wall():
    radius, angle, z = (torch.rand(200_000, generator=torch.Generator().manual_seed(s)) for s in range(3))
    radius, angle, z = 0.45 * radius.sqrt(), 0.6 * (angle - 0.5), 0.7 * z - 0.4
    distances = part_distances(torch.stack([radius * angle.cos(), radius * angle.sin(), z], dim=-1))
    is_in_the_cup_hollow = (distances[:, 0] > 0) & (radius < 0.38)
    assert is_in_the_cup_hollow.sum() > 10_000
    assert distances[is_in_the_cup_hollow, 1].min() > 0


def test_the_object_lies_within_its_bounding_sphere_and_is_centred(surface):
    assert 0.75 < surface.norm(dim=-1).max() < BOUNDING_RADIUS
    middle = (surface.amax(dim=0) + surface.amin(dim=0)) / 2
    assert middle.norm() < 0.05


def test_no_surface_is_nearer_than_the_distance_says(surface):
    points = near_surface(surface)
    distances = object_sdf(points)
    # The ball about each point, all but 1e-3 of it, lies on the point's own side; signs alone decide it.
    fractions = torch.rand(len(points), 64, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(2)) ** (1 / 3)
    reach = (distances.abs() - 1e-3).clamp_min(0.0)[:, None, None]
    inside_the_ball = points[:, None] + reach * fractions * random_directions(len(points), 64, seed=3)
    assert torch.equal(object_sdf(inside_the_ball) > 0, (distances > 0)[:, None].expand(-1, 64))


def test_a_surface_is_as_near_as_the_distance_says_but_where_parts_overlap(surface):
    points = near_surface(surface).requires_grad_()
    distances = object_sdf(points)
    (gradients,) = torch.autograd.grad(distances.sum(), points)
    points, distances = points.detach(), distances.detach()
    # Of points no further than 1e-3 beyond the distance, some lie on the other side; signs alone decide it.
    nearest = points - (distances + 5e-4 * distances.sign()).unsqueeze(-1) * gradients
    beyond = nearest[:, None] + 5e-4 * random_directions(len(points), 32, seed=4)
    is_crossed = ((object_sdf(beyond) > 0) != (distances > 0)[:, None]).any(dim=-1)
    first, second = part_distances(points).sort(dim=-1).values[:, :2].unbind(-1)
    is_in_knob = (points - torch.tensor(STIRRER_TOP)).norm(dim=-1) < 0.1
    # Inside, the depth is exact where no other part, and no knob, covers the nearest surface.
    is_exact = (first > 0) | ((second > first.abs()) & ~is_in_knob)
    assert is_exact.double().mean() > 0.95 and (first[is_exact] < 0).sum() > 100
    assert is_crossed[is_exact].all()


def test_world_distances_are_scene_distances_in_millimetres(scene, surface):
    points = near_surface(surface, n=100)
    in_world = transform_points(scene.scene_to_world, points)
    torch.testing.assert_close(world_sdf(in_world), 60.0 * object_sdf(points))


def test_masks_are_the_pixels_whose_rays_hit_the_object(scene):
    for view in range(len(scene)):
        camera = scene.camera(view)
        pixels = pixel_centers(camera.width, camera.height).reshape(-1, 2)
        rays = rays_from_pixels(pixels, camera.intrinsics, camera.camera_to_scene)
        near, far = (torch.full_like(rays[0][:, 0], t) for t in (1.5, 4.5))
        thinner, thicker = (
            trace(lambda p, d=d: object_sdf(p) - d, *rays, near, far).hit.numpy() for d in (-1e-3, 1e-3)
        )
        mask = scene.masks[view].reshape(-1)
        assert mask[thinner].all() and not mask[~thicker].any()
        assert 0.9 * thicker.sum() < mask.sum() > 100


def test_the_surface_projects_onto_the_masks(surface):
    scene = render_scene(views=2, width=80, height=60, antialias=2)
    for view in range(2):
        pixels, depth = project(surface, scene.camera(view))
        assert (depth > 0).all() and (pixels > 0).all() and (pixels < torch.tensor([80.0, 60.0])).all()
        x, y = pixels.floor().long().unbind(-1)
        covered = np.zeros((60, 80), bool)
        covered[y, x] = True
        assert not (scene.masks[view] & ~covered).any()
        # Pixels of the outline are touched by the object, but not half covered: they are the mask's neighbours.
        around = cv2.dilate(scene.masks[view].astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
        assert around[covered].mean() > 0.99


def test_every_part_of_the_surface_is_seen_by_some_view(surface):
    scene = render_scene(views=16, width=4, height=4, antialias=1)
    part = part_distances(surface).argmin(dim=-1)
    generator = torch.Generator().manual_seed(0)
    for index, name in enumerate(PARTS):
        of_part = surface[part == index]
        targets = of_part[torch.randperm(len(of_part), generator=generator)[:60]]
        centers = scene.camera_to_scene[:, None, :3, 3].expand(-1, len(targets), -1)
        distances = (targets - centers).norm(dim=-1)
        directions = (targets - centers) / distances.unsqueeze(-1)
        near, far = distances.flatten() - 1.8, distances.flatten() + 0.1
        result = trace(
            object_sdf, centers.reshape(-1, 3), directions.reshape(-1, 3), near, far, tolerance=1e-3, max_steps=50
        )
        is_visible = result.hit & (result.t > distances.flatten() - 0.02)
        assert is_visible.reshape(len(scene), -1).any(dim=0).double().mean() > 0.8, name


def test_views_differ_and_are_full_of_contrast(scene):
    for image, mask in zip(scene.images, scene.masks, strict=True):
        assert image[mask].std() > 30 and image[~mask].std() > 10
        assert 0.1 < mask.mean() < 0.5


def test_cameras_look_at_the_centre_from_above_and_below(scene):
    heights = []
    for view in range(len(scene)):
        camera = scene.camera(view)
        torch.testing.assert_close(camera.forward, -torch.nn.functional.normalize(camera.center, dim=0))
        assert synthetic.NEAREST <= camera.center.norm() <= synthetic.FURTHEST
        heights.append(float(camera.center[2]))
    assert min(heights) < -0.4 and max(heights) > 2.0


def test_the_same_seed_gives_the_same_images_and_another_gives_others(scene):
    again, other = render_scene(**SIZE), render_scene(**SIZE, seed=1)
    assert all(np.array_equal(a, b) for a, b in zip(scene.images, again.images, strict=True))
    assert not torch.allclose(scene.camera_to_scene, other.camera_to_scene)


def test_a_scene_written_and_read_back_is_the_same(scene, tmp_path):
    folder = write_synthetic(tmp_path / "new" / "cup", **SIZE)
    read = read_idr(folder)
    assert read.names == scene.names and len(read) == len(scene)
    torch.testing.assert_close(read.scene_to_world, scene.scene_to_world)
    pixels = pixel_centers(SIZE["width"], SIZE["height"])
    for view in range(len(scene)):
        assert np.array_equal(read.images[view], scene.images[view])
        assert np.array_equal(read.masks[view], scene.masks[view])
        for found, expected in zip(
            rays_from_pixels(pixels, read.intrinsics[view], read.camera_to_scene[view]),
            rays_from_pixels(pixels, scene.intrinsics[view], scene.camera_to_scene[view]),
            strict=True,
        ):
            torch.testing.assert_close(found, expected, atol=1e-9, rtol=0.0)


def test_written_projections_take_integer_pixel_centres_as_in_neus(tmp_path):
    folder = write_synthetic(tmp_path / "cup", views=1, width=40, height=30, antialias=1)
    with np.load(folder / "cameras_sphere.npz") as cameras:
        projection = cameras["world_mat_0"] @ cameras["scale_mat_0"]
    x, y, depth = (projection @ [0.0, 0.0, 0.0, 1.0])[:3]
    # The camera looks at the centre, which so falls on the raster's middle: between pixels 19 and 20, and 14 and 15.
    assert (x / depth, y / depth) == pytest.approx((19.5, 14.5))


def test_nothing_but_the_folder_is_left_behind(tmp_path):
    write_synthetic(tmp_path / "cup", views=1, width=8, height=6, antialias=1)
    assert [entry.name for entry in tmp_path.iterdir()] == ["cup"]


def test_a_folder_with_something_in_it_is_left_alone(tmp_path):
    (tmp_path / "precious").touch()
    with pytest.raises(InputError, match="already exists"):
        write_synthetic(tmp_path, **SIZE)
    assert [entry.name for entry in tmp_path.iterdir()] == ["precious"]


def test_an_empty_folder_is_filled(tmp_path):
    (tmp_path / "cup").mkdir()
    assert len(read_idr(write_synthetic(tmp_path / "cup", views=1, width=8, height=6, antialias=1))) == 1


@pytest.mark.parametrize("name", ["views", "width", "height", "antialias"])
def test_counts_below_one_are_refused(name):
    with pytest.raises(InputError, match="expected at least 1"):
        render_scene(**{**SIZE, name: 0})
