"""What changes with the iterations: learning rate, annealing, levels of detail."""

import math


def learning_rate_factor(
    iteration: float, warm_up_end: int, end_iter: int, final: float, decay: str = "cosine"
) -> float:
    """Fraction of the base learning rate: a linear warm-up, then from 1 to `final`, by a cosine as in NeuS or exponentially.

    >>> [round(learning_rate_factor(i, 10, 110, 0.05), 3) for i in (0, 5, 10, 60, 110)]
    [0.0, 0.5, 1.0, 0.525, 0.05]
    >>> round(learning_rate_factor(60, 10, 110, 0.04, "exponential"), 3)
    0.2
    """
    if iteration < warm_up_end:
        return iteration / warm_up_end
    progress = min(1.0, (iteration - warm_up_end) / max(1, end_iter - warm_up_end))
    if decay == "exponential":
        return final**progress
    return 0.5 * (math.cos(math.pi * progress) + 1.0) * (1.0 - final) + final


def cos_anneal_ratio(iteration: float, anneal_end: int) -> float:
    """How far the slope of the surface is trusted: from 0 to 1 at `anneal_end`; 1 throughout if that is 0.

    >>> cos_anneal_ratio(25, 100), cos_anneal_ratio(0, 0)
    (0.25, 1.0)
    """
    return 1.0 if anneal_end == 0 else min(1.0, iteration / anneal_end)


def active_levels(iteration: float, levels_end: int, levels_start: int, n_levels: int) -> int:
    """How many levels of a grid are on: from `levels_start`, one after another, to all at `levels_end`; all if that is 0.

    >>> [active_levels(i, 100, 2, 4) for i in (0, 49, 50, 99, 100, 500)]
    [2, 2, 3, 3, 4, 4]
    """
    if iteration >= levels_end:
        return n_levels
    first = min(levels_start, n_levels)
    return int(first + (n_levels - first) * iteration // levels_end)


def interval_schedule(
    progress: float, until: float, start: tuple[int, float], end: tuple[int, float]
) -> tuple[int, float]:
    """Number of intervals and their uniform fraction, from many and wide at the start to few and narrow.

    Args:
        progress: of the training, in [0, 1].
        until: progress at which the end is reached; evenly until there, the number in steps of four.
        start, end: number and fraction; a start without intervals is the end throughout.

    >>> [interval_schedule(p, 0.4, (24, 0.6), (12, 0.2)) for p in (0.0, 0.2, 0.4)]
    [(24, 0.6), (20, 0.4), (12, 0.2)]
    """
    if start[0] == 0 or progress >= until:
        return end
    fraction = progress / until
    number = start[0] + (end[0] - start[0]) * fraction
    return 4 * math.ceil(number / 4), start[1] + (end[1] - start[1]) * fraction
