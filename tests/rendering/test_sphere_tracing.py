import pytest
import torch

from neus.geometry import shapes
from neus.geometry.rays import intersect_sphere
from neus.rendering.sphere_tracing import trace

FAR = 6.0


def rays_to(targets, origin=(0.3, -0.2, -3.0)):
    """Rays from one point towards targets (N, 3), with the stretch [0, FAR]."""
    origins = torch.tensor(origin).expand(len(targets), 3)
    directions = torch.nn.functional.normalize(targets - origins, dim=-1)
    return origins, directions, torch.zeros(len(targets)), torch.full((len(targets),), FAR)


def random_targets(n=400, spread=1.5, seed=0):
    return spread * (2 * torch.rand(n, 3, generator=torch.Generator().manual_seed(seed)) - 1)


def ball(points):
    return shapes.sphere(points, 0.8)


def miss_distances(rays):
    """(N,) how far the rays pass from the centre of the ball."""
    return torch.linalg.cross(rays[0], rays[1]).norm(dim=-1)


def test_a_sphere_is_hit_at_the_closed_form_distance():
    rays = rays_to(random_targets())
    found = trace(ball, *rays)
    enters, _, hits = intersect_sphere(rays[0], rays[1], radius=0.8)
    # Grazing rays come within the tolerance of the sphere before they meet it, or without meeting it.
    is_clear, is_steep = (miss_distances(rays) - 0.8).abs() > 1e-3, miss_distances(rays) < 0.6
    assert torch.equal(found.hit[is_clear], hits[is_clear])
    assert 50 < int(is_steep.sum()) and int(hits.sum()) < 350
    assert float(ball(rays[0] + found.t.unsqueeze(-1) * rays[1])[found.hit].abs().max()) < 1e-4
    torch.testing.assert_close(found.t[is_steep], enters[is_steep], atol=2e-6, rtol=0.0)


def test_a_box_is_hit_at_the_closed_form_distance():
    half_sides = torch.tensor([0.5, 0.7, 0.3])
    rays = rays_to(random_targets())
    found = trace(lambda points: shapes.box(points, (0.5, 0.7, 0.3)), *rays, max_steps=256)
    # The slabs of Kay and Kajiya.
    ends = torch.stack([(-half_sides - rays[0]) / rays[1], (half_sides - rays[0]) / rays[1]])
    enters, leaves = ends.amin(0).amax(-1), ends.amax(0).amin(-1)
    is_clear = (leaves - enters).abs() > 0.02
    assert torch.equal(found.hit[is_clear], (enters < leaves)[is_clear])
    hits = is_clear & (enters < leaves)
    assert int(hits.sum()) > 50
    torch.testing.assert_close(found.t[hits], enters[hits], atol=5e-6, rtol=0.0)


def test_a_miss_tells_how_close_it_came():
    # Heights above the centre of the sphere, passed at distance 3.
    heights = torch.tensor([0.9, 1.2, 1.7])
    origins = torch.stack([torch.zeros(3), heights, torch.full((3,), -3.0)], dim=-1)
    directions = torch.tensor([0.0, 0.0, 1.0]).expand(3, 3)
    found = trace(ball, origins, directions, torch.zeros(3), torch.full((3,), FAR))
    assert not found.hit.any()
    # The visited points stand so dense that the least of them is near the true one.
    assert (found.closest >= heights - 0.8 - 1e-6).all() and (found.closest < heights - 0.8 + 0.1).all()
    at = origins + found.t.unsqueeze(-1) * directions
    torch.testing.assert_close(ball(at), found.closest)


def test_a_ray_that_starts_inside_hits_where_it_starts():
    targets = random_targets(20)
    origins, directions, near, far = rays_to(targets, origin=(0.1, 0.2, -0.3))
    found = trace(ball, origins, directions, near + 0.05, far)
    assert found.hit.all()
    torch.testing.assert_close(found.t, near + 0.05)


def test_what_lies_behind_or_beyond_the_stretch_is_not_hit():
    origin, forward = torch.tensor([[0.0, 0.0, 3.0]]), torch.tensor([[0.0, 0.0, 1.0]])
    assert not trace(ball, origin, forward, torch.zeros(1), torch.full((1,), FAR)).hit.any()
    assert trace(ball, origin, -forward, torch.zeros(1), torch.full((1,), 2.3)).hit.all()
    assert not trace(ball, origin, -forward, torch.zeros(1), torch.full((1,), 2.1)).hit.any()


