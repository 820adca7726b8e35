"""Products of tiles: equal to numpy's for any number of samples, whatever lies beyond those."""

import numpy as np
import pytest

from neus.kernels.fused_step.cpu.gemm_microkernel import COLUMNS
from neus.kernels.fused_step.cpu.matmul import add_outer, add_product, product

SHAPES = [(2, 4), (6, 8), (8, 64), (64, 16)]


def _tile(generator: np.random.Generator, n_rows: int, n: int) -> np.ndarray:
    """Rows with room for whole blocks; what lies beyond the n samples is NaN, as after a step that failed."""
    rows = np.full((n_rows, -(-n // COLUMNS) * COLUMNS), np.nan, np.float32)
    rows[:, :n] = generator.normal(size=(n_rows, n))
    return rows


@pytest.mark.parametrize("n", [0, 1, 7, 8, 9, 16, 17, 120])
@pytest.mark.parametrize("shape", SHAPES)
def test_products_of_tiles_are_those_of_numpy(shape: tuple[int, int], n: int) -> None:
    generator = np.random.default_rng(0)
    weights = generator.normal(size=shape).astype(np.float32)
    columns, out = _tile(generator, shape[1], n), _tile(generator, shape[0], n)
    expected = weights @ columns[:, :n]
    grown = out[:, :n] + expected
    add_product(weights, columns, out, n)
    np.testing.assert_allclose(out[:, :n], grown, rtol=1e-4, atol=1e-5)
    product(weights, columns, out, n)
    np.testing.assert_allclose(out[:, :n], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("n", [0, 1, 7, 8, 9, 16, 17, 120])
@pytest.mark.parametrize("shape", SHAPES)
def test_gradients_of_weights_are_sums_over_the_samples_in_use(shape: tuple[int, int], n: int) -> None:
    generator = np.random.default_rng(1)
    left, right = _tile(generator, shape[0], n), _tile(generator, shape[1], n)
    gradient = generator.normal(size=shape).astype(np.float32)
    expected = gradient + left[:, :n] @ right[:, :n].T
    add_outer(left, right, gradient, n)
    np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=1e-4)
