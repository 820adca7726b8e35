import math

import pytest
import torch

from neus.geometry import shapes

# A cup's half interval: a bottom, a wall, a hollow; not convex.
CUP = [(0.0, -0.5), (0.4, -0.5), (0.6, 0.5), (0.5, 0.5), (0.32, -0.4), (0.0, -0.4)]
Z = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)
# Every shape whose distance is exact on both sides.
EXACT = {
    "sphere": lambda p: shapes.sphere(p, 0.7),
    "plane": lambda p: shapes.plane(p, torch.tensor([0.6, 0.0, 0.8], dtype=torch.float64), 0.2),
    "box": lambda p: shapes.box(p, (0.5, 0.3, 0.7)),
    "rounded box": lambda p: shapes.box(p, (0.5, 0.3, 0.7), rounding=0.1),
    "cylinder": lambda p: shapes.cylinder(p, 0.4, 0.6),
    "capsule": lambda p: shapes.capsule(p, (-0.3, 0.2, 0.1), (0.5, -0.1, 0.4), 0.2),
    "torus": lambda p: shapes.torus(p, 0.6, 0.2),
    "arc": lambda p: shapes.torus(p, 0.6, 0.2, half_arc=1.1),
    "revolution": lambda p: shapes.revolution(p, CUP),
}


def vector(*numbers):
    return torch.tensor(numbers, dtype=torch.float64)


