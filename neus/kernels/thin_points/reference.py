"""Point sets thinned to a distance, plainly: each point against all that were kept before it."""

import numpy as np


def keeps_of_thinning(points: np.ndarray, distance: float) -> np.ndarray:
    """Which points stay so that no two of them are within a distance of each other and none that goes is farther from one.

    In the order given, a point stays if no point kept before it lies within `distance`: what the evaluation of DTU
    does with points in random order (Jensen et al. 2014).

    Args:
        points: (n, 3) float64.
        distance: > 0, in their unit.

    Returns:
        (n,) bool.

    >>> keeps_of_thinning(np.array([[0.0, 0.0, 0.0], [0.9, 0.0, 0.0], [1.8, 0.0, 0.0]]), 1.0)
    array([ True, False,  True])
    """
    keeps = np.zeros(len(points), bool)
    for i, point in enumerate(points):
        kept = points[:i][keeps[:i]]
        keeps[i] = not (np.square(kept - point).sum(axis=1) <= distance * distance).any()
    return keeps
