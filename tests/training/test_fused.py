import copy
import math
from dataclasses import replace

import pytest
import torch

from neus.fields.background import NerfConfig
from neus.fields.color_network import ColorNetworkConfig
from neus.fields.hash_background import HashBackgroundConfig
from neus.fields.hash_grid import HashGridConfig
from neus.fields.hash_sdf import HashSdfConfig
from neus.geometry.rays import intersect_sphere
from neus.rendering.fused import fused_sdf, why_not_fused
from neus.rendering.model import Model, ModelConfig
from neus.rendering.renderer import RendererConfig
from neus.training.fused import fused_training_step
from neus.training.pixels import RayBatch, rays_of
from neus.training.step import LossWeights, training_step
from tests.kernels.backends import NEEDS_TRITON, ON_BOTH, on_gpu

NO_GRID = HashGridConfig(n_levels=0)
GRID = HashGridConfig(n_levels=5, n_features=2, base_resolution=4, finest_resolution=40, log2_table_size=10)

DEVICE = torch.device("cpu")
pytestmark = pytest.mark.usefixtures("kernels")


def hash_model(
    grid=GRID, d_hidden=24, d_out=9, n_layers=2, d_color=20, n_outside=0, variance=0.3, color_grid=NO_GRID, background="nerf"
) -> Model:
    """A model whose table is far from its start, so that every term has a part in the gradients."""
    torch.manual_seed(3)
    surface = HashSdfConfig(grid=grid, color_grid=color_grid, d_hidden=d_hidden, d_out=d_out)
    color = ColorNetworkConfig(d_feature=surface.n_features, d_hidden=d_color, n_layers=n_layers, weight_norm=False)
    config = ModelConfig(
        surface="hash",
        background=background,
        hash_background=HashBackgroundConfig(grid=replace(GRID, n_features=4), d_hidden=12),
        hash_sdf=surface,
        rendering_network=color,
        nerf=NerfConfig(D=2, W=8, multires=2, multires_view=1, skips=(0,)),
        neus_renderer=RendererConfig(n_outside=n_outside),
    )
    model = Model(config)
    with torch.no_grad():
        model.sdf_network.grid.table.normal_(0.0, 0.02)
        model.sharpness.variance.fill_(variance)
    return model.to(DEVICE)


def rays_with_intervals(n_rays=37, n_intervals=7, seed=1) -> tuple[RayBatch, torch.Tensor]:
    """Rays through the middle of the sphere, cut at random places within it, towards random colours and masks."""
    generator = torch.Generator().manual_seed(seed)
    origins = torch.nn.functional.normalize(torch.randn(n_rays, 3, generator=generator), dim=-1) * 3.0
    targets = 0.3 * torch.randn(n_rays, 3, generator=generator)
    directions = torch.nn.functional.normalize(targets - origins, dim=-1)
    enters, leaves, _ = intersect_sphere(origins, directions)
    fractions = torch.rand(n_rays, n_intervals + 1, generator=generator).sort(dim=-1).values
    edges = enters.unsqueeze(-1) + fractions * (leaves - enters).unsqueeze(-1)
    colors = torch.rand(n_rays, 3, generator=generator)
    masks = (torch.rand(n_rays, generator=generator) > 0.3).float()
    return RayBatch(origins, directions, colors, masks).to(DEVICE), edges.to(DEVICE)


def double(batch: RayBatch) -> RayBatch:
    return RayBatch(*(x.double().cpu() for x in (batch.origins, batch.directions, batch.colors, batch.masks)))


