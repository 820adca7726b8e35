"""How far the places of cameras tell a number of each view: Gaussian process regression, each view left out in turn."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

# Length scales, in root mean square distances of the cameras from their mean, and variances of what no place tells, in those of what
# places tell. The likeliest pair of them is taken; the least variance also keeps matrices regular where cameras coincide.
LENGTHS, NOISES = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0), (1e-4, 1e-2, 0.1, 1.0)
TINY = 1e-12


class LeftOut(NamedTuple):
    """Numbers of V views, each predicted from the places and numbers of all others.

    Attributes:
        weights: (V, V) what is left of values (V, C) is weights @ values; the diagonal is one, and rows sum to zero.
        residuals: (V, C) what is left.
        explained: fraction of the variance that is predicted (R^2, of all C together); below zero where the mean predicts better.
    """

    weights: NDArray
    residuals: NDArray
    explained: float


def left_out(centers: NDArray, values: NDArray) -> LeftOut:
    """Values (V, C) at camera centres (V, 3) predicted without themselves, V at least 2.

    They are taken as normal with one unknown mean and covariance K_ij = s^2 (exp(-d_ij^2 / 2 l^2) + n [i = j]); l and n are those of
    the largest restricted likelihood (Rasmussen & Williams 2006, section 5.4). With Q = K^-1 - K^-1 1 1' K^-1 / (1' K^-1 1) what is
    left of view i is (Q y)_i / Q_ii, without a fit for each view (Dubrule 1983).
    """
    systems = [
        (eigenvalues + noise, vectors) for eigenvalues, vectors in _eigensystems(centers) for noise in NOISES
    ]
    eigenvalues, vectors = min(systems, key=lambda system: _misfit(*system, values))
    inverse = (vectors / eigenvalues) @ vectors.T
    sums = inverse.sum(axis=1)
    precision = inverse - np.outer(sums, sums) / sums.sum()
    weights = precision / np.diag(precision)[:, None]
    residuals = weights @ values
    total = ((values - values.mean(axis=0)) ** 2).sum()
    return LeftOut(weights, residuals, float(1.0 - (residuals**2).sum() / max(total, TINY)))


def _eigensystems(centers: NDArray) -> list[tuple[NDArray, NDArray]]:
    """Eigenvalues (V,) and vectors (V, V) of K / s^2 without noise, for each length scale."""
    offsets = centers - centers.mean(axis=0)
    spread = max(float((offsets**2).sum(axis=1).mean()), TINY)
    squares = ((centers[:, None] - centers) ** 2).sum(axis=-1) / spread
    return [np.linalg.eigh(np.exp(-squares / (2.0 * length**2))) for length in LENGTHS]


def _misfit(eigenvalues: NDArray, vectors: NDArray, values: NDArray) -> float:
    """-2 log restricted likelihood for each of C, at the likeliest s^2, up to a constant."""
    ones, rotated = vectors.sum(axis=0), vectors.T @ values
    information = float((ones**2 / eigenvalues).sum())
    rotated = rotated - ones[:, None] * ((ones / eigenvalues) @ rotated) / information
    variance = float((rotated**2 / eigenvalues[:, None]).mean())
    n = len(values) - 1
    return n * np.log(max(variance, TINY)) + float(np.log(eigenvalues).sum()) + np.log(information)
