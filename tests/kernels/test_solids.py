import pytest
import torch

from neus.geometry import bodies
from neus.geometry.cup import BODY, BOUNDING_RADIUS, object_sdf
from neus.geometry.rays import intersect_sphere
from neus.kernels.solids import cpu, reference
from neus.rendering.sphere_tracing import trace

TOLERANCE, MAX_STEPS = 3e-4, 1000
MADE = ("house", "rods", "white", "tins", "relief")
BODIES = {"cup": BODY, **{name: getattr(bodies, name)() for name in MADE}}


def rays(n, seed=0):
    """`n` rays from around the object towards places within it; some pass it by."""
    generator = torch.Generator().manual_seed(seed)
    origins = 3.0 * torch.nn.functional.normalize(torch.randn(n, 3, generator=generator), dim=-1)
    targets = 1.2 * torch.rand(n, 3, generator=generator) - 0.6
    directions = torch.nn.functional.normalize(targets - origins, dim=-1)
    enters, leaves, meets = intersect_sphere(origins, directions, BOUNDING_RADIUS)
    return [x[meets] for x in (origins, directions, enters, leaves)]


@pytest.mark.parametrize("shape", [(0, 3), (1, 3), (5000, 3), (700, 4, 3)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("body", BODIES)
def test_compiled_distances_are_those_of_the_closed_form(body, shape, dtype):
    body = BODIES[body]
    points = 2.0 * torch.rand(*shape, dtype=dtype, generator=torch.Generator().manual_seed(0)) - 1.0
    found, expected = cpu.part_distances(body, points), reference.part_distances(body, points.double())
    assert found.shape == (*shape[:-1], body.n_parts) and found.dtype == dtype
    assert torch.allclose(found.double(), expected, rtol=0.0, atol=2e-7 if dtype == torch.float32 else 1e-12)


@pytest.mark.parametrize("body", BODIES)
def test_compiled_and_plain_tracing_find_the_same_places(body):
    body = BODIES[body]
    scattered = rays(1000)
    found, expected = (k.first_hits(body, *scattered, TOLERANCE, max_steps=40) for k in (cpu, reference))
    assert torch.equal(found.isfinite(), expected.isfinite())
    torch.testing.assert_close(found, expected, rtol=0.0, atol=1e-6)


def test_hits_lie_on_the_surface_and_nothing_lies_before_them():
    origins, directions, near, far = (x.double() for x in rays(3000))
    t = cpu.first_hits(BODY, origins, directions, near, far, TOLERANCE, MAX_STEPS)
    hit = t.isfinite()
    assert 0.3 < hit.double().mean() < 0.95
    end = torch.where(hit, t, far).unsqueeze(-1)
    at_end = object_sdf(origins + end * directions)[hit].abs()
    # Rays that only graze the object stay where they came within the tolerance.
    assert (at_end < TOLERANCE).all() and (at_end < 2e-5).double().mean() > 0.98
    for fraction in torch.linspace(0.0, 1.0, 40)[:-1]:
        t_before = near.unsqueeze(-1) + fraction * (end - near.unsqueeze(-1))
        assert (object_sdf(origins + t_before * directions) > 0.0).all()


def test_tracing_agrees_with_the_tracer_of_any_surface():
    scattered = rays(3000)
    t, traced = cpu.first_hits(BODY, *scattered, TOLERANCE, MAX_STEPS), trace(object_sdf, *scattered, TOLERANCE, MAX_STEPS)
    same = t.isfinite() == traced.hit
    assert same.double().mean() > 0.999
    both = same & traced.hit
    origins, directions = (x[both].double() for x in scattered[:2])
    here, there = (object_sdf(origins + x[both].double().unsqueeze(-1) * directions).abs() for x in (t, traced.t))
    # They differ where rays meet the surface at a low angle: `trace` may stop short of it, within the tolerance.
    assert ((t - traced.t).abs()[both] < 1e-4).double().mean() > 0.95
    assert (here <= there + 1e-5).double().mean() > 0.99 and here.mean() < there.mean()


def test_rays_that_begin_beyond_their_end_miss():
    origins, directions, near, far = rays(10)
    for kernels in (cpu, reference):
        assert kernels.first_hits(BODY, origins, directions, far + 1.0, far, TOLERANCE, MAX_STEPS).isinf().all()


def test_the_number_of_threads_changes_nothing():
    scattered, n_threads = rays(9000), torch.get_num_threads()
    try:
        found = []
        for n in (1, 2):
            torch.set_num_threads(n)
            found.append(cpu.first_hits(BODY, *scattered, TOLERANCE, MAX_STEPS))
    finally:
        torch.set_num_threads(n_threads)
    assert torch.equal(*found)
