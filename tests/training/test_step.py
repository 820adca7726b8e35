from dataclasses import replace

import pytest
import torch

from neus.runs.build import build_model
from neus.scenes.readers import read_scene
from neus.training.losses import color_loss, eikonal_loss, mask_loss, psnr_of
from neus.training.pixels import RayBatch, random_rays
from neus.training.step import LossWeights, training_step


@pytest.fixture
def model(tiny_config):
    return build_model(tiny_config.model)


@pytest.fixture
def batch(scene_folder):
    return random_rays(read_scene(scene_folder), 1, 32, torch.Generator().manual_seed(1)).to(torch.device("cpu"))


def generator():
    return torch.Generator().manual_seed(7)


@pytest.mark.parametrize("cos_anneal", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("mask_weight", [0.0, 0.1])
def test_total_is_the_weighted_sum_of_the_terms_of_the_rendered_rays(model, batch, cos_anneal, mask_weight):
    terms = training_step(model, batch, LossWeights(0.1, mask_weight), cos_anneal, generator())
    seen = model.render(batch.origins, batch.directions, perturb=True, cos_anneal=cos_anneal, generator=generator())
    mask = batch.masks if mask_weight else torch.ones(32)
    assert torch.equal(terms.color, color_loss(seen.rgb, batch.colors, mask))
    assert torch.equal(terms.eikonal, eikonal_loss(seen.gradients, seen.radii))
    assert torch.equal(terms.mask, mask_loss(seen.opacity, mask) if mask_weight else torch.tensor(0.0))
    assert torch.allclose(terms.total, terms.color + 0.1 * terms.eikonal + mask_weight * terms.mask)
    assert torch.equal(terms.psnr, psnr_of(seen.rgb, batch.colors, mask))
    assert terms.weight_max.item() == pytest.approx(seen.weights.amax(-1).mean().item())


def test_only_the_total_carries_into_the_parameters_what_the_weights_say(model, batch):
    training_step(model, batch, LossWeights(0.0, 0.0), 1.0, generator()).total.backward()
    without = model.sdf_network.lin1.weight_v.grad.clone()
    model.zero_grad()
    training_step(model, batch, LossWeights(10.0, 0.0), 1.0, generator()).total.backward()
    assert not torch.allclose(without, model.sdf_network.lin1.weight_v.grad)
    assert model.sharpness.variance.grad.isfinite()


def test_terms_become_plain_numbers(model, batch):
    named = training_step(model, batch, LossWeights(), 1.0, generator()).named()
    assert list(named) == ["total", "color", "eikonal", "mask", "psnr", "weight_max", "points", "curvature"]
    assert all(type(value) is float for value in named.values())


def test_steps_along_the_gradient_lower_the_loss(model, batch):
    optimizer = torch.optim.Adam(model.parameter_list(), lr=3e-3)
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        terms = training_step(model, batch, LossWeights(0.1, 0.1), 1.0, generator())
        terms.total.backward()
        optimizer.step()
        losses.append(terms.total.item())
    assert losses[-1] < 0.8 * losses[0]


def test_rays_that_miss_the_sphere_have_no_part_in_the_surface_where_it_is_sampled_within_the_sphere(tiny_config):
    renderer = replace(tiny_config.model.neus_renderer, n_outside=4, near_far="sphere")
    model = build_model(replace(tiny_config.model, neus_renderer=renderer))
    # Past the sphere by so little that their nearest points would count in the Eikonal term.
    sines = torch.linspace(1.02, 1.15, 20) / 3.0
    directions = torch.stack([sines, torch.zeros(20), (1.0 - sines.square()).sqrt()], dim=-1)
    origins = torch.tensor([[0.0, 0.0, -3.0]]).expand(20, 3)
    terms = training_step(
        model, RayBatch(origins, directions, torch.rand(20, 3), None), LossWeights(0.3), 1.0, generator()
    )
    terms.total.backward()
    assert terms.eikonal == 0.0 and terms.color > 0.0
    assert all(p.grad is None or p.grad.abs().max() == 0.0 for p in model.sdf_network.parameters())
    assert any(p.grad.abs().max() > 0.0 for p in model.nerf.parameters())
