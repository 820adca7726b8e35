import pytest
import torch

from neus.kernels.trilinear.reference import trilinear
from neus.rendering.sdf_grid import SdfGrid, SdfSamples, _put_last


def ball(points):
    return points.norm(dim=-1) - 0.5


@pytest.fixture
def cache():
    return SdfGrid.of(ball, 33)


def test_a_fresh_cache_holds_the_field_at_its_vertices(cache):
    assert cache.values[16, 16, 16] == pytest.approx(-0.5) and cache.values[32, 16, 16] == pytest.approx(0.5)
    points = torch.rand(200, 3) * 1.8 - 0.9
    assert torch.allclose(trilinear(cache.values, points), ball(points), atol=0.04)


def test_intervals_lie_where_the_ray_meets_the_surface(cache):
    origins, directions = torch.tensor([[0.0, 0.0, -2.0]]), torch.tensor([[0.0, 0.0, 1.0]])
    edges, min_sdf = cache.intervals(origins, directions, 8, 1000.0, 0.0)
    assert edges.shape == (1, 9) and (edges.diff(dim=1) >= 0).all()
    assert (edges.median() - 1.5).abs() < 0.03 and min_sdf < 0
    _, min_sdf = cache.intervals(origins + torch.tensor([0.8, 0.0, 0.0]), directions, 8, 1000.0, 0.0)
    assert min_sdf.item() == pytest.approx(0.3, abs=0.03)


def test_the_same_generator_gives_the_same_intervals(cache):
    rays = torch.tensor([[0.0, 0.1, -2.0]]), torch.tensor([[0.0, 0.0, 1.0]])
    one, same, other = (
        cache.intervals(*rays, 8, 100.0, 0.3, torch.Generator().manual_seed(seed))[0] for seed in (1, 1, 2)
    )
    assert torch.equal(one, same) and not torch.equal(one, other)


def test_what_samples_show_of_a_plane_is_exact_at_the_nearest_vertices(cache):
    points = torch.rand(3, 50) * 1.6 - 0.8
    normal = torch.tensor([0.6, 0.0, 0.8])
    sdf = (normal.unsqueeze(1) * points).sum(0) - 0.1
    cache.update(SdfSamples(points, sdf, normal.unsqueeze(1).expand(3, 50)))
    vertices = ((points + 1.0) * 16).round().long()
    seen = cache.values[tuple(vertices)]
    expected = (normal.unsqueeze(1) * (vertices / 16 - 1.0)).sum(0) - 0.1
    assert torch.allclose(seen, expected, atol=1e-5)


def test_refreshing_every_slab_once_brings_the_surface_up_to_date(cache):
    cache.values += 0.1
    for _ in range(len(cache.axis)):
        cache.refresh(ball)
    fresh = SdfGrid.of(ball, 33)
    near = cache.values.abs() < 0.1
    assert torch.allclose(cache.values[near], fresh.values[near], atol=1e-6)


def test_nothing_near_is_nothing_to_refresh():
    cache = SdfGrid(torch.ones(9, 9, 9))
    cache.refresh(lambda points: pytest.fail("asked"))
    assert cache.slab == 1


def test_only_finite_values_are_noted(cache):
    before, points = cache.values.clone(), torch.tensor([[-1.0, 1.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    gradients = torch.zeros(3, 3)
    gradients[0, 1] = torch.inf
    cache.update(SdfSamples(points, torch.tensor([torch.nan, 8.0, 9.0]), gradients))
    changed = (cache.values != before).nonzero()
    assert changed.tolist() == [[16, 16, 16]] and cache.values[16, 16, 16] == 9.0


def test_refreshing_evaluates_nan_anew_and_keeps_what_is_finite(cache):
    truth = cache.values.clone()
    cache.values[:, 3] = torch.nan
    spoilt = cache.values.clone()
    for _ in range(len(cache.axis)):
        cache.refresh(lambda points: torch.full((len(points),), torch.nan))
    assert torch.equal(cache.values.nan_to_num(7.0), spoilt.nan_to_num(7.0))
    for _ in range(len(cache.axis)):
        cache.refresh(ball)
    assert torch.allclose(cache.values, truth, atol=1e-6)


def test_of_several_values_for_one_place_the_last_stays():
    memory, places = torch.zeros(5), torch.tensor([3, 1, 3, 3, 0, 1])
    _put_last(memory, places, torch.arange(1.0, 7.0))
    assert memory.tolist() == [5.0, 6.0, 0.0, 4.0, 0.0]


def test_samples_that_do_not_count_leave_no_note(cache):
    memory, places, counts = torch.zeros(5), torch.tensor([3, 1, 3, 2]), torch.tensor([True, True, False, False])
    _put_last(memory, places, torch.arange(1.0, 5.0), counts)
    assert memory.tolist() == [0.0, 2.0, 0.0, 1.0, 0.0]
    before, points = cache.values.clone(), torch.tensor([[-1.0, 1.0], [0.0, 0.0], [0.0, 0.0]])
    cache.update(SdfSamples(points, torch.tensor([7.0, 8.0]), torch.zeros(3, 2), torch.tensor([False, True])))
    assert cache.values[0, 16, 16] == before[0, 16, 16] and cache.values[32, 16, 16] == 8.0
