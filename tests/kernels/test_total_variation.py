"""Iterations of the relaxation: compiled and plain agree, with any number of threads, and the duality gap bounds the error."""

import numpy as np
import pytest
import torch

from neus.kernels.total_variation import cpu, reference
from neus.kernels.total_variation.reference import differences, divergence


def problem(shape, seed=0):
    generator = np.random.default_rng(seed)
    costs = generator.normal(size=shape).astype(np.float32)
    weights = generator.uniform(0.0, 1.5, shape).astype(np.float32)
    u = generator.uniform(size=shape).astype(np.float32)
    return u, u.copy(), np.zeros((3, *shape), np.float32), costs, weights


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 1, 2), (2, 1, 1), (5, 7, 9), (33, 32, 31)])
def test_compiled_and_plain_iterate_alike(shape):
    both = [problem(shape) for _ in range(2)]
    for kernels, arrays in zip((cpu, reference), both, strict=True):
        kernels.iterate(*arrays, 7)
    for a, b in zip(*both, strict=True):
        np.testing.assert_allclose(a, b, atol=2e-6)
    u, _, dual, costs, weights = both[0]
    np.testing.assert_allclose(
        cpu.energies(u, dual, costs, weights), reference.energies(u, dual, costs, weights), rtol=1e-5, atol=1e-5
    )


def test_any_number_of_threads_gives_the_same_bits():
    found, before = [], torch.get_num_threads()
    try:
        for n in (1, 2, 5):
            torch.set_num_threads(n)
            arrays = problem((57, 55, 56))
            cpu.iterate(*arrays, 6)
            found.append((arrays[0].tobytes(), arrays[2].tobytes(), cpu.energies(arrays[0], *arrays[2:])))
    finally:
        torch.set_num_threads(before)
    assert found[0] == found[1] == found[2]


def test_divergence_is_minus_the_adjoint_of_differences():
    generator = np.random.default_rng(1)
    u, dual = generator.normal(size=(4, 5, 6)), generator.normal(size=(3, 4, 5, 6))
    dual[0, -1], dual[1, :, -1], dual[2, :, :, -1] = 0.0, 0.0, 0.0
    assert (differences(u) * dual).sum() == pytest.approx(-(u * divergence(dual)).sum())


@pytest.mark.parametrize("kernels", [cpu, reference])
def test_the_bound_rises_to_the_energy(kernels):
    arrays = problem((8, 8, 8))
    gaps = []
    for _ in range(4):
        kernels.iterate(*arrays, 60)
        energy, bound, _ = kernels.energies(arrays[0], *arrays[2:])
        gaps.append(energy - bound)
    assert -1e-3 < gaps[-1] < 0.05 * gaps[0] and gaps[-1] < 0.01 * abs(energy)
