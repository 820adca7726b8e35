"""Costs of a plane sweep, plainly: one neighbour and one plane after another, a whole image at a time."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

# Windows of 5 x 5 pixels: RADIUS to each side of the middle, N_INSIDE pixels in all.
RADIUS = 2
N_INSIDE = (2 * RADIUS + 1) ** 2
# Grey levels squared added to the variances: noise alone does not correlate.
NOISE = 2.0
# Warped images are rounded to quarters of a grey level: then all sums over windows are integers, and exact.
LEVELS = 4
# Score of a neighbour that does not see the point at all.
UNSEEN = -1.0


def matching_cost(
    grey: NDArray, others: list[NDArray], turns: NDArray, parallaxes: NDArray, inverse_depths: NDArray
) -> NDArray:
    """Costs of the depths of each pixel, 0 where its neighbours look exactly alike there and 255 where they do not agree.

    Pixel (u, v) at inverse depth w appears in neighbour n at turn_n (u, v, 1) + w parallax_n, homogeneous (Collins 1996).
    The images are compared by zero-mean normalised cross correlation s of 5 x 5 windows, whose variances are raised by
    the noise's; only the better half of the scores counts, as other neighbours may not see the point:

        cost = 255 clip(1 - mean of the ceil(N / 2) greatest s, 0, 1).

    Args:
        grey: (H, W) uint8.
        others: N images uint8 of any sizes.
        turns, parallaxes: (N, 3, 3) and (N, 3), pixels of the view to those of the neighbours, centres at integers.
        inverse_depths: (D,).

    Returns:
        (H, W, D) uint8.
    """
    height, width = grey.shape
    n_best = (len(others) + 1) // 2
    cost = np.empty((height, width, len(inverse_depths)), np.uint8)
    for plane, inverse_depth in enumerate(np.float32(inverse_depths)):
        scores = [
            _scores(grey, other, np.float32(turn), np.float32(parallax) * inverse_depth)
            for other, turn, parallax in zip(others, turns, parallaxes, strict=True)
        ]
        total = np.zeros(grey.shape, np.float32)
        for best in np.sort(scores, axis=0)[::-1][:n_best]:
            total += best
        cost[:, :, plane] = costs_from_scores(total / np.float32(n_best))
    return cost


def costs_from_scores(scores: NDArray) -> NDArray:
    """uint8 costs of correlations in [-1, 1]: negative correlations count as none."""
    return (np.float32(255.0) * np.clip(np.float32(1.0) - scores, 0.0, 1.0) + np.float32(0.5)).astype(np.uint8)


def _scores(grey: NDArray, other: NDArray, turn: NDArray, shift: NDArray) -> NDArray:
    """(H, W) float32 correlations with a neighbour's image on one plane, -1 where it does not see the pixel."""
    warped, is_seen = warp(other, turn, shift, grey.shape)
    grey = grey.astype(np.int64)
    sums = {name: _box(a) for name, a in (("w", warped), ("ww", warped * warped), ("wg", warped * grey), ("g", grey))}
    covariance = N_INSIDE * sums["wg"] - sums["w"] * sums["g"]
    variance = N_INSIDE * sums["ww"] - sums["w"] ** 2
    noise = np.float32(NOISE * N_INSIDE**2 * LEVELS**2)
    score = covariance.astype(np.float32) * inverse_deviation(grey) / np.sqrt(variance.astype(np.float32) + noise)
    return np.where(is_seen, score, np.float32(UNSEEN))


def inverse_deviation(grey: NDArray) -> NDArray:
    """(H, W) float32 1 / (25 sigma) of the windows about all pixels, sigma with the noise in it."""
    grey = grey.astype(np.int64)
    variance = N_INSIDE * _box(grey * grey) - _box(grey) ** 2
    return np.float32(1.0) / np.sqrt(variance.astype(np.float32) + np.float32(NOISE * N_INSIDE**2))


def warp(other: NDArray, turn: NDArray, shift: NDArray, shape: tuple[int, int]) -> tuple[NDArray, NDArray]:
    """(H, W) int64 bilinear samples in quarter levels, and (H, W) bool: whether they lie in the image, before its camera."""
    y, x = (axis.astype(np.float32) for axis in np.indices(shape))
    across, down, ahead = (turn[i, 0] * x + (turn[i, 1] * y + (turn[i, 2] + shift[i])) for i in range(3))
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        scale = np.float32(1.0) / ahead
        u, v = across * scale, down * scale
        right, bottom = np.float32(other.shape[1] - 1), np.float32(other.shape[0] - 1)
        is_seen = (ahead > 0) & (u >= 0) & (u <= right) & (v >= 0) & (v <= bottom)
    u, v = (np.where(a > 0, np.minimum(a, end), np.float32(0.0)) for a, end in ((u, right), (v, bottom)))
    column, row = u.astype(np.int64), v.astype(np.int64)
    next_column, next_row = np.minimum(column + 1, other.shape[1] - 1), np.minimum(row + 1, other.shape[0] - 1)
    other = other.astype(np.float32)
    part = u - column.astype(np.float32)
    top = other[row, column] + part * (other[row, next_column] - other[row, column])
    below = other[next_row, column] + part * (other[next_row, next_column] - other[next_row, column])
    sample = top + (v - row.astype(np.float32)) * (below - top)
    return (sample * np.float32(LEVELS) + np.float32(0.5)).astype(np.int64), is_seen


def _box(image: NDArray) -> NDArray:
    """(H, W) sums over windows; beyond the border the image is mirrored."""
    return sliding_window_view(np.pad(image, RADIUS, "symmetric"), (2 * RADIUS + 1,) * 2).sum(axis=(2, 3))
