"""Starts of rays by a lattice: the compiled form against the reference, and that nothing thin is passed."""

import pytest
import torch

from neus.geometry.rays import intersect_sphere
from neus.kernels.skip_empty_space import cpu, reference

KERNELS = pytest.mark.parametrize("kernels", [reference, cpu])


def lattice_of(sdf, resolution=48):
    axis = torch.linspace(-1.0, 1.0, resolution)
    return sdf(torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), dim=-1))


def plate(points):
    """A plate of a fiftieth of a voxel, exact inside its rim of radius 0.6 and nowhere too long."""
    return torch.maximum((points[..., 2] - 0.011).abs() - 0.0004, points[..., :2].norm(dim=-1) - 0.6)


def some_rays(n=500):
    generator = torch.Generator().manual_seed(0)
    origins = torch.nn.functional.normalize(torch.randn(n, 3, generator=generator), dim=1) * 2.0
    targets = torch.rand(n, 3, generator=generator) * 2.0 - 1.0
    directions = torch.nn.functional.normalize(targets - origins, dim=1)
    enters, leaves, hits = intersect_sphere(origins, directions)
    return origins, directions, enters, torch.where(hits, leaves, enters - 1.0)


@KERNELS
def test_before_its_start_no_ray_is_nearer_than_the_margin(kernels):
    origins, directions, near, far = some_rays()
    start = kernels.skip_empty_space(origins, directions, near, far, lattice_of(plate), 1.0, 0.01)
    assert (start >= near).all() and (start > near + 0.1).float().mean() > 0.5, "and most are well on their way"
    fraction = torch.linspace(0.0, 1.0, 400)
    t = near.unsqueeze(1) + fraction * (torch.minimum(start, far) - near).clamp_min(0.0).unsqueeze(1)
    passed = plate(origins.unsqueeze(1) + t.unsqueeze(-1) * directions.unsqueeze(1))
    assert passed[near <= far].min() > 0.01 - 1e-4


@KERNELS
def test_rays_far_from_everything_are_through(kernels):
    ray = torch.tensor([[0.0, 0.9, -2.0]]), torch.tensor([[0.0, 0.0, 1.0]])
    near, far = torch.tensor([1.6]), torch.tensor([2.4])
    values = lattice_of(lambda points: points.norm(dim=-1) - 0.3)
    assert kernels.skip_empty_space(*ray, near, far, values, 1.0, 0.01) > far


def test_compiled_starts_equal_the_reference():
    rays = some_rays(700)
    values = lattice_of(lambda points: points.norm(dim=-1) - 0.4)
    a, b = (k.skip_empty_space(*rays, values, 1.3, 0.02) for k in (reference, cpu))
    # A ray halfway between two vertices may take either for the nearest.
    assert ((a - b).abs() < 1e-4).float().mean() > 0.99 and (a - b).abs().max() < 0.05


@KERNELS
def test_a_lattice_that_is_nan_holds_rays_where_they_are(kernels):
    origins, directions, near, far = some_rays(20)
    start = kernels.skip_empty_space(origins, directions, near, far, torch.full((8, 8, 8), torch.nan), 1.0, 0.01)
    assert torch.equal(start, near)
