"""Signed distances on a lattice to where its values change sign, plainly: every vertex against every one beside the surface."""

import numpy as np
from numpy.typing import NDArray

# A vertex is never quite on the surface, or it would have no side; in steps.
LEAST = 1e-3


def distances_to_zeros(values: NDArray, step: float) -> NDArray:
    """(X, Y, Z) float32 signed distances to the zeros of values, which lie between vertices by linear interpolation.

    A vertex with zeros on its edges at t_x, t_y, t_z is 1 / sqrt(1/t_x^2 + 1/t_y^2 + 1/t_z^2) from the plane through
    them. Every other vertex takes its distance to the foot of that perpendicular at its nearest such vertex, which may
    lie a little beside the nearest zero: right to less than a step, mostly to a few hundredths of one. Which of equally
    near vertices is taken is left open.

    Args:
        values: (X, Y, Z), negative inside; at least one vertex on each side.
        step: distance between vertices.

    >>> grid = np.arange(4.0)[:, None, None] * np.ones((4, 4, 4)) - 1.25
    >>> distances_to_zeros(5.0 * grid, 0.5)[:, 0, 0]
    array([-0.625, -0.125,  0.375,  0.875], dtype=float32)
    """
    values = values.astype(np.float32)
    places, feet = feet_of(values)
    vertices = np.argwhere(np.ones(values.shape, bool))
    nearest = np.square(vertices[:, None] - places[None]).sum(axis=-1).argmin(axis=1)
    distances = step * np.linalg.norm(vertices - feet[nearest], axis=1).reshape(values.shape)
    return np.where(values < 0, -distances, distances).astype(np.float32)


def feet_of(values: NDArray) -> tuple[NDArray, NDArray]:
    """Vertices (E, 3) that have a zero on an edge, and (E, 3) the nearest points of the planes through their zeros, in steps."""
    inside = values < 0
    inverse = np.zeros((*values.shape, 3))
    for axis in range(3):
        for sign in (-1, 1):
            here, there = [slice(None)] * 3, [slice(None)] * 3
            here[axis], there[axis] = (
                (slice(1, None), slice(None, -1)) if sign < 0 else (slice(None, -1), slice(1, None))
            )
            here, there = tuple(here), tuple(there)
            crosses = inside[here] != inside[there]
            own = values[here].astype(np.float64)
            t = np.maximum(own / np.where(crosses, own - values[there], 1.0), LEAST)
            part = inverse[..., axis][here]
            part[...] = np.where(crosses & (1.0 / t > np.abs(part)), sign / t, part)
    places = np.argwhere((inverse != 0).any(axis=-1))
    slopes = inverse[tuple(places.T)]
    return places, places + slopes / np.square(slopes).sum(axis=-1, keepdims=True)
