"""Adam on the touched rows of a table on a CPU: one compiled pass with the signature of `reference`, whose docstring holds too.

Rows are independent of each other, so the numbers are the same to the bit whatever the number of threads.
"""

import math

import numpy as np
from numba import njit
from torch import Tensor

from neus.kernels.adam_rows.reference import bias_corrections
from neus.kernels.threads import ranges, run_tasks

ROWS_PER_TASK = 1 << 16
# Rows processed together: as much as a few lines of cache.
ROWS_PER_BLOCK = 64
_compiled = njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})


def adam_rows(
    parameter: Tensor,
    gradient: Tensor,
    moment1: Tensor,
    moment2: Tensor,
    row_steps: Tensor,
    learning_rate: float,
    betas: tuple[float, float],
    epsilon: float,
) -> None:
    """One step of Adam in place; see `reference.adam_rows`."""
    # Contiguous, since a copy would be changed in vain.
    arrays = tuple(tensor.detach().numpy() for tensor in (parameter, gradient, moment1, moment2))
    assert all(array.flags.c_contiguous for array in arrays)
    # In the type of the table, lest one factor in double precision turn all into it.
    constants = np.array((betas[0], 1.0 - betas[0], betas[1], 1.0 - betas[1], epsilon), arrays[0].dtype)
    corrections = bias_corrections(betas, parameter.dtype).numpy()
    rates = corrections[0] * constants.dtype.type(learning_rate)

    flat, n_features, counts = [array.reshape(-1) for array in arrays], parameter.shape[1], row_steps.numpy()

    def some(start: int, stop: int) -> None:
        _step(*flat, counts, n_features, constants, rates, corrections[1], start, stop)

    run_tasks(some, ranges(len(arrays[0]), ROWS_PER_TASK))


@_compiled
def _step(parameter, gradient, moment1, moment2, row_steps, n_features, constants, rates, corrections2, start, stop):
    """Rows start ... stop of the flat table, block by block; blocks without any gradient are left at once.

    Within a block everything is computed, and then chosen without a branch, so that the compiler makes vectors of the loops.
    """
    keep1, take1, keep2, take2, epsilon = constants
    touched = np.empty(ROWS_PER_BLOCK * n_features, np.bool_)
    changes = np.empty(ROWS_PER_BLOCK * n_features, parameter.dtype)
    # Of each number its row's; those of untouched rows are not used, but must be numbers.
    rate, correction2 = np.ones_like(changes), np.ones_like(changes)
    for first_row in range(start, stop, ROWS_PER_BLOCK):
        last_row = min(first_row + ROWS_PER_BLOCK, stop)
        first, last = first_row * n_features, last_row * n_features
        p, g, m, v = parameter[first:last], gradient[first:last], moment1[first:last], moment2[first:last]
        n_nonzero = 0
        for i in range(len(g)):
            n_nonzero += g[i] != 0
        if n_nonzero == 0:
            continue
        _mark(g, n_features, touched)
        _count(touched, n_features, row_steps[first_row:last_row], rates, corrections2, rate, correction2)
        for i in range(len(m)):
            m[i] = keep1 * m[i] + take1 * g[i] if touched[i] else m[i]
        for i in range(len(v)):
            v[i] = keep2 * v[i] + take2 * g[i] * g[i] if touched[i] else v[i]
        for i in range(len(p)):
            changes[i] = rate[i] * m[i] / (math.sqrt(v[i]) * correction2[i] + epsilon)
        for i in range(len(p)):
            p[i] = p[i] - changes[i] if touched[i] else p[i]
        g[:] = 0


@_compiled
def _count(touched, n_features, row_steps, rates, corrections2, rate, correction2):
    """Counts a step of the touched rows of a block, and fills the rate and the correction of each of their numbers."""
    for row in range(len(row_steps)):
        if touched[row * n_features]:
            n = min(max(np.int64(row_steps[row]) + 1, 1), len(rates) - 1)
            row_steps[row] = n
            for i in range(row * n_features, (row + 1) * n_features):
                rate[i], correction2[i] = rates[n], corrections2[n]


@_compiled
def _mark(g, n_features, touched):
    """Which of the numbers of some rows belong to rows with a gradient."""
    # The usual numbers of features apart, and many times faster where the compiler knows them.
    if n_features == 2:
        for row in range(len(g) // 2):
            is_touched = (g[2 * row] != 0) | (g[2 * row + 1] != 0)
            touched[2 * row], touched[2 * row + 1] = is_touched, is_touched
        return
    if n_features == 4:
        for row in range(0, len(g), 4):
            is_touched = (g[row] != 0) | (g[row + 1] != 0) | (g[row + 2] != 0) | (g[row + 3] != 0)
            touched[row] = touched[row + 1] = touched[row + 2] = touched[row + 3] = is_touched
        return
    for first in range(0, len(g), n_features):
        is_touched = False
        for i in range(first, first + n_features):
            is_touched |= g[i] != 0
        for i in range(first, first + n_features):
            touched[i] = is_touched