def assert_same_step(
    model: Model,
    batch: RayBatch,
    edges: torch.Tensor,
    weights: LossWeights,
    cos_anneal: float,
    tolerance=1e-4,
):
    """The fused step and the plain one in float64 agree: values to 1e-5, gradients to 1e-4 of the greatest element of their layer.

    A bias adds up what pushes and what pulls: its own sum may nearly cancel, and then float32 has no more digits of it.
    """
    exact = copy.deepcopy(model).cpu().double()
    exact.background = None if model.background is None else model.background.double()
    expected = training_step(exact, double(batch), weights, cos_anneal, None, edges.cpu().double())
    expected.total.backward()
    model.zero_grad(set_to_none=True)
    terms, _ = fused_training_step(model, batch, weights, cos_anneal, edges)
    for name, value in expected.named().items():
        assert terms.named()[name] == pytest.approx(value, rel=1e-5, abs=1e-5), name
    found = {name: parameter.grad for name, parameter in model.named_parameters()}
    truths = {name: parameter.grad for name, parameter in exact.named_parameters() if parameter.grad is not None}
    assert len(truths) >= 10
    for name, truth in truths.items():
        layer = name.rpartition(".")[0]
        greatest = max(other.abs().max() for part, other in truths.items() if part.rpartition(".")[0] == layer)
        error = (found[name].cpu() - truth).abs().max()
        assert error <= tolerance * greatest + 1e-9, f"{name}: {error} of {greatest}"


WEIGHTS = LossWeights(eikonal=0.3, mask=0.5, huber=0.05)


@ON_BOTH
@pytest.mark.parametrize("cos_anneal", [0.0, 0.6, 1.0])
def test_fused_step_is_the_plain_step(cos_anneal):
    assert_same_step(hash_model(), *rays_with_intervals(), WEIGHTS, cos_anneal)


@ON_BOTH
@pytest.mark.parametrize(
    "sizes",
    [
        {"d_hidden": 13, "d_out": 6, "d_color": 10, "n_layers": 1},
        {"d_out": 17, "n_layers": 3},
        {"grid": replace(GRID, n_levels=1)},
        {"grid": replace(GRID, n_features=3)},
        {"grid": replace(GRID, n_features=1, n_levels=3)},
    ],
)
def test_fused_step_holds_for_networks_and_grids_of_any_size(sizes):
    assert_same_step(hash_model(**sizes), *rays_with_intervals(), WEIGHTS, 1.0)


@ON_BOTH
# Seeds whose sums do not nearly cancel: with the first one's three rays even the plain step in float32 is 2e-5 off, since one without
# mask is all but opaque, and what the cross entropy takes the logarithm of has lost its digits.
@pytest.mark.parametrize(("n_rays", "n_intervals", "seed"), [(1, 1, 1), (5, 1, 1), (3, 40, 3), (131, 3, 2)])
def test_fused_step_holds_for_any_number_of_rays_and_intervals(n_rays, n_intervals, seed):
    assert_same_step(hash_model(), *rays_with_intervals(n_rays, n_intervals, seed), WEIGHTS, 1.0)


@ON_BOTH
@pytest.mark.parametrize("sharpness", [20.0, 148.0, 665.0, 2000.0])
def test_fused_step_holds_for_sharp_surfaces_and_masks_between_zero_and_one(sharpness):
    batch, edges = rays_with_intervals()
    masks = torch.rand(len(edges), generator=torch.Generator().manual_seed(4)).to(DEVICE)
    masks[:3] = torch.tensor([0.0, 1.0, 1e-6])
    model = hash_model(variance=math.log(sharpness) / 10.0)
    # A distance of one has 6e-8 of rounding in float32, which the sharpness multiplies: 1.2e-4 in the exponent at 2000 at either end
    # of an interval, and what pushes and pulls at the distance's bias nearly cancels.
    tolerance = max(1e-4, 2.5e-7 * sharpness)
    assert_same_step(model, replace(batch, masks=masks), edges, WEIGHTS, 0.7, tolerance=tolerance)


@ON_BOTH
def test_fused_step_leaves_out_levels_that_are_off():
    model = hash_model()
    model.set_active_levels(2)
    assert_same_step(model, *rays_with_intervals(), WEIGHTS, 1.0)
    assert model.sdf_network.grid.table.grad[model.sdf_network.grid.layout.offsets[2] :].abs().max() == 0


