"""Were all photographs exposed alike? Gains of views from the colours of the places they share."""

import numpy as np
from numpy.typing import NDArray

from neus.datasets.matches import FEWEST, PairMatches

# Darker or lighter than these a sensor says little about the gain.
DARKEST, LIGHTEST = 0.04, 0.96
# Share of the places that may tell otherwise in `sure_ratio`.
SURE_SHARE = 0.1
# Rounds of reweighting in `view_gains`, and the log ratio from which a pair counts less: highlights move with the camera.
N_ROUNDS, SOFTENED = 30, 0.02


def pair_ratio(match: PairMatches) -> float | None:
    """Log of how much brighter the second view shows what it shares with the first; None if it cannot be said."""
    logs = _log_ratios(match)
    return None if logs is None else float(np.median(logs))


def sure_ratio(match: PairMatches) -> float | None:
    """The part of `pair_ratio` that nearly all places share: the decile nearest to zero, or zero if zero lies between.

    Exposure changes all places alike; shadows and highlights change some, and leave others as they were.
    """
    logs = _log_ratios(match)
    if logs is None:
        return None
    low, high = np.quantile(logs, [SURE_SHARE, 1.0 - SURE_SHARE])
    return float(low if low > 0 else min(high, 0.0))


def _log_ratios(match: PairMatches) -> NDArray | None:
    colors = match.colors[:, : match.agreed].astype(np.float64)
    is_fair = ((colors > DARKEST).all(axis=-1) & (colors < LIGHTEST).all(axis=-1)).all(axis=0)
    if is_fair.sum() < FEWEST // 2:
        return None
    grey = np.log(colors[:, is_fair].mean(axis=-1))
    return grey[1] - grey[0]


def view_gains(n_views: int, pairs: list[tuple[int, int]], ratios: list[float]) -> NDArray:
    """(V,) brightness of each view over that of the median view; NaN for views that no pair speaks of.

    The log gains whose differences fit the ratios of the pairs with the least sum of absolute errors (iteratively
    reweighted least squares): single wrong pairs do not matter.

    >>> view_gains(3, [(0, 1), (1, 2)], [0.0, float(np.log(2.0))]).round(3).tolist()
    [1.0, 1.0, 2.0]
    """
    gains = np.full(n_views, np.nan)
    if not pairs:
        return gains
    ends, target = np.array(pairs), np.array(ratios)
    equations = np.zeros((len(ends), n_views))
    equations[np.arange(len(ends)), ends[:, 0]], equations[np.arange(len(ends)), ends[:, 1]] = -1.0, 1.0
    known, weights = np.unique(ends), np.ones(len(ends))
    for _ in range(N_ROUNDS):
        normal = equations.T @ (weights[:, None] * equations) + 1e-9 * np.eye(n_views)
        logs = np.linalg.solve(normal, equations.T @ (weights * target))
        weights = 1.0 / np.maximum(np.abs(equations @ logs - target), SOFTENED)
    gains[known] = np.exp(logs[known] - np.median(logs[known]))
    return gains
