"""Is it copying? The distance of a held-out shape to its fit, against that to the nearest training shape."""

from pathlib import Path

import numpy as np

from neus.shapes.experiments.partial import nearest_training
from neus.shapes.experiments.result import (
    Check,
    ExperimentResult,
    Panel,
    Progress,
    column,
    columns_of,
    median,
    mesh_or_none,
    short,
    spread_over,
    tell,
)  # fmt: skip
from neus.shapes.fit import fit_shape
from neus.shapes.measures import POINTS, surface_distances, truth_mesh
from neus.shapes.observations import of_samples
from neus.shapes.prior import Prior
from neus.shapes.truth import split_of, truth_of

# The fit should be at least so much nearer than the nearest training shape.
HALF = 0.5
BINS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, np.inf)
SHOWN = 5


def copying(prior: Prior, data: Path, n: int = 20, seed: int = 0, on_progress: Progress | None = None) -> ExperimentResult:
    """Held-out shapes: mean distance of the true surface to the fit, and to the nearest of all training shapes."""
    names, rows, panels = split_of(prior, "test", data), [], []
    training, chosen = [truth_of(data, name) for name in prior.names], spread_over(names, n)
    for k, i in enumerate(chosen):
        truth = truth_of(data, names[i])
        surface = truth.surface(POINTS, seed + 1)
        field = prior.field(fit_shape(prior, of_samples(truth.samples), seed=seed).code)
        nearest = nearest_training(training, surface)
        to_fit, to_nearest = float(surface_distances(field, surface).mean()), float(np.abs(nearest.sdf(surface)).mean())
        rows.append({
            "shape": short(names[i]), "to fit": to_fit, "to nearest training shape": to_nearest, "ratio": to_fit / to_nearest,
            "nearest": short(nearest.name),
        })  # fmt: skip
        if len(panels) < SHOWN:
            shown = (truth_mesh(truth, 96), mesh_or_none(field), truth_mesh(nearest, 96))
            captions = ([short(names[i]), "truth"], ["fitted", f"{to_fit:.4f}"], [short(nearest.name), f"nearest, {to_nearest:.4f}"])
            panels.append(tuple(Panel(mesh, caption) for mesh, caption in zip(shown, captions, strict=True)))
        tell(on_progress, k + 1, len(chosen))
    result = ExperimentResult("copying", "Does a fit copy the nearest training shape, or does it find another one?", rows)
    result.panels = columns_of(panels)
    result.checks = [
        Check("fits at most half as far as the nearest training shape", float((column(rows, "ratio") <= HALF).mean()), 0.8, False),
        Check("to the fit, median", median(rows, "to fit"), median(rows, "to nearest training shape")),
    ]
    result.remarks = histogram(column(rows, "ratio"))
    return result


def histogram(ratios: np.ndarray) -> list[str]:
    """Lines of a histogram of ratios.

    >>> histogram(np.array([0.05, 0.15, 0.15]))[2:4]
    ['    0 to 0.1    #', '    0.1 to 0.2  ##']
    """
    counts = np.histogram(ratios, BINS)[0]
    lines = ["Ratio of both distances:", ""]
    for low, high, count in zip(BINS, BINS[1:], counts):
        span = f"{low:g} to {high:g}" if np.isfinite(high) else f"above {low:g}"
        lines.append(f"    {span:<12}{'#' * int(count)}".rstrip())
    return lines