@ON_BOTH
@pytest.mark.parametrize("background", ["nerf", "hash"])
def test_fused_step_without_masks_draws_a_background_network(background):
    model = hash_model(n_outside=4, background=background)
    assert_same_step(model, *rays_with_intervals(), LossWeights(0.1, 0.0, 0.0), 1.0)


@ON_BOTH
def test_rays_that_miss_the_sphere_teach_the_background_alone():
    """Edges all alike are such rays'. The divisors of the terms of the surface are the samples of the others."""
    batch, edges = rays_with_intervals()
    missing = torch.arange(len(edges), device=DEVICE) % 2 == 0
    edges = torch.where(missing.unsqueeze(-1), edges[:, :1], edges)
    weights, model = LossWeights(0.1, 0.0, 0.0, curvature=0.05), hash_model(n_outside=4)
    # An untrained background is all but transparent: gradients of 1e-6 are sums of what nearly cancels.
    assert_same_step(model, batch, edges, weights, 1.0, tolerance=1e-3)
    terms, seen = fused_training_step(model, batch, weights, 1.0, edges)
    others, _ = fused_training_step(model, rays_of(batch, ~missing), weights, 1.0, edges[~missing])
    assert torch.allclose(terms.eikonal, others.eikonal, rtol=1e-5)
    background = [p.grad.abs().max() for p in model.nerf.parameters()]
    assert max(background) > 0.0
    if seen.counts is None:  # a CPU leaves them out, a GPU marks them
        assert seen.sdf.numel() < edges[:, 1:].numel()
    none, _ = fused_training_step(model, batch, weights, 1.0, edges[:, :1].expand_as(edges).contiguous())
    assert none.eikonal == 0.0 and none.color > 0.0 and none.total.isfinite()


@ON_BOTH
def test_fused_step_with_masks_holds_the_surface_alone_to_the_silhouette_before_a_background_network():
    assert_same_step(hash_model(n_outside=4), *rays_with_intervals(), WEIGHTS, 1.0)


@ON_BOTH
def test_gradients_of_a_step_know_nothing_of_the_step_before():
    model, found = hash_model(n_outside=4), []
    batch, edges = rays_with_intervals()
    for _ in range(2):
        fused_training_step(model, batch, LossWeights(0.1, 0.0, 0.0), 1.0, edges)
        found.append([p.grad.clone() for p in model.parameters()])
        model.sdf_network.grid.table.grad.zero_()  # as the optimiser leaves it
    for one, other in zip(*found, strict=True):
        assert (one - other).abs().max() <= 1e-5 * one.abs().max()


@NEEDS_TRITON
@pytest.mark.parametrize("kernels", ["gpu"], indirect=True)
def test_rays_left_out_on_a_gpu_are_as_if_they_were_not_there(kernels):
    batch, edges = rays_with_intervals()
    kept = torch.arange(len(edges), device=DEVICE) % 3 != 1
    marked = replace(batch, masks=batch.masks.where(kept, -1.0))
    fewer = RayBatch(*(part[kept] for part in (batch.origins, batch.directions, batch.colors, batch.masks)))
    found = []
    for rays, intervals in ((fewer, edges[kept]), (marked, edges)):
        model = hash_model()
        terms, seen = fused_training_step(model, rays, WEIGHTS, 1.0, intervals)
        found.append((terms.named(), [p.grad for p in model.parameters() if p.grad is not None]))
    assert torch.equal(seen.counts, kept.repeat_interleave(edges.shape[1] - 1))
    (expected, gradients), (terms, others) = found
    assert terms == pytest.approx(expected, rel=1e-5) and len(gradients) == len(others) >= 10
    for one, other in zip(gradients, others, strict=True):
        assert (one - other).abs().max() <= 1e-5 * one.abs().max() + 1e-9


