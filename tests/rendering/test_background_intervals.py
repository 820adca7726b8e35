"""Intervals of the background that follow its densities."""

import pytest
import torch

from neus.fields.hash_background import HashBackground, HashBackgroundConfig
from neus.fields.hash_grid import HashGridConfig
from neus.geometry.rays import intersect_sphere
from neus.rendering.background_intervals import guided_edges
from neus.rendering.behind import background_edges, background_t, render_behind
from neus.rendering.renderer_config import RendererConfig

GRID = HashGridConfig(n_levels=2, n_features=4, base_resolution=4, finest_resolution=8, log2_table_size=8)
CONFIG = RendererConfig(near_far="sphere", n_outside=8)


def background(resolution: int = 64) -> HashBackground:
    torch.manual_seed(0)
    return HashBackground(HashBackgroundConfig(GRID, 16, 1, resolution))


def rays(n: int = 50) -> tuple[torch.Tensor, torch.Tensor]:
    """Cameras at distance 3 that look at the sphere."""
    generator = torch.Generator().manual_seed(1)
    origins = 3.0 * torch.nn.functional.normalize(torch.randn(n, 3, generator=generator), dim=-1)
    targets = 0.5 * torch.rand(n, 3, generator=generator) - 0.25
    return origins, torch.nn.functional.normalize(targets - origins, dim=-1)


def edges_of(field: HashBackground, **settings) -> torch.Tensor:
    origins, directions = rays()
    _, leaves, _ = intersect_sphere(origins, directions)
    return guided_edges(field, origins, directions, leaves, origins.norm(dim=-1), 8, **settings)


def put_shell(field: HashBackground, radius: float) -> None:
    """Something opaque in a spherical shell about the unit sphere, four cells thick."""
    n = field.config.density_resolution
    axis = (torch.arange(n) + 0.5) * 2.0 / n - 1.0
    r = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), dim=-1).norm(dim=-1).flatten()
    field.densities.copy_(50.0 * ((r - (1.0 - 0.5 / radius)).abs() < 2.0 / n))


def test_nothing_known_gives_intervals_that_are_even_in_inverse_distance():
    origins, directions = rays()
    _, leaves, _ = intersect_sphere(origins, directions)
    edges = edges_of(background())
    v = 1.0 - torch.linspace(0.0, 1.0, 9) * (1.0 - 1e-3)
    assert torch.allclose(edges, 3.0 / v - 3.0 + leaves[:, None], rtol=1e-4)


def test_intervals_gather_where_something_is_known():
    field = background()
    put_shell(field, 2.0)
    origins, directions = rays()
    edges = edges_of(field)
    middles = (edges[:, 1:] + edges[:, :-1]) / 2
    radii = (origins[:, None] + middles[..., None] * directions[:, None]).norm(dim=-1)
    assert float(((radii - 2.0).abs() < 0.35).float().mean()) > 0.6  # evenly placed ones: about a seventh


@pytest.mark.parametrize("jitter", [0.0, 1.0])
def test_edges_ascend_from_the_sphere_to_far_away_whatever_is_known(jitter):
    field = background(16)
    origins, directions = rays()
    _, leaves, _ = intersect_sphere(origins, directions)
    for densities in (0.0, 1e-3, 1e6):
        field.densities.fill_(densities)
        edges = edges_of(field, generator=torch.Generator().manual_seed(0), jitter=jitter)
        assert (edges[:, 1:] > edges[:, :-1]).all() and torch.allclose(edges[:, 0], leaves)
        assert float(edges[:, -1].min()) > 2000.0 and edges.isfinite().all()


def test_densities_seen_by_samples_are_known_in_their_cells_and_nan_is_not():
    field = background(16)
    points = torch.tensor([[0.0, 0.0, 2.0], [0.0, 2.0, 0.0], [0.0, 0.0, -3.0]])
    deltas = torch.full((3,), 0.1)
    alphas = 1.0 - torch.exp(-torch.tensor([5.0, float("nan"), 1e9]) * deltas)
    for _ in range(60):
        field.observe(points, alphas, deltas)
    known = field.known_densities(points)
    assert float(known[0]) == pytest.approx(5.0, rel=1e-3) and float(known[1]) == 0.0
    assert 50.0 < float(known[2]) < 200.0  # as opaque as float32 can tell
    assert int((field.densities > 0).sum()) == 2


def test_training_teaches_densities_and_rendering_does_not_change_them():
    field, (origins, directions) = background(16), rays()
    render_behind(field, origins, directions, CONFIG)
    assert not field.densities.any()
    render_behind(field, origins, directions, CONFIG, generator=torch.Generator().manual_seed(0))
    known = field.densities.clone()
    assert known.any()
    first, again = (render_behind(field, origins, directions, CONFIG).rgb for _ in range(2))
    assert torch.equal(field.densities, known) and torch.equal(first, again)


def test_without_a_grid_of_densities_intervals_are_those_of_before():
    origins, directions = rays()
    t = background_t(origins, directions, CONFIG)
    edges = background_edges(background(0), origins, directions, CONFIG)
    assert torch.equal(edges[:, :-1], t) and torch.allclose(edges[:, -1], t[:, -1] + 2.0 / CONFIG.n_samples)
