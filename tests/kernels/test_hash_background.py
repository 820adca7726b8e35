import copy
from dataclasses import replace

import pytest
import torch

from neus.fields.hash_background import HashBackground, HashBackgroundConfig
from neus.fields.hash_grid import HashGridConfig
from neus.kernels.dispatch import VARIABLE
from neus.rendering.behind import background_samples, composite_background
from tests.kernels.backends import ON_BOTH

GRID = HashGridConfig(n_levels=4, n_features=4, base_resolution=4, finest_resolution=40, log2_table_size=9)
SMALL = HashBackgroundConfig(grid=GRID, d_hidden=12)


DEVICE = torch.device("cpu")
pytestmark = pytest.mark.usefixtures("kernels")


def background_field(config: HashBackgroundConfig = SMALL) -> HashBackground:
    """A field that is far from its start: neither transparent nor grey."""
    torch.manual_seed(2)
    field = HashBackground(config)
    with torch.no_grad():
        field.grid.table.normal_(0.0, 0.5)
        field.density.weight.mul_(3.0)
    return field.to(DEVICE)


def rays_with_edges(n_rays: int, n_intervals: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Rays from around the unit sphere, cut beyond it, with the ratios of a background's samples."""
    generator = torch.Generator().manual_seed(n_rays)
    origins = 3.0 * torch.nn.functional.normalize(torch.randn(n_rays, 3, generator=generator), dim=-1)
    directions = torch.nn.functional.normalize(torch.randn(n_rays, 3, generator=generator) - 0.5 * origins, dim=-1)
    steps = torch.rand(n_rays, n_intervals + 1, generator=generator)
    return tuple(x.to(DEVICE) for x in (origins, directions, 3.0 + (0.05 + steps).cumsum(-1) * 1.5))


def gradients_of(
    field: HashBackground, rays: tuple[torch.Tensor, ...]
) -> tuple[list[torch.Tensor], dict[str, torch.Tensor]]:
    """Colours and transmittances, and the gradients of a random function of both."""
    generator = torch.Generator().manual_seed(7)
    results = composite_background(field, *rays)
    cotangents = [torch.randn(x.shape, generator=generator).to(x) for x in results]
    field.zero_grad(set_to_none=True)
    torch.autograd.backward(results, cotangents)
    return [x.detach() for x in results], {name: p.grad for name, p in field.named_parameters()}


@ON_BOTH
@pytest.mark.parametrize(
    ("n_rays", "n_intervals", "config"),
    [
        (37, 8, HashBackgroundConfig()),
        (131, 3, SMALL),
        (5, 1, SMALL),
        (1, 1, SMALL),
        (3, 150, SMALL),
        (29, 4, replace(SMALL, d_hidden=13, multires_view=0, grid=replace(GRID, n_features=3, n_levels=3))),
        (29, 4, replace(SMALL, d_hidden=2, multires_view=5, grid=replace(GRID, n_features=1, n_levels=1))),
    ],
)
def test_a_compiled_background_has_the_values_and_gradients_of_the_composed_one(n_rays, n_intervals, config):
    field, rays = background_field(config), rays_with_edges(n_rays, n_intervals)
    found, gradients = gradients_of(field, rays)
    # In double precision it is composed of torch's operations.
    expected, truths = gradients_of(copy.deepcopy(field).double(), tuple(x.double() for x in rays))
    for value, truth in zip(found, expected, strict=True):
        assert (value - truth).abs().max() <= 1e-5
    for name, truth in truths.items():
        layer = name.rpartition(".")[0]
        greatest = max(other.abs().max() for part, other in truths.items() if part.rpartition(".")[0] == layer)
        assert (gradients[name] - truth).abs().max() <= 1e-4 * greatest, name


def test_the_compiled_kernel_is_what_runs(monkeypatch):
    field, rays = background_field(), rays_with_edges(4, 3)
    monkeypatch.setattr(HashBackground, "forward", lambda *inputs: pytest.fail("composed of torch's operations"))
    composite_background(field, *rays)
    monkeypatch.setenv(VARIABLE, "reference")
    with pytest.raises(pytest.fail.Exception):
        composite_background(field, *rays)


def test_gradients_of_the_specification_are_its_finite_differences():
    config = HashBackgroundConfig(
        d_hidden=4, multires_view=1, grid=replace(GRID, n_levels=2, n_features=2, log2_table_size=4)
    )
    field = background_field(config).double()
    rays, names = tuple(x.double() for x in rays_with_edges(3, 3)), [name for name, _ in field.named_parameters()]

    def composed(*parameters: torch.Tensor) -> tuple[torch.Tensor, ...]:
        given = dict(zip(names, parameters, strict=True))
        return torch.func.functional_call(_Composited(field), {f"field.{name}": p for name, p in given.items()}, rays)

    values = [p.detach().clone().requires_grad_() for p in field.parameters()]
    assert torch.autograd.gradcheck(composed, values, eps=1e-6, atol=1e-6)


class _Composited(torch.nn.Module):
    def __init__(self, field: HashBackground) -> None:
        super().__init__()
        self.field = field

    def forward(self, *rays: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return composite_background(self.field, *rays)


@ON_BOTH
def test_levels_that_are_off_have_no_part_in_it():
    field, rays = background_field(), rays_with_edges(20, 4)
    field.grid.set_active_levels(2)
    found, gradients = gradients_of(field, rays)
    expected, truths = gradients_of(copy.deepcopy(field).double(), tuple(x.double() for x in rays))
    assert (found[0] - expected[0]).abs().max() <= 1e-5
    assert (gradients["hidden.weight"] - truths["hidden.weight"]).abs().max() <= 1e-4 * truths[
        "hidden.weight"
    ].abs().max()
    assert gradients["grid.table"][field.grid.layout.offsets[2] :].abs().max() == 0


@ON_BOTH
@pytest.mark.parametrize("bias", [-60.0, 60.0])
def test_clear_and_opaque_saturated_backgrounds_stay_finite(bias):
    field, rays = background_field(), rays_with_edges(20, 4)
    with torch.no_grad():
        field.density.bias.fill_(bias)
        field.rgb.bias.fill_(bias)
    (rgb, transmittance), gradients = gradients_of(field, rays)
    assert rgb.isfinite().all() and all(gradient.isfinite().all() for gradient in gradients.values())
    assert transmittance.min() > 0.999 if bias < 0.0 else transmittance.max() < 1e-5


@ON_BOTH
def test_without_gradient_colors_are_the_same():
    field, rays = background_field(), rays_with_edges(300, 8)
    expected = composite_background(field, *rays)
    with torch.no_grad():
        found = composite_background(field, *rays)
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))


@ON_BOTH
def test_no_rays_have_no_samples_and_no_gradient():
    _, gradients = gradients_of(background_field(), rays_with_edges(0, 4))
    assert all(gradient.abs().max() == 0 for gradient in gradients.values())


def test_the_number_of_threads_changes_no_digit():
    before, results = torch.get_num_threads(), []
    try:
        for n_threads in (1, 3):
            torch.set_num_threads(n_threads)
            (rgb, _), gradients = gradients_of(background_field(), rays_with_edges(1200, 8))
            results.append((rgb, *gradients.values()))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(one, other) for one, other in zip(*results, strict=True))


def test_rays_that_are_learnt_get_their_gradient():
    field, (origins, directions, edges) = background_field(), rays_with_edges(6, 3)
    origins.requires_grad_()
    t, deltas = edges[:, :-1], edges[:, 1:] - edges[:, :-1]
    background_samples(field, origins, directions, t, deltas)[1].sum().backward()
    assert origins.grad.abs().max() > 0.0
