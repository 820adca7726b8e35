"""Products of small matrices with tiles: rows are channels, columns the samples of a tile, so that inner loops run along memory."""

import numpy as np

from neus.kernels.fused_step.cpu.gemm_microkernel import COLUMNS, outer_of_two, product_of_four, product_of_two
from neus.kernels.jit import compiled

ZERO, HALF, ONE, TWO = (np.float32(value) for value in (0.0, 0.5, 1.0, 2.0))


@compiled
def fill_rows(values: np.ndarray, out: np.ndarray, n: int) -> None:
    """out[j, :n] = values[j]."""
    for j in range(out.shape[0]):
        value, row = values[j], out[j]
        for i in range(n):
            row[i] = value


@compiled
def _product(weights, columns, out, n, is_sum):
    rows = weights.shape[0]
    for i in range(0, n, COLUMNS):
        for j in range(0, rows - 3, 4):
            product_of_four(weights, j, columns, i, out, is_sum)
        if rows % 4:
            product_of_two(weights, rows - 2, columns, i, out, is_sum)


@compiled
def add_product(weights: np.ndarray, columns: np.ndarray, out: np.ndarray, n: int) -> None:
    """out[:, :n] += weights (J, K) @ columns (K, n); J is even, columns and out have room for n rounded up to whole blocks."""
    _product(weights, columns, out, n, True)


@compiled
def product(weights: np.ndarray, columns: np.ndarray, out: np.ndarray, n: int) -> None:
    """out[:, :n] = weights (J, K) @ columns (K, n); as `add_product`."""
    _product(weights, columns, out, n, False)


@compiled
def add_outer(left: np.ndarray, right: np.ndarray, gradient: np.ndarray, n: int) -> None:
    """gradient (J, K) += left (J, n) @ right (K, n)^T, the gradient of weights; J is even, K a multiple of four."""
    for j in range(0, gradient.shape[0], 2):
        for k in range(0, gradient.shape[1], 4):
            outer_of_two(left, j, right, k, gradient, n)


@compiled
def add_row_sums(rows: np.ndarray, sums: np.ndarray, n: int) -> None:
    """sums[j] += sum of rows[j, :n]."""
    for j in range(rows.shape[0]):
        row, total = rows[j], ZERO
        for i in range(n):
            total += row[i]
        sums[j] += total
