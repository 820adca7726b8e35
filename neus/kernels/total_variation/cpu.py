"""Iterations that minimise weighted total variation plus a linear cost over a lattice, compiled; see `reference`."""

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from neus.kernels.threads import n_threads, run_tasks
from neus.kernels.total_variation.reference import DUAL_STEP, PRIMAL_STEP

# No fast mathematics: the bits then do not depend on what is inlined where, and memory is what takes the time.
_compiled = njit(cache=True, nogil=True, error_model="numpy")
# Slabs for each thread: with more than one a thread that was held up delays the others less.
SLABS_PER_THREAD = 2
# Smaller lattices are done sooner than they are handed out.
LEAST_PER_SLAB = 1 << 15


def iterate(u: NDArray, leading: NDArray, dual: NDArray, costs: NDArray, weights: NDArray, n_iterations: int) -> None:
    """Primal-dual iterations in place; see `reference.iterate`. The same with any number of threads.

    The dual of a plane needs `leading` of the next one, and the primal of a plane the dual of the one before: a single pass over a
    slab does both, plane after plane, once the duals at the ends of all slabs have been computed.
    """
    arrays = u, leading, dual, costs, weights
    bounds = _slabs(u)
    ends = [(end - 1, end) for _, end in bounds]
    for _ in range(n_iterations):
        for first, last in ends:
            _advance_dual(leading, dual, weights, first, last, np.float32(DUAL_STEP))
        if len(bounds) == 1:
            _advance(*arrays, *bounds[0], np.float32(DUAL_STEP), np.float32(PRIMAL_STEP))
        else:
            run_tasks(lambda a, b: _advance(*arrays, a, b, np.float32(DUAL_STEP), np.float32(PRIMAL_STEP)), bounds)


def energies(u: NDArray, dual: NDArray, costs: NDArray, weights: NDArray) -> tuple[float, float, float]:
    """The energy, a lower bound of all energies, and the weighted total variation; see `reference.energies`."""
    sums = np.zeros((len(u), 3))
    run_tasks(lambda a, b: _sum_planes(u, dual, costs, weights, a, b, sums), _slabs(u))
    linear, bound, variation = sums.sum(axis=0).tolist()
    return linear + variation, bound, variation


def _slabs(u: NDArray) -> list[tuple[int, int]]:
    n_slabs = 1 if n_threads() == 1 else SLABS_PER_THREAD * n_threads()
    n_slabs = max(1, min(n_slabs, len(u), u.size // LEAST_PER_SLAB))
    cuts = np.linspace(0, len(u), n_slabs + 1).round().astype(int).tolist()
    return list(zip(cuts[:-1], cuts[1:], strict=True))


@_compiled
def _advance(u, leading, dual, costs, weights, start, end, sigma, tau):
    """One iteration on planes start ... end; the dual of the last of them is already the new one."""
    for x in range(start, end):
        if x < end - 1:
            _advance_dual(leading, dual, weights, x, x + 1, sigma)
        _advance_primal(u, leading, dual, costs, x, tau)


@_compiled
def _advance_dual(leading, dual, weights, start, end, sigma):
    n_x, n_y, n_z = leading.shape
    zero, one = np.float32(0.0), np.float32(1.0)
    for x in range(start, end):
        # Beyond a far face the value is repeated: no difference.
        after = min(x + 1, n_x - 1)
        for y in range(n_y):
            here, below, beside = leading[x, y], leading[after, y], leading[x, min(y + 1, n_y - 1)]
            p, q, r, g = dual[0, x, y], dual[1, x, y], dual[2, x, y], weights[x, y]
            for z in range(n_z - 1):
                a = p[z] + sigma * (below[z] - here[z])
                b = q[z] + sigma * (beside[z] - here[z])
                c = r[z] + sigma * (here[z + 1] - here[z])
                scale = g[z] / max(math.sqrt(a * a + b * b + c * c), np.float32(1e-20))
                scale = min(one, scale)
                p[z], q[z], r[z] = scale * a, scale * b, scale * c
            z = n_z - 1
            a = p[z] + sigma * (below[z] - here[z])
            b = q[z] + sigma * (beside[z] - here[z])
            scale = min(one, g[z] / max(math.sqrt(a * a + b * b), np.float32(1e-20)))
            p[z], q[z], r[z] = scale * a, scale * b, zero


@_compiled
def _advance_primal(u, leading, dual, costs, x, tau):
    n_y, n_z = u.shape[1:]
    zero, one, two = np.float32(0.0), np.float32(1.0), np.float32(2.0)
    # Before the first plane and row there is no dual: it enters with factor 0.
    has_above, above = np.float32(x > 0), max(x - 1, 0)
    for y in range(n_y):
        has_left, left = np.float32(y > 0), max(y - 1, 0)
        now, lead, c = u[x, y], leading[x, y], costs[x, y]
        p, q, r, before, beside = dual[0, x, y], dual[1, x, y], dual[2, x, y], dual[0, above, y], dual[1, x, left]
        first = p[0] - has_above * before[0] + q[0] - has_left * beside[0] + r[0]
        new = min(one, max(zero, now[0] + tau * (first - c[0])))
        lead[0], now[0] = two * new - now[0], new
        for z in range(1, n_z):
            total = (p[z] - has_above * before[z]) + (q[z] - has_left * beside[z]) + (r[z] - r[z - 1])
            new = min(one, max(zero, now[z] + tau * (total - c[z])))
            lead[z], now[z] = two * new - now[z], new


@_compiled
def _sum_planes(u, dual, costs, weights, start, end, sums):
    n_x, n_y, n_z = u.shape
    for x in range(start, end):
        linear, bound, variation = 0.0, 0.0, 0.0
        for y in range(n_y):
            for z in range(n_z):
                here, c = u[x, y, z], costs[x, y, z]
                a, b = u[min(x + 1, n_x - 1), y, z] - here, u[x, min(y + 1, n_y - 1), z] - here
                d = u[x, y, min(z + 1, n_z - 1)] - here
                total = dual[0, x, y, z] + dual[1, x, y, z] + dual[2, x, y, z]
                total -= dual[0, x - 1, y, z] if x > 0 else np.float32(0.0)
                total -= dual[1, x, y - 1, z] if y > 0 else np.float32(0.0)
                total -= dual[2, x, y, z - 1] if z > 0 else np.float32(0.0)
                linear += c * here
                bound += min(np.float32(0.0), c - total)
                variation += weights[x, y, z] * math.sqrt(a * a + b * b + d * d)
        sums[x, 0], sums[x, 1], sums[x, 2] = linear, bound, variation
