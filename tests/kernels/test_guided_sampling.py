"""Marching: its compiled forms against the reference, and both on surfaces whose answer is known."""

import pytest
import torch

from neus.kernels.guided_sampling import cpu, reference
from tests.kernels.backends import Form, forms, on_gpu

P = 65
KERNELS = forms("guided_sampling", "reference", "cpu", "gpu")


def grid_of(sdf, dtype=torch.float32):
    axis = torch.linspace(-1.0, 1.0, P, dtype=dtype)
    return sdf(torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), dim=-1))


def ball(points):
    return points.norm(dim=-1) - 0.5


def rays_towards(targets, dtype=torch.float32, seed=0):
    """Rays from a sphere of radius 2.5, with near and far a unit before and behind the middle of the scene."""
    generator = torch.Generator().manual_seed(seed)
    origins = torch.nn.functional.normalize(torch.randn(len(targets), 3, generator=generator).to(dtype), dim=1) * 2.5
    directions = torch.nn.functional.normalize(targets.to(dtype) - origins, dim=1)
    middles = -(origins * directions).sum(1)
    return origins, directions, middles - 1.0, middles + 1.0


def jitter(n_rays, n_edges, dtype=torch.float32):
    return torch.rand(n_rays, n_edges, generator=torch.Generator().manual_seed(3)).to(dtype)


def some_rays(n, dtype=torch.float32):
    """Through the ball, past it, and grazing it."""
    return rays_towards((torch.rand(n, 3, generator=torch.Generator().manual_seed(1)) - 0.5) * 1.2, dtype)


def assert_ascending_within(edges, near, far):
    assert edges.isfinite().all() and (edges[:, 1:] >= edges[:, :-1]).all()
    assert (edges >= near.unsqueeze(1)).all() and (edges <= far.unsqueeze(1)).all()


@pytest.mark.parametrize("n_rays, n_edges, sharpness, fraction", [
    (0, 5, 100.0, 0.2), (1, 2, 100.0, 0.2), (700, 17, 20.0, 0.0), (700, 17, 300.0, 0.2), (300, 33, 1e6, 0.5),
])  # fmt: skip
@pytest.mark.parametrize("dtype, tolerance", [(torch.float32, 1e-5), (torch.float64, 1e-11)])
@forms("guided_sampling", "cpu", "gpu")
def test_compiled_intervals_equal_the_reference(kernels, n_rays, n_edges, sharpness, fraction, dtype, tolerance):
    if kernels.name == "gpu" and dtype == torch.float64:
        pytest.skip("a GPU marches in single precision")
    assert_equal_marching(kernels, n_rays, n_edges, sharpness, fraction, dtype, tolerance)


@on_gpu
@pytest.mark.parametrize("sharpness", [40.0, 400.0])
def test_intervals_on_a_gpu_equal_the_reference_at_full_size(sharpness):
    assert_equal_marching(Form("guided_sampling", "gpu"), 65_537, 33, sharpness, 0.2, torch.float32, 1e-5)


def assert_equal_marching(kernels, n_rays, n_edges, sharpness, fraction, dtype, tolerance):
    given = *some_rays(n_rays, dtype), grid_of(ball, dtype), sharpness, fraction, jitter(n_rays, n_edges, dtype)
    edges, min_sdf = kernels.guided_intervals(*given)
    expected_edges, expected_min_sdf = reference.guided_intervals(*given)
    assert edges.shape == expected_edges.shape and min_sdf.shape == expected_min_sdf.shape
    assert edges.dtype == min_sdf.dtype == dtype
    # Single precision: an edge where the distribution function is nearly flat is as far off as the function is wrong times
    # one over its slope, so one edge in thousands is worse. Double precision shows that no formula differs.
    differences = (edges - expected_edges).abs()
    assert (differences > tolerance).double().mean().nan_to_num() <= (0.001 if dtype == torch.float32 else 0.0)
    assert (differences <= 1e-3).all()
    assert torch.allclose(min_sdf, expected_min_sdf, rtol=0.0, atol=tolerance)


def test_the_numbers_are_the_same_for_any_number_of_threads():
    given, before = (*some_rays(1000), grid_of(ball), 200.0, 0.2, jitter(1000, 9)), torch.get_num_threads()
    results = []
    for n in (1, 2, 3):
        torch.set_num_threads(n)
        results.append(cpu.guided_intervals(*given))
    torch.set_num_threads(before)
    for edges, min_sdf in results[1:]:
        assert torch.equal(edges, results[0][0]) and torch.equal(min_sdf, results[0][1])


@KERNELS
def test_edges_gather_where_a_ray_meets_a_ball(kernels):
    origins, directions, near, far = rays_towards(torch.zeros(200, 3))
    edges, min_sdf = kernels.guided_intervals(origins, directions, near, far, grid_of(ball), 1000.0, 0.0, jitter(200, 17))
    assert_ascending_within(edges, near, far)
    # From 2.5 to the ball's 0.5; the ends lie in pieces of the walk that are half a voxel to a voxel long.
    assert (edges - 2.0).abs().max() < 2.0 / (P - 1)
    # Inside, steps of up to 0.08 may pass the centre by half of that.
    assert torch.allclose(min_sdf, torch.full((200,), -0.5), atol=0.05)


