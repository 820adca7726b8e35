"""The winding number of each point, plainly: every point against every triangle."""

import numpy as np

# Pairs of a point and a triangle evaluated together: about 100 MB.
PAIRS_AT_A_TIME = 2**19


def winding_numbers(points: np.ndarray, vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """How often the surface winds round each point: 1 inside and 0 outside of a closed mesh, in between near holes.

    w(x) = sum over triangles of their solid angle seen from x, over 4 pi (Jacobson, Kavan, Sorkine-Hornung 2013, eq. 5), the
    solid angle by tan(Omega / 2) = a . (b x c) / (abc + (a . b) c + (b . c) a + (c . a) b) (van Oosterom and Strackee 1983).

    Args:
        points: (n, 3) float64.
        vertices: (v, 3) float64.
        faces: (m, 3) corners by number, counter-clockwise from outside.

    Returns:
        (n,) float64.

    >>> corners = np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    >>> faces = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])
    >>> winding_numbers(np.array([[0.1, 0.1, 0.1], [1.0, 1.0, 1.0]]), corners, faces).round(9) + 0.0
    array([1., 0.])
    """
    triangles = np.asarray(vertices, np.float64)[faces]
    numbers = np.empty(len(points))
    step = max(1, PAIRS_AT_A_TIME // max(len(triangles), 1))
    for start in range(0, len(points), step):
        a, b, c = np.moveaxis(triangles[None] - np.asarray(points)[start : start + step, None, None], 2, 0)
        la, lb, lc = (np.linalg.norm(x, axis=-1) for x in (a, b, c))
        above = (a * np.cross(b, c)).sum(-1)
        below = la * lb * lc + (a * b).sum(-1) * lc + (b * c).sum(-1) * la + (c * a).sum(-1) * lb
        numbers[start : start + step] = np.arctan2(above, below).sum(axis=1) / (2.0 * np.pi)
    return numbers
