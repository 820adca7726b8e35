"""The foremost triangle at each pixel of an image, plainly: one triangle after another, each within its own rectangle."""

import numpy as np

# A centre on the edge between two triangles belongs to at least one of them, whatever the rounding.
ROUNDING = 1e-9


def foremost_triangles(corners: np.ndarray, faces: np.ndarray, width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    """The nearness of the foremost triangle at each pixel's centre, and its number.

    Nearness is any quantity that is linear within a projected triangle and greater for what is nearer: 1 / depth for a
    perspective camera, depth towards the viewer plus a constant for a parallel projection. A triangle with a corner of
    nearness 0 or less (at or behind the camera) is left out, and of equally near ones the first is kept.

    Args:
        corners: (v, 3) projected vertices: x, y in pixels with centres at +0.5, and the nearness.
        faces: (m, 3) corners by number; both sides are seen.
        width, height: of the image.

    Returns:
        (H, W) float64 nearness, 0 where there is no triangle, and (H, W) int64 its number, -1 where there is none.

    >>> corners = np.array([[0.0, 0.0, 0.25], [4.0, 0.0, 0.25], [0.0, 4.0, 0.25]])
    >>> foremost_triangles(corners, np.array([[0, 1, 2]]), 5, 1)
    (array([[0.25, 0.25, 0.25, 0.25, 0.  ]]), array([[ 0,  0,  0,  0, -1]]))
    """
    nearness, numbers = np.zeros((height, width)), np.full((height, width), -1)
    for number, (a, b, c) in enumerate(corners[faces]):
        low, high = np.floor(np.min([a, b, c], axis=0)), np.ceil(np.max([a, b, c], axis=0))
        if min(a[2], b[2], c[2]) <= 0.0 or not np.isfinite([low, high]).all():
            continue
        (left, top), (right, bottom) = (np.clip(corner[:2], 0, (width, height)).astype(int) for corner in (low, high))
        x, y = np.meshgrid(np.arange(left, right) + 0.5, np.arange(top, bottom) + 0.5)
        weights = _fractions(a, b, c, x, y)
        if weights is None:
            continue
        here = sum(weight * corner[2] for weight, corner in zip(weights, (a, b, c), strict=True))
        part = slice(top, bottom), slice(left, right)
        is_foremost = (np.minimum.reduce(weights) >= -ROUNDING) & (here > nearness[part])
        nearness[part][is_foremost], numbers[part][is_foremost] = here[is_foremost], number
    return nearness, numbers


def barycentric_weights(corners: np.ndarray, triangles: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(p, 3) barycentric coordinates, in the image, of points x, y (p,) in the triangles (p, 3) of projected corners (v, 3)."""
    a, b, c = np.moveaxis(corners[triangles], 1, 0)
    return np.stack(_fractions(a.T, b.T, c.T, x, y), axis=-1)


def _fractions(a: np.ndarray, b: np.ndarray, c: np.ndarray, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, ...] | None:
    area = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
    if np.ndim(area) == 0 and area == 0.0:
        return None
    weight_b = ((x - a[0]) * (c[1] - a[1]) - (y - a[1]) * (c[0] - a[0])) / area
    weight_c = ((b[0] - a[0]) * (y - a[1]) - (b[1] - a[1]) * (x - a[0])) / area
    return 1.0 - weight_b - weight_c, weight_b, weight_c
