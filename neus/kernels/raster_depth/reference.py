"""The depth of triangles in an image, plainly: every triangle against every pixel."""

import numpy as np

# A centre on the edge between two triangles belongs to at least one of them, whatever the rounding.
ROUNDING = 1e-9


def depth_of_triangles(corners: np.ndarray, faces: np.ndarray, width: int, height: int) -> np.ndarray:
    """The depth of the foremost triangle at each pixel's centre, infinite where there is none.

    Within a projected triangle 1 / depth is linear. A triangle with a corner at or behind the camera is left out.

    Args:
        corners: (v, 3) projected vertices: x, y in pixels with centres at +0.5, and the depth along the camera's z.
        faces: (m, 3) corners by number; both sides are seen.
        width, height: of the image.

    Returns:
        (H, W) float64, in the unit of the corners' depths.

    >>> corners = np.array([[0.0, 0.0, 4.0], [4.0, 0.0, 4.0], [0.0, 4.0, 4.0]])
    >>> depth_of_triangles(corners, np.array([[0, 1, 2]]), 3, 1)
    array([[4., 4., 4.]])
    """
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    nearness = np.zeros((height, width))
    for a, b, c in corners[faces]:
        area = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
        if min(a[2], b[2], c[2]) <= 0.0 or area == 0.0:
            continue
        share_b = ((x - a[0]) * (c[1] - a[1]) - (y - a[1]) * (c[0] - a[0])) / area
        share_c = ((b[0] - a[0]) * (y - a[1]) - (b[1] - a[1]) * (x - a[0])) / area
        share_a = 1.0 - share_b - share_c
        is_inside = np.minimum(np.minimum(share_a, share_b), share_c) >= -ROUNDING
        here = share_a / a[2] + share_b / b[2] + share_c / c[2]
        nearness = np.where(is_inside, np.maximum(nearness, here), nearness)
    return np.where(nearness > 0.0, 1.0 / np.where(nearness > 0.0, nearness, 1.0), np.inf)
