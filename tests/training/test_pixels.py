from dataclasses import replace

import pytest
import torch

from neus.geometry.cameras import project
from neus.training.pixels import ViewOrder, random_rays, rays_at
from tests.scenes.layouts import ring_scene


@pytest.fixture
def scene():
    return ring_scene([(40, 30), (20, 26), (30, 30)])


def test_rays_of_pixels_project_back_to_their_centres(scene):
    x, y = torch.tensor([0, 19, 7]), torch.tensor([0, 25, 11])
    batch = rays_at(scene, 1, x, y)
    pixels, depth = project(batch.origins + 2.7 * batch.directions, scene.camera(1))
    assert torch.allclose(pixels, torch.stack([x, y], dim=-1).double() + 0.5, atol=1e-6) and (depth > 0).all()
    assert torch.allclose(batch.directions.norm(dim=-1), torch.ones(3).double())


def test_rays_carry_the_color_and_mask_of_their_pixel(scene):
    batch = rays_at(scene, 0, torch.tensor([39, 3]), torch.tensor([2, 29]))
    for i, (x, y) in enumerate([(39, 2), (3, 29)]):
        assert torch.allclose(batch.colors[i], torch.from_numpy(scene.images[0][y, x]) / 255.0)
        assert batch.masks[i] == float(scene.masks[0][y, x])


def test_white_is_one_and_black_is_zero(scene):
    scene.images[0][:] = 255
    scene.images[1][:] = 0
    assert (random_rays(scene, 0, 9, torch.Generator()).colors == 1.0).all()
    assert (random_rays(scene, 1, 9, torch.Generator()).colors == 0.0).all()


def test_random_rays_cover_all_pixels_of_one_view_alike(scene):
    batch = random_rays(scene, 1, 52_000, torch.Generator().manual_seed(0))
    pixels, _ = project(batch.origins + batch.directions, scene.camera(1))
    x, y = pixels.floor().long().unbind(-1)
    counts = torch.zeros(26, 20).index_put_((y, x), torch.ones(len(x)), accumulate=True)
    # A hundred for each pixel, give or take five deviations.
    assert counts.min() > 50 and counts.max() < 150


def test_without_masks_rays_have_none(scene):
    batch = random_rays(replace(scene, masks=None), 0, 4, torch.Generator())
    assert batch.masks is None and batch.to(torch.device("cpu")).masks is None


def test_rays_for_training_are_single_precision(scene):
    batch = random_rays(scene, 0, 4, torch.Generator()).to(torch.device("cpu"))
    assert {t.dtype for t in (batch.origins, batch.directions, batch.colors, batch.masks)} == {torch.float32}


def test_every_round_shows_each_view_once_in_another_order():
    order = ViewOrder(10, torch.Generator().manual_seed(0))
    rounds = [[order.view_at(10 * i + j) for j in range(10)] for i in range(4)]
    assert all(sorted(views) == list(range(10)) for views in rounds)
    assert len({tuple(views) for views in rounds}) == 4
