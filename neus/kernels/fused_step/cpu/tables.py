"""The backward pass from samples into the tables of both grids, level by level."""

import numpy as np

from neus.kernels.fused_step.arguments import Grid, Samples
from neus.kernels.hash_encode.hash_lookup import add_column, add_with_slopes, corners, level_of
from neus.kernels.jit import compiled


@compiled
def scatter_features(grid: Grid, index: int, samples: Samples, grad_table: np.ndarray) -> None:
    """Adds the gradient of one level's rows of the colour grid, of seen samples: the transpose of `gather`."""
    flat, n_features, level = grad_table.reshape(grad_table.size), grad_table.shape[1], level_of(grid, index)
    for m in range(samples.points.shape[1]):
        if not samples.is_visible[m]:
            continue
        at, places, _ = corners(level, samples.points[0, m], samples.points[1, m], samples.points[2, m])
        add_column(flat, at, places, samples.grad_color_features, index * n_features, m, n_features)


@compiled
def scatter(grid: Grid, index: int, samples: Samples, grad_table: np.ndarray) -> None:
    """Adds the gradient of one level's rows: weight of each corner times grad_features, and its slope along grad_normals times
    the cotangents, since the normal is the Jacobian's transpose applied to those.
    """
    flat, n_features, level = grad_table.reshape(grad_table.size), grad_table.shape[1], level_of(grid, index)
    for m in range(samples.points.shape[1]):
        at, places, slopes = corners(level, samples.points[0, m], samples.points[1, m], samples.points[2, m])
        along = (
            samples.grad_normals[0, m] * slopes[0],
            samples.grad_normals[1, m] * slopes[1],
            samples.grad_normals[2, m] * slopes[2],
        )
        for f in range(n_features):
            c = index * n_features + f
            add_with_slopes(
                flat, at, np.uint64(f), places, samples.grad_features[c, m], along, samples.cotangents[c, m]
            )
