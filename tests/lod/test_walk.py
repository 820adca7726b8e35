"""The compiled walk gives the numbers of torch; rays end on the surface."""

import numpy as np
import pytest
import torch

from neus.errors import InputError
from neus.geometry.cameras import Camera
from neus.lod.published import read_published
from neus.lod.renderer import LodRenderer
from neus.lod.walk import LodWalk, cube_interval
from neus.rendering import sphere_tracing
from neus.rendering.views import render_view
from tests.lod.conftest import torus

EYE = (2.3, -1.5, 1.5)


def camera(width=41, height=31):
    return Camera.look_at(EYE, (0.0, 0.0, 0.0), fov=40, size=(width, height)).in_scene(torch.eye(4, dtype=torch.float64))


def rays(n=400):
    """Rays from a sphere around the torus towards points near it."""
    origins = 3.0 * torch.nn.functional.normalize(torch.randn(n, 3), dim=1)
    return origins, torch.nn.functional.normalize(0.8 * (2.0 * torch.rand(n, 3) - 1.0) - origins, dim=1)


@pytest.fixture(scope="module")
def published(shared):
    return read_published(shared / "oracle" / "nglod" / "model.pth").requires_grad_(False)


@pytest.mark.parametrize("level", [0.0, 1.0, 2.4, 3.0])
def test_distances_and_gradients_are_those_of_torch(torus_levels, monkeypatch, level):
    points = 2.4 * torch.rand(1001, 3) - 1.2
    inside = points.clamp(-0.999, 0.999)
    walk = LodWalk(torus_levels, level)
    found, gradients = walk.sdf(points), walk.gradients(inside)
    monkeypatch.setenv("NEUS_KERNELS", "reference")
    assert torch.allclose(found, walk.sdf(points), atol=1e-5)
    # Where a hidden unit is at rest within rounding, its slope is a matter of taste.
    differ = (gradients - walk.gradients(inside)).abs().amax(1) > 1e-4
    assert differ.float().mean() < 0.005


def test_published_models_are_walked_alike(published):
    points = 2.0 * torch.rand(500, 3) - 1.0
    for level in (0.0, 3.0):
        assert torch.allclose(LodWalk(published, level).sdf(points), published.at(level).sdf(points), atol=1e-5)


@pytest.mark.parametrize("level", [1.0, 2.5, 3.0])
def test_hits_are_those_of_the_tracer(torus_levels, monkeypatch, level):
    origins, directions = rays()
    found = LodWalk(torus_levels, level).trace(origins, directions)
    monkeypatch.setenv("NEUS_KERNELS", "reference")
    wanted = LodWalk(torus_levels, level).trace(origins, directions)
    assert 0.2 < wanted.hit.float().mean() < 0.9
    assert (found.hit != wanted.hit).sum() <= 1  # a ray that grazes
    both = found.hit & wanted.hit
    points = (origins + found.t.unsqueeze(1) * directions)[both]
    assert ((found.t - wanted.t)[both].abs() < 1e-4).float().mean() > 0.99
    assert (torus_levels.at(level).sdf(points).abs() < 3e-4).all()


def test_rays_end_on_the_torus_and_its_normals_are_seen(torus_levels):
    view = render_view(LodRenderer(LodWalk(torus_levels, 3.0)), camera())
    origins, directions = rays()
    found = LodWalk(torus_levels, 3.0).trace(origins, directions)
    near, far = cube_interval(origins, directions)
    true = sphere_tracing.trace(torus, origins, directions, near, far)
    assert (found.hit != true.hit).float().mean() < 0.02
    both = found.hit & true.hit
    assert (found.t - true.t)[both].abs().median() < 2e-3
    is_hit = view.opacity > 0.5
    assert 0.1 < is_hit.float().mean() < 0.6 and torch.equal(view.normals.norm(dim=-1) > 0.5, is_hit)
    assert view.rgb[~is_hit].min() == 1.0 and view.rgb[is_hit].max() < 0.9


@pytest.mark.parametrize("level", [0, 3])
def test_hits_of_the_published_tracer(published, shared, level):
    oracle = np.load(shared / "oracle" / "nglod" / "outputs.npz")
    origins, directions = (torch.from_numpy(oracle[f"trace/{name}"]) for name in ("origins", "directions"))
    near, far = cube_interval(origins, directions)
    enters = torch.from_numpy(oracle["trace/enters"])
    assert torch.equal(near < far, enters)
    assert torch.allclose(near[enters], torch.from_numpy(oracle["trace/t_enter"])[enters], atol=1e-5)
    found = LodWalk(published, float(level)).trace(origins, directions)
    hit, t = (torch.from_numpy(oracle[f"trace/{level}/{name}"]) for name in ("hit", "t"))
    assert (found.hit != hit).float().mean() <= 0.01
    both = found.hit & hit
    points = (origins + found.t.unsqueeze(1) * directions)[both]
    assert (published.published_sdf(points, level).abs() < 3e-4).all()
    # It stops as soon as |f| <= 3e-4, or 9e-4 where it swings.
    assert ((found.t - t)[both].abs() < 5e-3).float().mean() > 0.98


def test_an_interval_of_the_cube_is_empty_for_rays_that_pass_it_by():
    origins, up = torch.tensor([[0.0, 0.0, -3.0], [2.0, 0.0, -3.0], [0.0, 0.0, 0.0]]), torch.tensor([0.0, 0.0, 1.0]).expand(3, 3)
    near, far = cube_interval(origins, up)
    assert (near[0], far[0]) == (2.0, 4.0) and near[1] > far[1] and (near[2], far[2]) == (0.0, 1.0)


def test_a_small_change_of_level_changes_depths_a_little(torus_levels):
    views = [render_view(LodRenderer(LodWalk(torus_levels, level)), camera(64, 64)) for level in (2.0, 2.05)]
    both = (views[0].opacity > 0.5) & (views[1].opacity > 0.5)
    depths = [view.depth[both] for view in views]
    change = (depths[0] - depths[1]).abs()
    span = depths[0].max() - depths[0].min()
    assert change.quantile(0.98) <= 0.02 * span and change.median() > 0


def test_other_levels_and_shadings_are_refused(torus_levels):
    with pytest.raises(InputError, match="level 3.5: the levels of detail are 0 to 3"):
        LodWalk(torus_levels, 3.5).sdf(torch.zeros(1, 3))
    with pytest.raises(InputError, match="shading color: this model has its shape only"):
        LodRenderer(LodWalk(torus_levels, 1.0), "color")
