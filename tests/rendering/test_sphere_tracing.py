import pytest
import torch

from neus.geometry import shapes
from neus.geometry.cup import object_sdf
from neus.geometry.rays import intersect_sphere
from neus.rendering.sphere_tracing import cone_trace, implicit_depth, lipschitz_bound, trace
from tests.rendering.closed_forms import Mug

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


def test_an_uneven_field_is_not_stepped_through_when_its_greatest_slope_is_given():
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


def mug(points):
    return Mug(0.04).sdf(points)


def brute_force(sdf, rays, n=3000):
    """Where a dense march first finds a negative distance; infinity if it does not."""
    t = torch.linspace(0.0, FAR, n)
    inside = torch.stack([sdf(o + t[:, None] * d) < 0 for o, d in zip(*rays[:2])])
    return torch.where(inside.any(1), t[inside.int().argmax(1)], torch.inf)


@pytest.mark.parametrize("over_relaxation", [1.0, 1.6])
@pytest.mark.parametrize("sdf", [mug, object_sdf, lambda p: shapes.torus(p, 0.6, 0.15)])
def test_shapes_with_holes_are_hit_where_a_dense_march_hits_them(sdf, over_relaxation):
    rays = rays_to(random_targets(120, spread=0.8), origin=(1.7, -1.9, 1.5))
    truth = brute_force(sdf, rays)
    found = trace(sdf, *rays, max_steps=512, over_relaxation=over_relaxation)
    same = found.hit == truth.isfinite()
    # The march steps over glancing chords of less than 0.002.
    assert same.float().mean() > 0.97 and found.hit[truth.isfinite()].all()
    both = found.hit & truth.isfinite()
    assert (found.t - truth)[both].abs().median() < 2e-3 and (found.t - truth)[both].max() < 2e-3


def test_over_relaxation_saves_evaluations_of_rays_that_pass_along_a_surface():
    heights = torch.linspace(0.02, 0.3, 100)
    origins = torch.stack([heights, torch.zeros(100), torch.full((100,), -3.0)], dim=-1)
    rays = origins, torch.tensor([[-0.004, 0.0, 1.0]]).expand(100, 3), torch.zeros(100), torch.full((100,), FAR)
    plain, relaxed = (trace(lambda p: p[..., 0], *rays, max_steps=512, over_relaxation=w) for w in (1.0, 1.5))
    assert relaxed.evaluations.sum() < 0.8 * plain.evaluations.sum()
    assert torch.equal(relaxed.hit, plain.hit)


def test_over_relaxation_does_not_take_the_second_of_two_surfaces():
    # The far plate lies where a step of 1.5 from the start would end, within the tolerance of it.
    def plates(points):
        z = points[..., 2]
        return torch.minimum((z + 1.0).abs(), (z - 0.0).abs()) - 1e-3

    ray = torch.tensor([[0.0, 0.0, -3.0]]), torch.tensor([[0.0, 0.0, 1.0]]), torch.zeros(1), torch.full((1,), FAR)
    found = trace(plates, *ray, tolerance=5e-3, over_relaxation=1.5)
    assert found.t.item() == pytest.approx(1.999, abs=2e-3)


def test_evaluations_are_counted_and_finished_rays_cost_nothing():
    calls = []

    def counted(points):
        calls.append(len(points))
        return ball(points)

    rays = rays_to(random_targets())
    found = trace(counted, *rays)
    assert int(found.evaluations.sum()) == sum(calls)
    assert calls[0] == 400 and calls[20] < 100, "rays that are done are taken out"


def test_a_bound_that_is_too_small_is_found_out_and_the_ray_steps_back():
    rays = rays_to(random_targets())
    steep = lambda points: 1.4 * ball(points)  # noqa: E731
    told, untold = (trace(steep, *rays, lipschitz=b, max_steps=256) for b in (1.4, 1.0))
    # Steps are 1.4 times too long: the chord of rays that meet the ball's rim is shorter than what they pass over.
    is_clear = (miss_distances(rays) < 0.7) | (miss_distances(rays) > 0.81)
    assert torch.equal(untold.hit[is_clear], told.hit[is_clear])
    hits = is_clear & told.hit & (miss_distances(rays) < 0.6)
    torch.testing.assert_close(untold.t[hits], told.t[hits], atol=1e-5, rtol=0.0)


def test_where_the_field_is_nan_rays_are_undecided_and_others_unharmed():
    def broken(points):
        return torch.where(points[..., 0] > 0.4, torch.nan, ball(points))

    rays = rays_to(random_targets())
    found, whole = trace(broken, *rays), trace(ball, *rays)
    assert found.undecided.any() and not (found.undecided & found.hit).any() and found.t.isfinite().all()
    never = found.hit | (~found.undecided)
    assert torch.equal(found.hit[never], whole.hit[never]) and int(found.hit.sum()) > 50


