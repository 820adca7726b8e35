"""Where distances are sampled: near the surface, and some in the whole cube, as the data of DeepSDF are."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from neus.shapes.samples import ShapeSamples, samples_of

# Of all samples, those near the surface; the others lie anywhere in the cube of side 2.
NEAR_PART = 47 / 50
# Each surface point is moved twice, per axis with these variances (published for training data).
VARIANCES = (0.005, 0.0005)
# Each side should have so many samples, or this part of all; sampling goes on at most so many rounds.
LEAST_SIDE, LEAST_SIDE_PART, MOST_ROUNDS = 10_000, 0.25, 8

Sdf = Callable[[NDArray], NDArray]
Surface = Callable[[int, np.random.Generator], NDArray]


def near_surface_samples(sdf: Sdf, surface: Surface, n: int, generator: np.random.Generator) -> ShapeSamples:
    """About n samples of a shape, in the published densities; more where one side would have too few.

    A thin shape has hardly any inside: rounds near the surface are repeated until each side has 10 000 samples or a quarter of n,
    and of each round only the scarce side is kept.

    Args:
        sdf: points (m, 3) to signed distances (m,), both float64, normalised frame.
        surface: gives m points (m, 3) of the surface.
        n: samples wanted.
        generator: of random numbers.

    Returns:
        Samples, of which one side may still be short, or missing where the shape has no inside: the caller has to look.
    """
    least = min(LEAST_SIDE, int(LEAST_SIDE_PART * n))
    n_surface = max(1, round(NEAR_PART * n / len(VARIANCES)))
    near = moved_points(surface(n_surface, generator), generator)
    points = np.concatenate([near, generator.uniform(-1.0, 1.0, (max(0, n - len(near)), 3))])
    distances = sdf(points)
    for _ in range(MOST_ROUNDS):
        n_inside = int((distances <= 0).sum())
        if min(n_inside, len(distances) - n_inside) >= least:
            break
        more = moved_points(surface(n_surface, generator), generator)
        found = sdf(more)
        is_scarce = (found <= 0) == (n_inside < least)
        points, distances = np.concatenate([points, more[is_scarce]]), np.concatenate([distances, found[is_scarce]])
    return samples_of(torch.from_numpy(points), torch.from_numpy(distances))


def moved_points(surface: NDArray, generator: np.random.Generator) -> NDArray:
    """(2 n, 3): every surface point (n, 3) moved at random, once with each of VARIANCES."""
    return np.concatenate([surface + np.sqrt(v) * generator.standard_normal(surface.shape) for v in VARIANCES])