def test_an_empty_stretch_is_a_miss_that_is_never_visited():
    origin, forward = torch.tensor([[0.0, 0.0, -3.0]]), torch.tensor([[0.0, 0.0, 1.0]])
    found = trace(ball, origin, forward, torch.tensor([4.0]), torch.tensor([1.0]))
    assert found.hit.tolist() == [False] and found.t.tolist() == [4.0] and found.closest.tolist() == [float("inf")]


def test_no_rays_give_no_hits():
    none = torch.zeros(0, 3)
    found = trace(ball, none, none, torch.zeros(0), torch.zeros(0))
    assert found.t.shape == found.hit.shape == found.closest.shape == (0,)


@pytest.mark.parametrize("thickness", [1e-2, 1e-3, 1e-5])
def test_a_plate_is_hit_however_thin(thickness):
    def plate(points):
        return shapes.box(points, (5.0, 5.0, thickness / 2))

    rays = rays_to(torch.cat([random_targets(200)[:, :2], torch.zeros(200, 1)], dim=-1))
    found = trace(plate, *rays)
    assert found.hit.all()
    z = rays[0][:, 2] + found.t * rays[1][:, 2]
    # A plate thinner than the tolerance may be hit anywhere within it.
    torch.testing.assert_close(z, torch.full_like(z, -thickness / 2), atol=2e-4, rtol=0.0)


@pytest.mark.parametrize("slope", [0.5, 2.0, 5.0])
def test_a_field_of_another_slope_is_traced_by_telling_its_slope(slope):
    rays = rays_to(random_targets())
    enters, _, hits = intersect_sphere(rays[0], rays[1], radius=0.8)
    is_clear, is_steep = (miss_distances(rays) - 0.8).abs() > 1e-3, miss_distances(rays) < 0.6
    found = trace(lambda points: slope * ball(points), *rays, lipschitz=max(slope, 1.0), max_steps=256)
    assert torch.equal(found.hit[is_clear], hits[is_clear])
    torch.testing.assert_close(found.t[is_steep], enters[is_steep], atol=5e-6, rtol=0.0)


def test_an_uneven_field_is_not_stepped_through_when_its_greatest_slope_is_told():
    # Not a distance: its slope along the ray lies between 0.4 and 1.6, and the plate stands at z = 0.
    def uneven(points):
        z = points[..., 2]
        return -z - 0.06 * torch.sin(10.0 * z)

    rays = rays_to(torch.cat([random_targets(50)[:, :2], torch.zeros(50, 1)], dim=-1))
    found = trace(uneven, *rays, lipschitz=1.6)
    assert found.hit.all()
    torch.testing.assert_close(found.t, -rays[0][:, 2] / rays[1][:, 2], atol=1e-4, rtol=0.0)


def test_the_first_of_several_surfaces_is_hit():
    def two_balls(points):
        back = points - torch.tensor([0.0, 0.0, 2.0])
        return shapes.union(shapes.sphere(points, 0.5), shapes.sphere(back, 1.2))

    origins = torch.tensor([[0.0, 0.0, -3.0], [0.0, 0.9, -3.0]])
    directions = torch.tensor([0.0, 0.0, 1.0]).expand(2, 3)
    found = trace(two_balls, origins, directions, torch.zeros(2), torch.full((2,), FAR))
    assert found.hit.all()
    torch.testing.assert_close(found.t, torch.tensor([2.5, 5.0 - (1.2**2 - 0.9**2) ** 0.5]), atol=2e-6, rtol=0.0)


def test_hits_lie_on_the_surface_much_closer_than_the_tolerance():
    rays = rays_to(random_targets(200, spread=0.5))
    found = trace(lambda p: shapes.torus(p, 0.6, 0.2), *rays, tolerance=1e-3, max_steps=256)
    on_surface = shapes.torus(rays[0] + found.t.unsqueeze(-1) * rays[1], 0.6, 0.2)[found.hit]
    assert int(found.hit.sum()) > 50
    assert float(on_surface.abs().median()) < 1e-6 and float(on_surface.abs().max()) <= 1e-3