@ON_BOTH
@pytest.mark.parametrize(("n_rays", "n_intervals"), [(37, 7), (5, 1), (131, 3)])
def test_fused_step_has_the_curvature_gradient_of_the_plain_one(n_rays, n_intervals):
    model, (batch, edges) = hash_model(), rays_with_intervals(n_rays, n_intervals)
    # So near the surface that some rays count, and not all.
    middle = edges.mean(dim=-1, keepdim=True)
    edges = middle + 0.3 * (edges - middle)
    assert_same_step(model, batch, edges, replace(WEIGHTS, curvature=2.0), 1.0)
    terms, _ = fused_training_step(model, batch, replace(WEIGHTS, curvature=2.0), 1.0, edges)
    assert n_rays < 37 or float(terms.curvature) > 0.0


@ON_BOTH
def test_fused_step_draws_a_constant_background():
    model = hash_model()
    model.background = torch.tensor([1.0, 0.5, 0.0])
    assert_same_step(model, *rays_with_intervals(seed=5), WEIGHTS, 1.0)


@ON_BOTH
def test_fused_step_takes_the_plain_absolute_difference():
    assert_same_step(hash_model(), *rays_with_intervals(), LossWeights(0.1, 0.1, 0.0), 1.0)


@ON_BOTH
def test_fused_step_of_intervals_without_length():
    batch, edges = rays_with_intervals()
    assert_same_step(hash_model(), batch, edges[:, :1].expand_as(edges).contiguous(), WEIGHTS, 1.0)


@ON_BOTH
@pytest.mark.parametrize("variance", [-1.0, 1.38, 5.0])
def test_fused_step_stays_finite_at_extreme_sharpness(variance):
    model = hash_model(variance=variance)
    terms, _ = _step(model)
    assert all(abs(value) < 1e6 for value in terms.named().values())
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)


def _step(model: Model):
    batch, edges = rays_with_intervals()
    model.zero_grad(set_to_none=True)
    return fused_training_step(model, batch, WEIGHTS, 1.0, edges)


@ON_BOTH
def test_fused_step_of_no_rays_has_no_gradient():
    model = hash_model()
    batch, edges = rays_with_intervals()
    nothing = RayBatch(batch.origins[:0], batch.directions[:0], batch.colors[:0], batch.masks[:0])
    terms, _ = fused_training_step(model, nothing, WEIGHTS, 1.0, edges[:0])
    assert terms.total == 0
    assert all(p.grad.abs().max() == 0 for p in model.parameters() if p.grad is not None)


def test_number_of_threads_changes_gradients_by_rounding_alone():
    before, results = torch.get_num_threads(), []
    try:
        for n_threads in (1, 2, 3):
            torch.set_num_threads(n_threads)
            model = hash_model()
            _step(model)
            results.append({name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None})
    finally:
        torch.set_num_threads(before)
    # The kernel's sums have one order; torch's product for the viewing direction, which enters, has not.
    for other in results[1:]:
        for name, gradient in results[0].items():
            assert (gradient - other[name]).abs().max() <= 1e-5 * gradient.abs().max(), name


def test_same_seed_gives_the_same_numbers():
    first, second = hash_model(), hash_model()
    _step(first)
    _step(second)
    pairs = zip(first.parameters(), second.parameters(), strict=True)
    assert all(torch.equal(a.grad, b.grad) for a, b in pairs if a.grad is not None)


@ON_BOTH
def test_fused_distances_are_those_of_the_field():
    model = hash_model()
    points = (torch.rand(1003, 3, generator=torch.Generator().manual_seed(0)) * 2.4 - 1.2).to(DEVICE)
    assert torch.allclose(fused_sdf(model, points), model.sdf(points), atol=2e-6)
    assert fused_sdf(model, points[:0]).shape == (0,)


def test_models_that_the_kernel_does_not_know_are_named():
    assert why_not_fused(hash_model()) == ""
    other = hash_model()
    other.config = replace(other.config, surface="mlp")
    assert "mlp" in why_not_fused(other)
    other.config = replace(hash_model().config, neus_renderer=RendererConfig(density="laplace"))
    assert "laplace" in why_not_fused(other)


