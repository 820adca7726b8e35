"""Iterations that minimise weighted total variation plus a linear cost over a lattice, in plain numpy."""

import numpy as np
from numpy.typing import NDArray

# tau sigma |D|^2 <= 1 with |D|^2 <= 12 for differences along three axes makes the iterations converge (Chambolle and Pock 2011); the
# larger primal step settles what costs say nothing of.
PRIMAL_STEP, DUAL_STEP = 0.4, 0.2


def iterate(u: NDArray, leading: NDArray, dual: NDArray, costs: NDArray, weights: NDArray, n_iterations: int) -> None:
    """Primal-dual iterations towards argmin over u in [0, 1] of sum g |D u| + c u, in place.

    D u are forward differences, zero across the far faces. One iteration (Chambolle and Pock 2011, algorithm 1, theta = 1):
    p <- projection of p + sigma D u' onto |p| <= g; u <- clip(u - tau (D* p + c)); u' <- 2 u - the u before.

    Args:
        u: (X, Y, Z) float32 in [0, 1].
        leading: (X, Y, Z) float32, u' above; at first a copy of u.
        dual: (3, X, Y, Z) float32, p; at first 0.
        costs: (X, Y, Z) float32, c, of either sign.
        weights: (X, Y, Z) float32, g >= 0.
        n_iterations: how many.
    """
    for _ in range(n_iterations):
        dual += np.float32(DUAL_STEP) * differences(leading)
        lengths = np.sqrt((dual * dual).sum(axis=0))
        dual *= np.minimum(1.0, weights / np.maximum(lengths, np.float32(1e-20)))
        new = np.clip(u + np.float32(PRIMAL_STEP) * (divergence(dual) - costs), 0.0, 1.0)
        leading[...] = 2.0 * new - u
        u[...] = new


def energies(u: NDArray, dual: NDArray, costs: NDArray, weights: NDArray) -> tuple[float, float, float]:
    """The energy, a lower bound of all energies, and the part of the energy that is weighted total variation.

    The bound is sum min(0, c - div p) for any p with |p| <= g. The energy exceeds the least one by no more than the difference.

    >>> one = np.ones((1, 1, 2), np.float32)
    >>> u, costs = np.array([[[1.0, 0.0]]], np.float32), np.array([[[-3.0, 2.0]]], np.float32)
    >>> energies(u, np.zeros((3, 1, 1, 2), np.float32), costs, one)
    (-2.0, -3.0, 1.0)
    """
    lengths = np.sqrt((differences(u) ** 2).sum(axis=0, dtype=np.float32))
    variation = float((weights * lengths).sum(dtype=np.float64))
    bound = float(np.minimum(0.0, costs - divergence(dual)).sum(dtype=np.float64))
    return variation + float((costs * u).sum(dtype=np.float64)), bound, variation


def differences(u: NDArray) -> NDArray:
    """(3, X, Y, Z) forward differences of (X, Y, Z) along each axis, 0 at its last index."""
    found = np.zeros((3, *u.shape), dtype=u.dtype)
    found[0, :-1], found[1, :, :-1], found[2, :, :, :-1] = (np.diff(u, axis=axis) for axis in range(3))
    return found


def divergence(dual: NDArray) -> NDArray:
    """(X, Y, Z) -D* p of p (3, X, Y, Z) whose parts across the far faces are 0: sum (D u) p = -sum u div p."""
    return sum(np.diff(part, axis=axis, prepend=0.0) for axis, part in enumerate(dual)).astype(dual.dtype)