def random_points(n=4000, dimensions=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return 2.4 * torch.rand(n, dimensions, dtype=torch.float64, generator=generator) - 1.2


@pytest.mark.parametrize(
    ("distance", "expected"),
    [
        (shapes.sphere(vector(0.0, 0.0, 0.0), 2.0), -2.0),
        (shapes.sphere(vector(1.0, 2.0, 2.0), 2.0), 1.0),
        (shapes.plane(vector(7.0, 7.0, -2.0), Z, 1.0), -3.0),
        (shapes.box(vector(1.0, 2.0, 2.0), (1.0, 1.0, 1.0)), math.sqrt(2.0)),
        (shapes.box(vector(2.0, 2.0, 2.0), (1.0, 1.0, 1.0)), math.sqrt(3.0)),
        (shapes.box(vector(2.0, 2.0, 2.0), (1.0, 1.0, 1.0), rounding=0.5), 1.5 * math.sqrt(3.0) - 0.5),
        (shapes.box(vector(0.0, 0.0, 0.0), (3.0, 1.0, 2.0), rounding=0.5), -1.0),
        (shapes.cylinder(vector(0.0, 3.0, 0.2), 1.0, 2.0), 2.0),
        (shapes.cylinder(vector(0.0, 0.3, 1.9), 1.0, 2.0), -0.1),
        (shapes.capsule(vector(0.0, 0.0, -2.0), (0.0, 0.0, 0.0), (0.0, 0.0, 9.0), 0.5), 1.5),
        (shapes.torus(vector(0.0, 0.0, 0.0), 2.0, 0.5), 1.5),
        (shapes.torus(vector(0.0, -2.0, 0.0), 2.0, 0.5), -0.5),
        (shapes.torus(vector(0.0, 2.0, 0.3), 2.0, 0.5, half_arc=math.pi / 2), -0.2),
        (shapes.torus(vector(-2.0, 2.0, 0.0), 2.0, 0.5, half_arc=math.pi / 2), 1.5),
    ],
)
def test_distances_to_known_points(distance, expected):
    assert float(distance) == pytest.approx(expected)


@pytest.mark.parametrize("name", EXACT)
def test_the_gradient_of_a_distance_has_length_one(name):
    points = random_points().requires_grad_()
    (gradients,) = torch.autograd.grad(EXACT[name](points).sum(), points)
    torch.testing.assert_close(gradients.norm(dim=-1), torch.ones(len(points), dtype=torch.float64))


@pytest.mark.parametrize("name", EXACT)
def test_walking_the_distance_against_the_gradient_ends_on_the_surface(name):
    # True of exact distances only, on both sides.
    points = random_points().requires_grad_()
    distances = EXACT[name](points)
    (gradients,) = torch.autograd.grad(distances.sum(), points)
    on_surface = points.detach() - distances.detach().unsqueeze(-1) * gradients
    assert float(EXACT[name](on_surface).abs().max()) < 1e-9
    assert (distances > 0).any() and (distances < 0).any()


@pytest.mark.parametrize("name", EXACT)
def test_no_two_points_differ_by_more_than_their_distance(name):
    one, other = random_points(seed=1), random_points(seed=2)
    change = (EXACT[name](one) - EXACT[name](other)).abs()
    assert (change <= (one - other).norm(dim=-1) + 1e-12).all()


@pytest.mark.parametrize("name", EXACT)
def test_any_batch_shape_and_dtype_is_welcome(name):
    points = random_points(24)
    batched = EXACT[name](points.float().reshape(2, 3, 4, 3))
    assert batched.dtype == torch.float32
    torch.testing.assert_close(batched.reshape(-1).double(), EXACT[name](points), atol=1e-5, rtol=0.0)


@pytest.mark.parametrize("name", EXACT)
def test_gradients_stay_finite_on_axes_and_corners(name):
    steps = torch.tensor([-0.6, -0.5, -0.4, 0.0, 0.3, 0.4, 0.5, 0.6])
    points = torch.cartesian_prod(steps, steps, steps).requires_grad_()
    (gradients,) = torch.autograd.grad(EXACT[name](points).sum(), points)
    assert torch.isfinite(gradients).all() and float(gradients.norm(dim=-1).max()) < 1 + 1e-4


def segment_points(corners, n=4000):
    """(M, 2) points along the edges of a polygon."""
    start, end = vector(*sum(corners, ())).reshape(-1, 2), vector(*sum(corners[1:] + corners[:1], ())).reshape(-1, 2)
    fraction = torch.linspace(0.0, 1.0, n // len(corners), dtype=torch.float64)[:, None, None]
    return (start + fraction * (end - start)).reshape(-1, 2)


def test_a_polygon_is_as_far_as_the_nearest_point_of_its_edges():
    corners = [(-0.5, -0.5), (0.7, -0.4), (0.1, 0.0), (0.6, 0.8), (-0.6, 0.5)]
    points = random_points(1000, dimensions=2)
    nearest = torch.cdist(points, segment_points(corners)).amin(-1)
    found = shapes.polygon(points, corners)
    torch.testing.assert_close(found.abs(), nearest, atol=1e-3, rtol=0.0)
    torch.testing.assert_close(shapes.polygon(points, corners[::-1]), found)


def test_a_point_is_inside_a_polygon_when_its_edges_turn_once_around_it():
    corners = [(-0.5, -0.5), (0.7, -0.4), (0.1, 0.0), (0.6, 0.8), (-0.6, 0.5)]
    points = random_points(1000, dimensions=2)
    offsets = vector(*sum(corners, ())).reshape(-1, 1, 2) - points
    angles = torch.atan2(offsets[..., 1], offsets[..., 0])
    turns = torch.remainder(angles.roll(-1, dims=0) - angles + math.pi, 2 * math.pi) - math.pi
    assert torch.equal(shapes.polygon(points, corners) < 0, turns.sum(0).abs() > math.pi)


def test_a_solid_of_revolution_is_as_far_as_the_nearest_point_swept():
    # Brute force: the half interval at many angles, without the edges on the axis, which are no surface.
    outline = segment_points(CUP[:-1] + [CUP[-1]], 600)
    outline = outline[outline[:, 0] > 0]
    angles = torch.linspace(0.0, 2 * math.pi, 361, dtype=torch.float64)[:-1]
    x, y = outline[:, :1] * angles.cos(), outline[:, :1] * angles.sin()
    swept = torch.stack([x, y, outline[:, 1:].expand_as(x)], dim=-1).reshape(-1, 3)
    points = random_points(150)
    found = shapes.revolution(points, CUP)
    torch.testing.assert_close(found.abs(), torch.cdist(points, swept).amin(-1), atol=0.01, rtol=0.0)
    # Inside is what lies in the wall or in the bottom.
    wall = (points[:, 2].abs() < 0.45) & ((points[:, :2].norm(dim=-1) - (0.455 + 0.19 * points[:, 2])).abs() < 0.02)
    assert wall.any() and (found[wall] < 0).all()


def test_a_turned_rectangle_is_a_cylinder():
    points = random_points()
    turned = shapes.revolution(points, [(0.0, -0.6), (0.4, -0.6), (0.4, 0.6), (0.0, 0.6)])
    torch.testing.assert_close(turned, shapes.cylinder(points, 0.4, 0.6))


def test_shapes_about_the_z_axis_do_not_change_when_turned():
    points, angle = random_points(), 0.7
    turn = torch.tensor([[math.cos(angle), -math.sin(angle), 0], [math.sin(angle), math.cos(angle), 0], [0, 0, 1]])
    for name in ("sphere", "cylinder", "torus", "revolution"):
        torch.testing.assert_close(EXACT[name](points @ turn.double()), EXACT[name](points), atol=1e-7, rtol=0.0)


def test_together_shared_and_without_are_about_sets():
    points = random_points()
    ball, cube = shapes.sphere(points, 0.8), shapes.box(points, (0.7, 0.7, 0.7))
    assert torch.equal(shapes.union(ball, cube) < 0, (ball < 0) | (cube < 0))
    assert torch.equal(shapes.intersection(ball, cube) < 0, (ball < 0) & (cube < 0))
    assert torch.equal(shapes.difference(ball, cube) < 0, (ball < 0) & (cube > 0))


def test_a_union_is_exact_outside():
    points = random_points()
    left, right = points + 0.5 * vector(1.0, 0.0, 0.0), points - 0.5 * vector(1.0, 0.0, 0.0)
    joined = shapes.union(shapes.sphere(left, 0.3), shapes.sphere(right, 0.4))
    expected = torch.minimum(left.norm(dim=-1) - 0.3, right.norm(dim=-1) - 0.4)
    torch.testing.assert_close(joined, expected)