def test_rays_that_run_out_of_steps_are_undecided():
    found = trace(ball, *rays_to(random_targets()), max_steps=3)
    assert found.undecided.any() and not (found.undecided & found.hit).any()


@pytest.mark.parametrize("sdf", [mug, lambda p: shapes.box(p, (0.9, 0.9, 0.004)), lambda p: 1.3 * mug(p)])
def test_cones_lose_nothing_however_thin_and_save_evaluations(sdf):
    target = torch.stack(
        torch.meshgrid(torch.linspace(-0.9, 0.9, 48), torch.linspace(-0.9, 0.9, 48), indexing="ij"), -1
    )
    blocks = target.view(6, 8, 6, 8, 2).transpose(1, 2).reshape(-1, 2)
    rays = rays_to(torch.nn.functional.pad(blocks, (0, 1)), origin=(1.4, -1.5, -1.8))
    starts, n_cones = cone_trace(sdf, *rays, group=64, lipschitz=1.3)
    alone = trace(sdf, *rays, lipschitz=1.3, max_steps=512)
    together = trace(sdf, rays[0], rays[1], starts, rays[3], lipschitz=1.3, max_steps=512)
    assert torch.equal(together.hit, alone.hit)
    torch.testing.assert_close(together.t[alone.hit], alone.t[alone.hit], atol=1e-3, rtol=0.0)
    assert (starts >= rays[2]).all() and n_cones + together.evaluations.sum() < 0.9 * alone.evaluations.sum()
    passed = starts > rays[3]
    assert not alone.hit[passed].any()


def test_rays_of_a_cone_may_start_anywhere_and_some_may_be_empty():
    origins, directions, near, far = rays_to(random_targets(100, spread=0.9))
    origins = origins + 0.1 * random_targets(100, seed=1)
    far[::7] = -1.0
    starts, _ = cone_trace(ball, origins, directions, near, far, group=16)
    rays = origins, directions
    assert torch.equal(trace(ball, *rays, starts, far).hit, trace(ball, *rays, near, far).hit)


def test_the_derivative_of_depth_is_that_of_finite_differences():
    def scene(points, parameters):
        moved = (points - parameters[:3]).double()
        return shapes.union(
            shapes.torus(moved, 0.6, 0.2 + parameters[3]), 1.2 * shapes.sphere(moved, 0.25 + parameters[3])
        )

    rays = [x.double() for x in rays_to(random_targets(60, spread=0.6), origin=(1.2, -1.0, 1.9))]
    parameters = torch.zeros(4, dtype=torch.float64)

    def depths(parameters, shift=0.0):
        return trace(lambda p: scene(p, parameters), rays[0] + shift, *rays[1:], 1e-9, 2000, lipschitz=1.2)

    found = depths(parameters)
    at = rays[0] + found.t[:, None] * rays[1]
    for of_origin in (False, True):
        h = 1e-5
        for i in range(3 if of_origin else 4):
            step = torch.zeros(3 if of_origin else 4, dtype=torch.float64)
            step[i] = h
            plus, minus = (depths(parameters, s) if of_origin else depths(parameters + s) for s in (step, -step))
            truth = (plus.t - minus.t) / (2 * h)
            steep = found.hit & plus.hit & minus.hit & (truth.abs() < 5.0) & (truth.abs() > 1e-3)
            origins, moved = rays[0].clone().requires_grad_(), parameters.clone().requires_grad_()
            depth = implicit_depth(lambda p, m=moved: scene(p, m), origins, rays[1], found.t)
            if of_origin:
                (exact,) = torch.autograd.grad(depth.sum(), origins)
                exact = exact[:, i]
            else:
                exact = torch.stack([torch.autograd.grad(d, moved, retain_graph=True)[0][i] for d in depth])
            assert steep.sum() > 10
            assert ((exact - truth).abs() / truth.abs())[steep].max() < 0.01
    assert torch.equal(depth, found.t) and at.isfinite().all()


def test_the_bound_of_slopes_holds_nearly_all_of_them_and_is_at_least_one():
    assert lipschitz_bound(torch.full((1000, 3), 0.1)) == 1.0
    assert lipschitz_bound(torch.tensor([[0.0, 1.3, 0.0]]).expand(100, 3)) == pytest.approx(1.3)
    assert lipschitz_bound(torch.full((10, 3), torch.nan)) == 1.0
