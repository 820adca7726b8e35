"""Do all images have the same exposure? Gains of views from the colours of points they have in common."""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from neus.stereo.exposure import DARKEST, LIGHTEST
from neus.stereo.matches import FEWEST, PairMatches

# Fraction of the points that may contradict in `sure_ratio`.
SURE_FRACTION = 0.1
# `exposure_steps`: sure gains beyond this factor count, if the pairs across show this fraction of it. Where the robot's arm
# of DTU throws its shadow they show about half of it, where images were brightened nine tenths or all.
STEP, STEP_FRACTION = 1.15, 0.75
# And if there are so many pairs across, whose ratios spread at most this many times as much as those of other pairs: one
# gain for all points adds no spread (0.6 to 0.9 of it was measured), a shadow does (1.6 to 2.3).
FEWEST_ACROSS, MOST_SPREAD = 3, 1.3
# Rounds of reweighting in `view_gains`, and the log ratio from which a pair counts less: highlights move with the camera.
N_ROUNDS, SOFTENED = 30, 0.02


def pair_ratio(match: PairMatches) -> float | None:
    """Log of how much brighter the second view shows what both see; None if there are too few points."""
    logs = _log_ratios(match)
    return None if logs is None else float(np.median(logs))


def sure_ratio(match: PairMatches) -> float | None:
    """The part of `pair_ratio` common to nearly all points: the decile nearest to zero, or zero if zero lies between.

    Exposure changes all points alike; shadows and highlights change some, and leave others as they were.
    """
    logs = _log_ratios(match)
    if logs is None:
        return None
    low, high = np.quantile(logs, [SURE_FRACTION, 1.0 - SURE_FRACTION])
    return float(low if low > 0 else min(high, 0.0))


def ratio_spread(match: PairMatches) -> float | None:
    """Interquartile range of the log ratios of a pair; None if there are too few."""
    logs = _log_ratios(match)
    return None if logs is None else float(np.subtract(*np.quantile(logs, [0.75, 0.25])))


def _log_ratios(match: PairMatches) -> NDArray | None:
    colors = match.colors[:, : match.agreed].astype(np.float64)
    is_fair = ((colors > DARKEST).all(axis=-1) & (colors < LIGHTEST).all(axis=-1)).all(axis=0)
    if is_fair.sum() < FEWEST // 2:
        return None
    grey = np.log(colors[:, is_fair].mean(axis=-1))
    return grey[1] - grey[0]


def view_gains(n_views: int, pairs: list[tuple[int, int]], ratios: list[float]) -> NDArray:
    """(V,) brightness of each view over that of the usual view; NaN for views without pairs.

    The log gains whose differences fit the ratios of the pairs with the least sum of absolute errors (iteratively
    reweighted least squares): single wrong pairs have no effect.

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
    gains[known] = np.exp(logs[known] - _usual(logs[known]))
    return gains


def exposure_steps(
    gains: NDArray, pairs: list[tuple[int, int]], ratios: list[float], spreads: list[float]
) -> list[int]:
    """Views with another exposure than most: their sure gain is far from one, and changes at a step.

    Light and shadow that move with the camera fade in from view to view: the pairs at the border of a group of such views
    show a part of the change, and some points more than others. They show a change of exposure in full, everywhere.

    Args:
        gains: (V,) from `view_gains` of sure ratios.
        pairs, ratios: the sure ratios themselves.
        spreads: `ratio_spread` of the same pairs.
    """
    logs = np.log(gains)
    # Of two groups about equally large with light that drifts in each, the usual level may fall between them.
    for level in (0.0, *np.nanquantile(logs, [0.75, 0.25])) if np.isfinite(logs).any() else ():
        views = _steps_from(np.nan_to_num(logs - level, nan=0.0), *(np.array(x) for x in (pairs, ratios, spreads)))
        if views:
            return views
    return []


def _steps_from(logs: NDArray, ends: NDArray, ratios: NDArray, spreads: NDArray) -> list[int]:
    """Views beyond a step from those whose log gain is near zero."""
    views = []
    for sign in (1.0, -1.0):
        is_far = sign * logs > np.log(STEP)
        within = is_far[ends].all(axis=-1)
        graph = coo_matrix((np.ones(within.sum()), tuple(ends[within].T)), shape=(len(logs),) * 2)
        groups = connected_components(graph, directed=False)[1]
        for group in np.unique(groups[is_far]):
            inside = (groups == group)[ends]
            crossing = inside[:, 0] != inside[:, 1]
            upward = sign * np.where(inside[crossing, 1], ratios[crossing], -ratios[crossing])
            if crossing.sum() < FEWEST_ACROSS or crossing.all():
                continue
            is_alike = np.median(spreads[crossing]) <= MOST_SPREAD * np.median(spreads[~crossing])
            if is_alike and np.median(upward) >= STEP_FRACTION * sign * np.median(logs[groups == group]):
                views += np.flatnonzero(groups == group).tolist()
    return sorted(views)


def _usual(logs: NDArray) -> float:
    """The middle of the shortest interval that holds half of the values: right also if two groups are equally large."""
    ordered, half = np.sort(logs), len(logs) // 2 + 1
    start = int(np.argmin(ordered[half - 1 :] - ordered[: len(ordered) - half + 1]))
    return float(np.median(ordered[start : start + half]))
