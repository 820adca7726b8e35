"""Whether two depth maps show the same surface, plainly: all pixels at once."""

import numpy as np
from numpy.typing import NDArray


def agreements(depths: NDArray, to_other: NDArray, other_depths: NDArray, tolerance: float) -> NDArray:
    """At which pixels another depth map, read at its nearest pixel, has the same depth.

    Pixel (u, v) of depth z has homogeneous pixel T (z u, z v, z, 1) and depth z', its last component, in the other view. The
    two agree where |1 / z' - 1 / theirs| < tolerance: errors of matching are even in inverse depth.

    Args:
        depths: (H, W) float32, NaN where nothing is known.
        to_other: (3, 4) T.
        other_depths: (h, w) float32, NaN where nothing is known.
        tolerance: of inverse depths.

    Returns:
        (H, W) bool.
    """
    height, width = other_depths.shape
    z = depths.astype(np.float64)
    v, u = np.indices(depths.shape)
    with np.errstate(invalid="ignore", divide="ignore"):
        across, down, ahead = (row[0] * (z * u) + row[1] * (z * v) + row[2] * z + row[3] for row in to_other)
        column, line = np.floor(across / ahead + 0.5), np.floor(down / ahead + 0.5)
        is_in_frame = (ahead > 0) & (column >= 0) & (column < width) & (line >= 0) & (line < height)
        column, line = (np.where(is_in_frame, place, 0).astype(np.int64) for place in (column, line))
        theirs = other_depths[line, column].astype(np.float64)
        return is_in_frame & (abs(1.0 / ahead - 1.0 / theirs) < tolerance)
