"""The nearest triangle of each point, plainly: every point against every triangle."""

import numpy as np

# Pairs of a point and a triangle compared together: about 100 MB.
PAIRS_AT_A_TIME = 2**19


def nearest_triangles(points: np.ndarray, vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distance of each point to the nearest point of any triangle, and which triangle that is.

    The nearest point lies inside the triangle, where the point's perpendicular meets it, or on one of its sides. A
    triangle without area is its sides.

    Args:
        points: (n, 3) float64.
        vertices: (v, 3) float64.
        faces: (m, 3) corners by number, m > 0.

    Returns:
        Distances (n,) float64, and numbers (n,) int64 of the triangles; of equally near ones any.

    >>> triangle = np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    >>> nearest_triangles(np.array([[0.25, 0.25, 2.0], [-3.0, 0.0, 4.0]]), triangle, np.array([[0, 1, 2]]))[0]
    array([2., 5.])
    """
    triangles = np.asarray(vertices, dtype=np.float64)[faces]
    distances, numbers = np.empty(len(points)), np.empty(len(points), np.int64)
    step = max(1, PAIRS_AT_A_TIME // len(triangles))
    for start in range(0, len(points), step):
        squared = _squared_distances(points[start : start + step, None], triangles[None])
        numbers[start : start + step] = squared.argmin(axis=1)
        distances[start : start + step] = np.sqrt(squared.min(axis=1))
    return distances, numbers


def _squared_distances(points: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """(n, m) squares of the distances from points (n, 1, 3) to triangles (1, m, 3, 3)."""
    a, b, c = np.moveaxis(triangles, 2, 0)
    sides = [_squared_to_segment(points, *ends) for ends in ((a, b), (b, c), (c, a))]
    to_b, to_c, to_point = b - a, c - a, points - a
    bb, bc, cc = ((x * y).sum(-1) for x, y in ((to_b, to_b), (to_b, to_c), (to_c, to_c)))
    bp, cp = (to_b * to_point).sum(-1), (to_c * to_point).sum(-1)
    determinant = bb * cc - bc * bc
    has_area = determinant > 0.0
    divisor = np.where(has_area, determinant, 1.0)
    along_b, along_c = (cc * bp - bc * cp) / divisor, (bb * cp - bc * bp) / divisor
    is_over = has_area & (along_b >= 0.0) & (along_c >= 0.0) & (along_b + along_c <= 1.0)
    foot = to_point - along_b[..., None] * to_b - along_c[..., None] * to_c
    return np.minimum.reduce([*sides, np.where(is_over, (foot * foot).sum(-1), np.inf)])


def _squared_to_segment(points: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    axis, offset = end - start, points - start
    squared = (axis * axis).sum(-1)
    fraction = (offset * axis).sum(-1) / np.where(squared > 0.0, squared, 1.0)
    beside = offset - np.clip(fraction, 0.0, 1.0)[..., None] * axis
    return (beside * beside).sum(-1)