@KERNELS
def test_the_second_crossing_of_an_opaque_ball_gets_nothing(kernels):
    rays = rays_towards(torch.zeros(50, 3))
    edges, _ = kernels.guided_intervals(*rays, grid_of(ball), 1e6, 0.1, jitter(50, 101))
    share_at_hit = ((edges - 2.0).abs() < 0.04).float().mean()
    share_at_exit = ((edges - 3.0).abs() < 0.04).float().mean()
    assert share_at_hit > 0.9 and 0.0 < share_at_exit < 0.06


@KERNELS
def test_a_uniform_fraction_of_one_does_not_depend_on_the_sharpness(kernels):
    rays, grid = some_rays(100), grid_of(ball)
    one, other = (kernels.guided_intervals(*rays, grid, s, 1.0, jitter(100, 17))[0] for s in (5.0, 1e6))
    assert torch.equal(one, other)


@KERNELS
def test_intervals_of_rays_that_meet_nothing_are_all_uniform(kernels):
    rays, empty = some_rays(100), torch.full((P, P, P), 0.5)
    edges, min_sdf = kernels.guided_intervals(*rays, empty, 1e3, 0.0, torch.full((100, 17), 0.5))
    near, far = rays[2:]
    even = near.unsqueeze(1) + (far - near).unsqueeze(1) * (torch.arange(17) + 0.5) / 17
    assert torch.allclose(edges, even, atol=1e-4) and (min_sdf == 0.5).all()


@KERNELS
def test_grazing_rays_have_the_clearance_of_their_nearest_point(kernels):
    offsets = torch.tensor([0.45, 0.5, 0.55, 0.7])
    origins = torch.stack([offsets, torch.zeros(4), torch.full((4,), -2.0)], dim=1)
    directions = torch.tensor([[0.0, 0.0, 1.0]]).expand(4, 3)
    near, far = torch.full((4,), 1.0), torch.full((4,), 3.0)
    edges, min_sdf = kernels.guided_intervals(origins, directions, near, far, grid_of(ball), 1e6, 0.2, jitter(4, 17))
    assert_ascending_within(edges, near, far)
    # A step is 0.7 of the distance, so the nearest point is missed by little.
    assert torch.allclose(min_sdf, offsets - 0.5, atol=0.02)


@KERNELS
@pytest.mark.parametrize("sharpness", [1e-3, 1e6, 1e30])
@pytest.mark.parametrize("n_edges", [2, 17])
def test_edges_ascend_within_the_ray_at_any_sharpness(kernels, sharpness, n_edges):
    if kernels.name == "gpu" and n_edges == 2:
        pytest.skip("the interpreter is slow, and one interval is among the cases held to the reference")
    rays = some_rays(200)
    for jitters in (torch.zeros(200, n_edges), torch.full((200, n_edges), 1.0 - 2**-24), jitter(200, n_edges)):
        edges, _ = kernels.guided_intervals(*rays, grid_of(ball), sharpness, 0.1, jitters)
        assert_ascending_within(edges, *rays[2:])


@KERNELS
def test_empty_rays_have_all_their_edges_at_near_and_touch_nothing(kernels):
    origins, directions, near, _ = some_rays(6)
    far = near - torch.tensor([0.0, 1.0, 0.0, 1.0, 0.0, 1.0])
    edges, min_sdf = kernels.guided_intervals(origins, directions, near, far, grid_of(ball), 100.0, 0.2, jitter(6, 5))
    assert torch.equal(edges, near.unsqueeze(1).expand(6, 5))
    assert (min_sdf > 1e9).all() and min_sdf.isfinite().all()


@KERNELS
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_nan_does_not_stop_the_tracing(kernels, bad):
    grid, rays = grid_of(ball), some_rays(100)
    grid[20:40, 20:40, :] = bad
    edges, min_sdf = kernels.guided_intervals(*rays, grid, 100.0, 0.2, jitter(100, 9))
    assert_ascending_within(edges, *rays[2:])
    assert min_sdf.isfinite().all()


@KERNELS
def test_rays_too_long_for_the_steps_there_are_still_reach_their_end(kernels):
    origins, directions, near, far = some_rays(20)
    edges, _ = kernels.guided_intervals(
        origins, directions, near, near + 500.0, torch.full((P, P, P), 0.5), 100.0, 1.0, torch.full((20, 9), 0.5)
    )
    assert_ascending_within(edges, near, near + 500.0)
    assert torch.allclose(edges[:, -1] - near, torch.tensor(500.0 * 8.5 / 9), atol=0.5)


@KERNELS
def test_points_outside_the_box_have_the_distance_of_its_nearest_point(kernels):
    axis = torch.linspace(-1.0, 1.0, 9)
    grid = 2.0 + axis.reshape(9, 1, 1).expand(9, 9, 9)
    ray = torch.tensor([[5.0, 0.3, 9.0]]), torch.tensor([[-1.0, 0.0, 0.0]])
    _, min_sdf = kernels.guided_intervals(*ray, torch.tensor([0.0]), torch.tensor([5.5]), grid, 1.0, 0.5, jitter(1, 3))
    assert min_sdf.item() == pytest.approx(1.5, abs=1e-5)
    _, min_sdf = kernels.guided_intervals(*ray, torch.tensor([0.0]), torch.tensor([60.0]), grid, 1.0, 0.5, jitter(1, 3))
    assert min_sdf.item() == pytest.approx(1.0, abs=1e-5)