@ON_BOTH
def test_fused_step_knows_a_grid_of_colours():
    model = hash_model(color_grid=replace(GRID, n_levels=3, n_features=4))
    with torch.no_grad():
        model.sdf_network.color_grid.table.normal_(0.0, 0.3)
    assert_same_step(model, *rays_with_intervals(), WEIGHTS, 1.0)
    assert model.sdf_network.color_grid.table.grad.abs().max() > 0


# bfloat16 keeps 8 bits: one product is off by up to 2^-8, a sum of many that cancel, as gradients do, by more of what is left.
# The interpreter does not round to tf32; on a GPU its 11 bits lie between.
@NEEDS_TRITON
@pytest.mark.parametrize("kernels", ["gpu"], indirect=True)
@pytest.mark.parametrize("precision", ["tf32", "bfloat16"])
def test_fused_step_of_lower_precision_is_the_plain_step_but_for_its_rounding(kernels, precision):
    model = hash_model(color_grid=replace(GRID, n_levels=3, n_features=4))
    with torch.no_grad():
        model.sdf_network.color_grid.table.normal_(0.0, 0.3)
    batch, edges = rays_with_intervals()
    exact = copy.deepcopy(model).cpu().double()
    expected = training_step(exact, double(batch), WEIGHTS, 1.0, None, edges.cpu().double())
    expected.total.backward()
    terms, _ = fused_training_step(model, batch, WEIGHTS, 1.0, edges, precision=precision)
    assert terms.named() == pytest.approx(expected.named(), rel=0.02)
    is_rounded = False
    for (name, parameter), truth in zip(model.named_parameters(), exact.parameters(), strict=True):
        if truth.grad is not None:
            found = parameter.grad.cpu().double()
            assert (found - truth.grad).abs().max() <= 0.1 * truth.grad.abs().max(), name
            assert torch.cosine_similarity(found.flatten(), truth.grad.flatten(), dim=0) > 0.995, name
            is_rounded |= bool((found - truth.grad).abs().max() > 1e-3 * truth.grad.abs().max())
    assert is_rounded or precision == "tf32"


@on_gpu
@pytest.mark.parametrize("kernels", ["gpu"], indirect=True)
def test_fused_step_on_a_gpu_is_the_plain_step_at_full_size(kernels):
    grid = HashGridConfig(n_levels=6, n_features=2, base_resolution=16, finest_resolution=512, log2_table_size=18)
    model = hash_model(grid=grid, d_hidden=64, d_out=8, d_color=64, color_grid=replace(grid, n_levels=4, n_features=4))
    assert_same_step(model, *rays_with_intervals(1537, 24), WEIGHTS, 1.0)


def test_rays_known_to_be_opaque_leave_the_background_alone():
    model, (batch, edges) = hash_model(n_outside=4), rays_with_intervals()
    is_hidden = torch.arange(len(edges)) % 2 == 0
    visible = torch.where(is_hidden)[0]
    weights = LossWeights(0.1, 0.0, 0.0)
    fused_training_step(model, batch, weights, 1.0, edges, is_hidden=torch.ones_like(is_hidden))
    assert all(p.grad is None or not p.grad.any() for p in model.nerf.parameters())
    fused_training_step(model, batch, weights, 1.0, edges, is_hidden=is_hidden)
    some = [p.grad.clone() for p in model.nerf.parameters()]
    assert any(grad.any() for grad in some)
    moved = replace(batch, colors=batch.colors.index_fill(0, visible, 0.3))
    fused_training_step(model, moved, weights, 1.0, edges, is_hidden=is_hidden)
    # Colours of hidden rays say nothing of the background.
    for grad, before in zip((p.grad for p in model.nerf.parameters()), some, strict=True):
        torch.testing.assert_close(grad, before, rtol=1e-4, atol=1e-7)
