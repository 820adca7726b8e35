"""How well images agree about a surface at offsets of its inverse depth, plainly: one neighbour and one offset after another.

A pixel u = (x, y, 1) with inverse depth w is seen by a neighbour at p = A u + w e, up to scale, where A = M' M^-1 and
e = M' c + m' (M, M' the left 3x3 of both projections, m' the last column, c the camera's centre): p is linear in w. As the
offsets are added to the surface's own inverse depths, windows have the shape of the surface, however slanted it is.
"""

import numpy as np
from scipy import ndimage

# Added to both variances, squared grey levels: noise in plain parts of the images must not look like agreement.
NOISE = 2.0
# What a single neighbour says counts for less: nothing confirms it.
ALONE = 0.7
# A view sees what it draws within this fraction of its depth, and what it draws nothing before.
OCCLUDED = 0.02
UNKNOWN = 255


def costs_of_offsets(
    grey: np.ndarray,
    inverse_depths: np.ndarray,
    is_asked: np.ndarray,
    others: np.ndarray,
    other_depths: np.ndarray,
    sizes: np.ndarray,
    turns: np.ndarray,
    shifts: np.ndarray,
    step: float,
    n_offsets: int,
    window: int,
) -> np.ndarray:
    """The cost 255 (1 - max(C, 0)) of each pixel's inverse depth moved by -n_offsets ... n_offsets steps.

    C is the mean of the better half of the zero-mean normalised cross correlations with those neighbours that see the
    pixel, and at least of two; with one only, 0.7 of it. A neighbour sees a pixel if the surface point falls into its
    image at all offsets and is, at its own position, not behind what the neighbour renders there.

    Args:
        grey: (H, W) float32, 0 to 255.
        inverse_depths: (H, W) float32 of the surface, extended by half a window beyond the requested pixels; 0 elsewhere.
        is_asked: (H, W) bool, the pixels to match, none nearer than half a window to the border.
        others: (N, H', W') uint8 grey images of the neighbours, each in the upper left corner of its own.
        other_depths: (N, H', W') float32, depths at which they see the surface, NaN for none.
        sizes: (N, 2) int64, height and width of each neighbour's image.
        turns, shifts: (N, 3, 3) and (N, 3), A and e.
        step: between offsets, inverse depth.
        n_offsets: to each side, J.
        window: odd side of the windows, pixels.

    Returns:
        (H, W, 2 J + 1) uint8, 255 where nothing is requested or visible.
    """
    height, width = grey.shape
    y, x = np.mgrid[:height, :width]
    pixels = np.stack([x, y, np.ones_like(x)], axis=-1).astype(np.float64)
    mean = _box(grey, window)
    variance = np.maximum(_box(grey * grey, window) - mean * mean, 0.0)
    scores = np.full((len(others), 2 * n_offsets + 1, height, width), -1.0)
    for i, (image, depths, turn, shift) in enumerate(zip(others, other_depths, turns, shifts, strict=True)):
        image, depths = image[: sizes[i, 0], : sizes[i, 1]], depths[: sizes[i, 0], : sizes[i, 1]]
        base = pixels @ turn.T
        reach = n_offsets * step
        sees = is_asked & _sees(base + inverse_depths[..., None] * shift, inverse_depths, depths)
        for end in (-reach, reach):
            sees &= _is_inside(base + (inverse_depths + end)[..., None] * shift, image.shape)
        for k in range(2 * n_offsets + 1):
            moved = base + (inverse_depths + (k - n_offsets) * step)[..., None] * shift
            warped = _sampled(image, moved)
            m = _box(warped, window)
            v = np.maximum(_box(warped * warped, window) - m * m, 0.0)
            ncc = (_box(warped * grey, window) - m * mean) / np.sqrt((v + NOISE) * (variance + NOISE))
            scores[i, k] = np.where(sees, ncc, -1.0)
    return np.ascontiguousarray(np.moveaxis(_costs(scores), 0, -1))


def _box(values: np.ndarray, window: int) -> np.ndarray:
    return ndimage.uniform_filter(values.astype(np.float64), window, mode="nearest")


def _sees(points: np.ndarray, inverse_depths: np.ndarray, depths: np.ndarray) -> np.ndarray:
    """(H, W) whether surface points (H, W, 3), in homogeneous pixels over depth, are visible in rendered depths (H', W')."""
    with np.errstate(divide="ignore", invalid="ignore"):
        place = np.rint(points[..., :2] / points[..., 2:])
        depth = points[..., 2] / inverse_depths
    x, y = place[..., 0], place[..., 1]
    is_inside = (points[..., 2] > 0) & (x >= 0) & (y >= 0) & (x < depths.shape[1]) & (y < depths.shape[0])
    drawn = depths[np.where(is_inside, y, 0).astype(int), np.where(is_inside, x, 0).astype(int)]
    return is_inside & ~(drawn < depth * (1.0 - OCCLUDED))


def _is_inside(points: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """(H, W) whether homogeneous pixels (H, W, 3) lie between the centres of an image's outermost pixels."""
    with np.errstate(divide="ignore", invalid="ignore"):
        x, y = points[..., 0] / points[..., 2], points[..., 1] / points[..., 2]
    return (points[..., 2] > 0) & (x >= 0) & (y >= 0) & (x <= shape[1] - 1) & (y <= shape[0] - 1)


def _sampled(image: np.ndarray, points: np.ndarray) -> np.ndarray:
    """(H, W) bilinear values at homogeneous pixels (H, W, 3); outside the image those of its border."""
    height, width = image.shape
    with np.errstate(divide="ignore", invalid="ignore"):
        x, y = np.nan_to_num(points[..., 0] / points[..., 2]), np.nan_to_num(points[..., 1] / points[..., 2])
    x, y = np.clip(x, 0, width - 1), np.clip(y, 0, height - 1)
    return ndimage.map_coordinates(image.astype(np.float64), [y, x], order=1, mode="nearest")


def _costs(scores: np.ndarray) -> np.ndarray:
    """(n, H, W) uint8 from scores (N, n, H, W), -1 where a neighbour does not see the pixel."""
    best = -np.sort(-scores, axis=0)
    n_seeing = (scores > -1.0).sum(axis=0)
    n_taken = np.maximum((n_seeing + 1) // 2, np.minimum(n_seeing, 2))
    is_taken = np.arange(len(scores))[:, None, None, None] < n_taken
    mean = np.where(is_taken, best, 0.0).sum(axis=0) / np.maximum(n_taken, 1)
    score = np.where(n_seeing == 1, ALONE * mean, mean)
    return (UNKNOWN * np.clip(1.0 - np.where(n_seeing > 0, score, 0.0), 0.0, 1.0)).astype(np.uint8)
