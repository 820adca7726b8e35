"""Distances on a lattice to where values change sign: as comparing all pairs finds them, and right for a plane and a sphere."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from neus.kernels.zero_distances import cpu, reference


@pytest.mark.parametrize("shape", [(12, 9, 14), (5, 16, 7), (2, 2, 2), (1, 6, 5)])
def test_compiled_takes_the_foot_of_a_nearest_vertex(shape):
    values = ndimage.gaussian_filter(np.random.default_rng(sum(shape)).standard_normal(shape), 1.0).astype(np.float32)
    values -= np.median(values) - 1e-4
    places, feet = reference.feet_of(values)
    vertices = np.argwhere(np.ones(shape, bool))
    squares = np.square(vertices[:, None] - places[None]).sum(axis=-1)
    to_feet = np.linalg.norm(vertices[:, None] - feet[None], axis=-1)
    is_nearest = squares == squares.min(axis=1, keepdims=True)
    low = np.where(is_nearest, to_feet, np.inf).min(axis=1).reshape(shape)
    high = np.where(is_nearest, to_feet, 0.0).max(axis=1).reshape(shape)
    for kernels in (cpu, reference):
        found = kernels.distances_to_zeros(values, 0.5)
        assert ((found < 0) == (values < 0)).all()
        assert (np.abs(found) >= 0.5 * low - 1e-5).all() and (np.abs(found) <= 0.5 * high + 1e-5).all()


def test_beside_a_slanted_plane_distances_are_exact():
    x, y, z = np.mgrid[:16, :16, :16]
    exact = (2.0 * x + y - 2.0 * z - 6.3) / 3.0
    found = cpu.distances_to_zeros(7.0 * exact, 1.0)
    # Vertices on the lattice's faces may lack a zero on one of their edges.
    near = np.abs(exact) < 0.3
    near[[0, -1]] = near[:, [0, -1]] = near[:, :, [0, -1]] = False
    assert near.sum() > 50
    np.testing.assert_allclose(found[near], exact[near], atol=1e-5)
    assert np.abs(found - exact)[2:-2, 2:-2, 2:-2].max() < 1.0


def test_the_result_does_not_depend_on_the_number_of_threads():
    values = ndimage.gaussian_filter(np.random.default_rng(0).standard_normal((30, 31, 32)), 2.0)
    n_threads, results = torch.get_num_threads(), []
    for n in (1, 3):
        torch.set_num_threads(n)
        results.append(cpu.distances_to_zeros(values, 1.0))
    torch.set_num_threads(n_threads)
    np.testing.assert_array_equal(*results)
