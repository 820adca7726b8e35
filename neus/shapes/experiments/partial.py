"""One depth map of a held-out shape: exact, and with noise."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from neus.shapes.depth_views import DepthView, code_weight, depth_observations, with_noise
from neus.shapes.exact_views import camera_around, exact_view, is_visible
from neus.shapes.experiments.result import (
    Check,
    ExperimentResult,
    Panel,
    Progress,
    column,
    columns_of,
    mean_of,
    median,
    mesh_or_none,
    quantile90,
    short,
    spread_over,
    tell,
)  # fmt: skip
from neus.shapes.fit import Fit, fit_shape
from neus.shapes.measures import POINTS, surface_distances, truth_mesh
from neus.shapes.observations import Observations
from neus.shapes.prior import Prior
from neus.shapes.truth import Truth, split_of, truth_of

NOISES = (0.01, 0.02, 0.05)
# What the error should be below; at the greatest noise it is the points themselves.
NOISE_LIMITS = {0.01: 0.005, 0.02: 0.009}
# Training shapes that the nearest one is looked for among, and points by which.
NEAREST_POINTS = 300
SHOWN = 5


def completion(prior: Prior, data: Path, n: int = 10, seed: int = 0, on_progress: Progress | None = None) -> ExperimentResult:
    """Seen and unseen surface from one 64 x 64 depth map, against the mean shape and the training shape nearest to the points."""
    names, rows, panels = split_of(prior, "test", data), [], []
    chosen = spread_over(names, n)
    training = [truth_of(data, name) for name in prior.names]
    for k, i in enumerate(chosen):
        truth, view = view_of(data, names[i], k, len(chosen), seed)
        fit, seen = fitted_view(prior, view, 0.0, seed)
        row, mesh = scored(prior, truth, view, fit, seen), mesh_or_none(prior.field(fit.code))
        nearest = nearest_training(training, view.points()[view.seen])
        surface = truth.surface(POINTS, seed + 1)
        hidden = surface[~is_visible(truth, surface, view.camera)]
        row |= {
            "mean shape": float(surface_distances(prior.field(prior.mean_code), hidden).mean()),
            "nearest training shape": float(np.abs(nearest.sdf(hidden)).mean()),
        }
        rows.append({"shape": short(names[i])} | row)
        if len(panels) < SHOWN:
            top = Panel(truth_mesh(truth, 96), [short(names[i]), "truth and what was seen"], view.points()[view.seen][::4])
            panels.append((top, Panel(mesh, ["completed", f"unseen {row['unseen']:.4f}"])))
        tell(on_progress, k + 1, len(chosen))
    wins = (column(rows, "unseen") < column(rows, "mean shape")) & (column(rows, "unseen") < column(rows, "nearest training shape"))
    result = ExperimentResult("completion", "What is the unseen side like, from one depth map?", rows, panels=columns_of(panels))
    result.checks = [
        Check("seen surface, median", median(rows, "seen"), 0.005),
        Check("unseen surface, median", median(rows, "unseen"), 0.005),
        Check("unseen surface, 90 %", quantile90(rows, "unseen"), 0.015),
        Check("better than mean shape and nearest training shape", float(wins.mean()), 0.9, False),
        Check("free points inside, mean", float(column(rows, "free inside").mean()), 0.005),
    ]
    result.remarks = ["Normals are estimated from the depth map itself."]
    return result


def noise(prior: Prior, data: Path, n: int = 6, seed: int = 0, on_progress: Progress | None = None) -> ExperimentResult:
    """The same with noise along the rays; normals from the noisy depth."""
    names, rows, panels = split_of(prior, "test", data), [], []
    chosen = spread_over(names, n)
    for s, sigma in enumerate(NOISES):
        for k, i in enumerate(chosen):
            truth, view = view_of(data, names[i], k, len(chosen), seed)
            view = with_noise(view, sigma, seed + k)
            fit, seen = fitted_view(prior, view, sigma, seed)
            rows.append({"noise": sigma, "shape": short(names[i])} | scored(prior, truth, view, fit, seen))
            if k < SHOWN:
                caption = [f"noise {sigma:g}", f"all {rows[-1]['all']:.4f}, raw {rows[-1]['raw']:.4f}"]
                panels.append(Panel(mesh_or_none(prior.field(fit.code)), caption, view.points()[view.seen][::6]))
            tell(on_progress, s * len(chosen) + k + 1, len(NOISES) * len(chosen))
    width = min(SHOWN, len(chosen))
    result = ExperimentResult("noise", "How much noise does a completion bear?", rows)
    result.panels = [panels[i : i + width] for i in range(0, len(panels), width)]
    for sigma in NOISES:
        of_sigma = [row for row in rows if row["noise"] == sigma]
        limit = NOISE_LIMITS.get(sigma, median(of_sigma, "raw"))
        what = f"all surface, noise {sigma:g} (raw points {median(of_sigma, 'raw'):.4f})"
        result.checks.append(Check(what, median(of_sigma, "all"), limit))
    result.remarks = [f"Weight of the code: {', '.join(f'{code_weight(s):.1e} at {s:g}' for s in NOISES)}."]
    return result


def view_of(data: Path, name: str, k: int, n: int, seed: int) -> tuple[Truth, DepthView]:
    """A shape's exact depth map, from the k-th of n directions around it."""
    truth = truth_of(data, name)
    return truth, exact_view(truth, camera_around(2.0 * math.pi * k / n + 0.3 + seed))


def fitted_view(prior: Prior, view: DepthView, sigma: float, seed: int) -> tuple[Fit, Observations]:
    """The fit to a view, and the evidence made of it."""
    seen = depth_observations(view, noise=sigma, seed=seed)
    return fit_shape(prior, seen, weight=code_weight(sigma), seed=seed), seen


def scored(prior: Prior, truth: Truth, view: DepthView, fit: Fit, seen: Observations) -> dict[str, Any]:
    """Distances of the true surface to the fit, where it was seen, where not, and over all; raw error of the points."""
    field, surface = prior.field(fit.code), truth.surface(POINTS, 1)
    is_seen, distances = is_visible(truth, surface, view.camera), surface_distances(field, surface)
    with torch.no_grad():
        inside = float((field.sdf(seen.free) < 0.0).float().mean()) if len(seen.free) else 0.0
    return {
        "seen": mean_of(distances[is_seen]), "unseen": mean_of(distances[~is_seen]), "all": float(distances.mean()),
        "raw": float(np.abs(truth.sdf(view.points()[view.seen])).mean()), "free inside": inside, "seconds": fit.seconds,
    }  # fmt: skip


def nearest_training(training: list[Truth], points: NDArray) -> Truth:
    """The training shape whose exact surface is nearest to some points (n, 3)."""
    few = points[np.linspace(0, len(points) - 1, min(NEAREST_POINTS, len(points))).astype(int)]
    return min(training, key=lambda truth: float(np.abs(truth.sdf(few)).mean()))
