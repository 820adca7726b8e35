"""Products of small matrices with tiles: rows are channels, columns the samples of a tile, so that inner loops run along memory."""

import numpy as np
from numba import njit

# Sums may be regrouped, so that they fill vector registers; the order is fixed once compiled. NaN and infinity stay what they are.
compiled = njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract", "reassoc", "nsz", "arcp"})
ZERO, HALF, ONE, TWO = (np.float32(value) for value in (0.0, 0.5, 1.0, 2.0))


@compiled
def fill_rows(values: np.ndarray, out: np.ndarray, n: int) -> None:
    """out[j, :n] = values[j]."""
    for j in range(out.shape[0]):
        value, row = values[j], out[j]
        for i in range(n):
            row[i] = value


@compiled
def add_product(weights: np.ndarray, columns: np.ndarray, out: np.ndarray, n: int) -> None:
    """out[:, :n] += weights (J, K) @ columns (K, n); J is even, K a multiple of four."""
    for j in range(0, weights.shape[0], 2):
        out0, out1 = out[j], out[j + 1]
        for k in range(0, weights.shape[1], 4):
            c0, c1, c2, c3 = columns[k], columns[k + 1], columns[k + 2], columns[k + 3]
            p0, p1, p2, p3 = weights[j, k], weights[j, k + 1], weights[j, k + 2], weights[j, k + 3]
            q0, q1, q2, q3 = weights[j + 1, k], weights[j + 1, k + 1], weights[j + 1, k + 2], weights[j + 1, k + 3]
            for i in range(n):
                x0, x1, x2, x3 = c0[i], c1[i], c2[i], c3[i]
                out0[i] += p0 * x0 + p1 * x1 + p2 * x2 + p3 * x3
                out1[i] += q0 * x0 + q1 * x1 + q2 * x2 + q3 * x3


@compiled
def product(weights: np.ndarray, columns: np.ndarray, out: np.ndarray, n: int) -> None:
    """out[:, :n] = weights (J, K) @ columns (K, n)."""
    for j in range(weights.shape[0]):
        row = out[j]
        for i in range(n):
            row[i] = ZERO
    add_product(weights, columns, out, n)


@compiled
def add_outer(left: np.ndarray, right: np.ndarray, gradient: np.ndarray, n: int) -> None:
    """gradient (J, K) += left (J, n) @ right (K, n)^T: the gradient of weights."""
    for j in range(0, gradient.shape[0], 2):
        p, q = left[j], left[j + 1]
        for k in range(0, gradient.shape[1], 4):
            r0, r1, r2, r3 = right[k], right[k + 1], right[k + 2], right[k + 3]
            s0 = s1 = s2 = s3 = t0 = t1 = t2 = t3 = ZERO
            for i in range(n):
                u, v = p[i], q[i]
                s0 += u * r0[i]
                s1 += u * r1[i]
                s2 += u * r2[i]
                s3 += u * r3[i]
                t0 += v * r0[i]
                t1 += v * r1[i]
                t2 += v * r2[i]
                t3 += v * r3[i]
            gradient[j, k] += s0
            gradient[j, k + 1] += s1
            gradient[j, k + 2] += s2
            gradient[j, k + 3] += s3
            gradient[j + 1, k] += t0
            gradient[j + 1, k + 1] += t1
            gradient[j + 1, k + 2] += t2
            gradient[j + 1, k + 3] += t3


@compiled
def add_row_sums(rows: np.ndarray, sums: np.ndarray, n: int) -> None:
    """sums[j] += sum of rows[j, :n]."""
    for j in range(rows.shape[0]):
        row, total = rows[j], ZERO
        for i in range(n):
            total += row[i]
        sums[j] += total
