"""The rigid motion that brings points nearest to others: to show what an alignment would change, never to score by."""

import numpy as np
from scipy.spatial import cKDTree

MAX_ROUNDS = 50


def rigid_alignment(points: np.ndarray, target: np.ndarray, reach: float) -> np.ndarray:
    """(4, 4) rotation and translation of points (n, 3) onto the target (m, 3): iterative closest points.

    Besl and McKay 1992, with pairs farther apart than `reach` left out; the best motion for given pairs is that of Kabsch
    (1976). Ends when the motion stops changing.

    Args:
        points, target: in the same unit, already near each other.
        reach: greatest distance of a pair.
    """
    tree, motion = cKDTree(target), np.eye(4)
    for _ in range(MAX_ROUNDS):
        moved = points @ motion[:3, :3].T + motion[:3, 3]
        distances, partners = tree.query(moved, distance_upper_bound=reach)
        is_pair = np.isfinite(distances)
        if is_pair.sum() < 3:
            break
        step = best_motion(moved[is_pair], target[partners[is_pair]])
        motion = step @ motion
        if np.abs(step - np.eye(4)).max() < 1e-9 * max(1.0, np.abs(target).max()):
            break
    return motion


def best_motion(points: np.ndarray, target: np.ndarray) -> np.ndarray:
    """(4, 4) the rotation and translation that bring points (n, 3) nearest to their partners (n, 3), in least squares.

    >>> best_motion(np.eye(3), np.eye(3) + [0.0, 0.0, 2.0])[:, 3].round(6) + 0.0
    array([0., 0., 2., 1.])
    """
    middle, target_middle = points.mean(axis=0), target.mean(axis=0)
    u, _, v = np.linalg.svd((points - middle).T @ (target - target_middle))
    flip = np.diag([1.0, 1.0, np.sign(np.linalg.det(v.T @ u.T))])  # a mirror image is no motion
    motion = np.eye(4)
    motion[:3, :3] = v.T @ flip @ u.T
    motion[:3, 3] = target_middle - motion[:3, :3] @ middle
    return motion
