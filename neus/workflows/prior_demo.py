"""A prior from nothing to one image, on two cores in some minutes."""

import math
import time
from pathlib import Path

import numpy as np
import torch

from neus.errors import InputError
from neus.files import write_json
from neus.reports.shape_sheet import Cell, shape_sheet
from neus.runs.console import QUIET, Console
from neus.scenes.images import write_image
from neus.shapes.exact_views import camera_around, exact_view
from neus.shapes.measures import POINTS, surface_distances, truth_mesh
from neus.shapes.prior import Prior, load_prior
from neus.shapes.truth import Truth, truth_of
from neus.workflows.prior import SHOWN_RESOLUTION, cell_of, family_image, make_data, train
from neus.workflows.prior_fit import fit_view

SHAPES, COMPLETIONS, STEPS = 60, 3, 6


def run_prior_demo(out: Path, family: str = "mug", minutes: float = 3.0, seed: int = 0, console: Console = QUIET) -> dict[str, float]:
    """Makes OUT/data, OUT/run and OUT/demo.png: twelve shapes, three completions of held-out ones, an interpolation.

    Args:
        out: a new folder.
        family: of closed-form shapes.
        minutes: of training.
        seed: of everything random.
        console: where lines go.

    Returns:
        Numbers, also in OUT/demo.json: mean distance of the true surface to each completion, seconds in all.

    Raises:
        InputError: the folder is in use, or no such family.
    """
    started = time.monotonic()
    if out.exists() and any(out.iterdir()):
        raise InputError(f"--out {out}: is there already and not empty; choose a new folder, or remove that one.")
    console.message(f"{SHAPES} closed-form shapes to {out / 'data'}")
    data = make_data(out / "data", [family], n_train=SHAPES, n_test=COMPLETIONS, seed=seed, console=console)
    console.message(f"training for {minutes:g} minutes")
    result = train(out / "run", out / "data", minutes=minutes, seed=seed, console=console)
    if result.stopped:
        raise KeyboardInterrupt
    prior, numbers, rows = load_prior(out / "run"), {}, []
    for k, name in enumerate(data.test):
        cells, distance = _completion(prior, truth_of(out / "data", name), k)
        rows.append(cells)
        numbers[f"completion of {name.split('/')[-1]}"] = distance
    steps = [torch.lerp(prior.codes[0], prior.codes[-1], part) for part in np.linspace(0.0, 1.0, STEPS).tolist()]
    line = [cell_of(prior, code, [f"{100 * k // (STEPS - 1)} %", "interpolation"]) for k, code in enumerate(steps)]
    completions = shape_sheet([[cell for cells in rows[:2] for cell in cells], [*[c for cells in rows[2:] for c in cells]], line])
    write_image(out / "demo.png", np.concatenate([family_image(prior), completions]))
    numbers["seconds"] = time.monotonic() - started
    write_json(out / "demo.json", numbers)
    return numbers


def _completion(prior: Prior, truth: Truth, k: int) -> tuple[list[Cell], float]:
    """What one depth map saw of a held-out shape, the completion and the truth; mean distance of the true surface."""
    view = exact_view(truth, camera_around(0.6 + 2.0 * math.pi * k / COMPLETIONS))
    fit, _ = fit_view(prior, view)
    distance = float(surface_distances(prior.field(fit.code), truth.surface(POINTS, 1)).mean())
    seen = view.points()[view.seen][::3]
    return [
        Cell(None, ["seen in one depth map"], seen),
        cell_of(prior, fit.code, ["completed", f"mean error {distance:.4f}"]),
        Cell(truth_mesh(truth, SHOWN_RESOLUTION), ["truth"]),
    ], distance
