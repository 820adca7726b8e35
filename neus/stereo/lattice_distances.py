"""Signed distances on a lattice from any values whose sign and zeros are right."""

import numpy as np
from scipy import ndimage


def distances_from_values(values: np.ndarray, step: float) -> np.ndarray:
    """(P, P, P) float32 signed distances to the zeros of `values`, which lie between vertices by linear interpolation.

    A vertex with zeros on its edges at t_x, t_y, t_z is 1 / sqrt(1/t_x^2 + 1/t_y^2 + 1/t_z^2) from the plane through
    them. Every other vertex takes its distance to the foot of that perpendicular at its nearest such vertex, which may
    lie a little beside the nearest zero: right to less than a step, mostly to a few hundredths of one.

    Args:
        values: (P, P, P), negative inside; at least one vertex on each side.
        step: distance between vertices.

    >>> grid = np.arange(4.0)[:, None, None] * np.ones((4, 4, 4)) - 1.25
    >>> distances_from_values(5.0 * grid, 0.5)[:, 0, 0]
    array([-0.625, -0.125,  0.375,  0.875], dtype=float32)
    """
    inside = values < 0
    feet, is_edge = _feet(values, inside)
    nearest = ndimage.distance_transform_edt(~is_edge, return_distances=False, return_indices=True)
    row_of = np.zeros(values.shape, dtype=np.int32)
    row_of[is_edge] = np.arange(len(feet), dtype=np.int32)
    rows = row_of[tuple(nearest)]
    squares = np.zeros(values.shape, dtype=np.float32)
    for i, size in enumerate(values.shape):
        place = np.arange(size, dtype=np.float32).reshape([-1 if j == i else 1 for j in range(3)])
        squares += (feet[:, i][rows] - place) ** 2
    distances = np.float32(step) * np.sqrt(squares)
    return np.where(inside, -distances, distances)


def _feet(values: np.ndarray, inside: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Places (E, 3) in steps of the nearest zeros of the vertices that have a zero on an edge, and which (P, P, P)."""
    is_edge = np.zeros(values.shape, dtype=bool)
    for axis in range(3):
        low, high = _ends(values.ndim, axis)
        changes = inside[low] != inside[high]
        is_edge[low] |= changes
        is_edge[high] |= changes
    places = np.argwhere(is_edge)
    here = values[is_edge].astype(np.float64)
    inverse = np.zeros((len(places), 3))
    for axis in range(3):
        for sign in (-1, 1):
            other = places.copy()
            other[:, axis] = np.clip(other[:, axis] + sign, 0, values.shape[axis] - 1)
            there = values[tuple(other.T)].astype(np.float64)
            crosses = (here < 0) != (there < 0)
            # Never quite zero, or the vertex would have no side.
            t = np.maximum(here / np.where(crosses, here - there, 1.0), 1e-3)
            nearer = crosses & (1.0 / t > abs(inverse[:, axis]))
            inverse[nearer, axis] = sign / t[nearer]
    return (places + inverse / (inverse**2).sum(-1, keepdims=True)).astype(np.float32), is_edge


def _ends(n_axes: int, axis: int) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    low, high = [slice(None)] * n_axes, [slice(None)] * n_axes
    low[axis], high[axis] = slice(None, -1), slice(1, None)
    return tuple(low), tuple(high)
