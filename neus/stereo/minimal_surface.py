"""The smallest surface that agrees with costs of being inside or outside, where these say something."""

import numpy as np
import torch
from numpy.typing import NDArray

from neus.kernels.dispatch import kernels_for

# The coarsest lattice still shows the object; there the shape is found, finer ones move its surface by a vertex or so.
COARSEST = 12
# The energy may exceed the least one by this fraction of the surface's area: on real scenes one vertex in a thousand then changes sides.
TOLERANCE = 0.02
# On coarse lattices, where iterations cost little and mistakes are carried on, by less.
COARSE_TOLERANCE = 0.25
# The gap is computed every so many iterations; on a level at most so many are done, and on one twice as coarse twice as many.
BETWEEN_LOOKS, MOST_ITERATIONS = 40, 400


def minimal_surface(costs: NDArray, weights: NDArray, tolerance: float = TOLERANCE) -> NDArray:
    """(X, Y, Z) float32 u in [0, 1], of which u > 1/2 is the inside: the minimiser of sum g |D u| + c u.

    Any threshold of a minimiser is a set of least area, weighted by g, plus costs of its vertices (Chan, Esedoglu and Nikolova 2006;
    as range images are fused by Zach, Pock and Bischof 2007). Where costs are 0 the surface is a minimal one. Solved by primal-dual
    iterations (Chambolle and Pock 2011) from coarse to fine, primal and dual handed on, until the duality gap is a small fraction of
    the area. Takes 9 float32 a vertex: 75 MB at 128^3, 600 MB at 256^3.

    Args:
        costs: (X, Y, Z) float32, c, of a vertex being inside, in units of the area of one face of a cell.
        weights: (X, Y, Z) float32, g >= 0, of that area.
        tolerance: the gap that is good enough, as a fraction of the weighted area.
    """
    levels = [(_float32(costs), _float32(weights))]
    while max(levels[-1][0].shape) > 2 * COARSEST:
        c, g = levels[-1]
        # A coarse vertex stands for 8 fine ones, a coarse face for 4.
        levels.append((2.0 * _halved(c), _halved(g)))
    c = levels[-1][0]
    u = np.where(c < 0, 1.0, np.where(c > 0, 0.0, 0.5)).astype(np.float32)
    dual = np.zeros((3, *c.shape), dtype=np.float32)
    for number, (c, g) in enumerate(reversed(levels)):
        if number > 0:
            u, dual = _repeated(u, c.shape), _finer_dual(dual, c.shape)
        coarseness = len(levels) - 1 - number
        _descend(u, dual, c, g, tolerance * (COARSE_TOLERANCE if coarseness else 1.0), MOST_ITERATIONS << coarseness)
    return u


def _float32(values: NDArray) -> NDArray:
    return np.ascontiguousarray(values, dtype=np.float32)


def _descend(u: NDArray, dual: NDArray, costs: NDArray, weights: NDArray, tolerance: float, most: int) -> int:
    """Iterates in place until the gap is small; the number of iterations."""
    leading, kernels = u.copy(), kernels_for("total_variation", torch.device("cpu"))
    for n_done in range(0, most, BETWEEN_LOOKS):
        kernels.iterate(u, leading, dual, costs, weights, BETWEEN_LOOKS)
        energy, bound, area = kernels.energies(u, dual, costs, weights)
        if energy - bound <= tolerance * area:
            return n_done + BETWEEN_LOOKS
    return most


def _halved(values: NDArray) -> NDArray:
    """Means of 2 x 2 x 2 blocks; a last vertex without a partner stands for two."""
    for axis in range(3):
        values = np.moveaxis(values, axis, 0)
        first = values[::2]
        second = values[1::2] if len(values) % 2 == 0 else np.concatenate([values[1::2], values[-1:]])
        values = np.moveaxis(np.float32(0.5) * (first + second), 0, axis)
    return _float32(values)


def _repeated(values: NDArray, shape: tuple[int, ...]) -> NDArray:
    """Every vertex twice along each axis, cut to a shape."""
    for axis in range(3):
        values = np.repeat(values, 2, axis=axis)
    return _float32(values[tuple(slice(size) for size in shape)])


def _finer_dual(dual: NDArray, shape: tuple[int, ...]) -> NDArray:
    """(3, *shape) duals whose divergence is half of that of the coarse vertex: what is solved there is solved here.

    The dual between two coarse vertices stands between their halves, and that between the halves of one is the mean of those
    before and after it.
    """
    finer = np.empty((3, *shape), dtype=np.float32)
    for axis in range(3):
        part = np.moveaxis(dual[axis], axis, 0)
        between = np.repeat(part, 2, axis=0)
        between[::2] = 0.5 * (part + np.concatenate([np.zeros_like(part[:1]), part[:-1]]))
        part = np.moveaxis(between, 0, axis)
        for other in range(3):
            if other != axis:
                part = np.repeat(part, 2, axis=other)
        finer[axis] = part[tuple(slice(size) for size in shape)]
        # An odd size cuts through a coarse vertex: nothing crosses the far face.
        np.moveaxis(finer[axis], axis, 0)[-1] = 0.0
    return finer
