"""Known and unknown shapes, the speed of fits, and fits with pose."""

import math
from pathlib import Path

import torch

from neus.errors import InputError
from neus.geometry.poses import rotation_from_vector, vector_from_rotation
from neus.shapes.experiments.result import (
    Check,
    ExperimentResult,
    Panel,
    Progress,
    column,
    columns_of,
    median,
    mesh_or_none,
    quantile90,
    short,
    spread_over,
    tell,
)  # fmt: skip
from neus.shapes.families import FAMILIES
from neus.shapes.fit import fit_adam, fit_posed, fit_shape
from neus.shapes.measures import shape_scores, truth_mesh
from neus.shapes.observations import of_samples
from neus.shapes.prior import Prior
from neus.shapes.truth import split_of, truth_of

# Steps of Adam in the comparison of speeds; as published it would be 800.
ADAM_STEPS = 400
# Limits for one family, and for several in one prior: (median, 90 % quantile) of accuracy and completeness.
ONE_FAMILY, MANY_FAMILIES = {"known": (0.002, 0.004), "unknown": (0.002, 0.004)}, {"known": (0.004, 0.012), "unknown": (0.005, 0.012)}
# The pose experiment: how far off the start is, and what should be reached.
OFF_ANGLE, OFF_SHIFT, POSE_SAMPLES = 20.0, 0.1, 2000
NEAR_ANGLE, NEAR_SHIFT = 1.0, 0.005
SHOWN = 6


def known(prior: Prior, data: Path, n: int = 20, seed: int = 0, on_progress: Progress | None = None) -> ExperimentResult:
    """How well training shapes are kept by their codes."""
    rows, panels = [], []
    chosen = spread_over(prior.names, n)
    for k, i in enumerate(chosen):
        truth, field = truth_of(data, prior.names[i]), prior.field(prior.codes[i])
        scores = shape_scores(field, truth, euler=True, seed=seed)
        rows.append({"shape": short(prior.names[i])} | scores.as_dict())
        if len(panels) < SHOWN:
            panels.append(Panel(mesh_or_none(field), [short(prior.names[i]), f"accuracy {scores.accuracy:.4f}"]))
        tell(on_progress, k + 1, len(chosen))
    result = ExperimentResult("known", "How well does a prior keep the shapes it was trained on?", rows, panels=[panels])
    result.checks = [*_surface_checks(rows, "known", prior), Check("sign right, least", float(column(rows, "sign").min()), 0.998, False),
                     Check("Euler number right", float(column(rows, "euler_is_right").mean()), 0.95, False),
                     Check("stray area, most", float(column(rows, "stray").max()), 0.01)]  # fmt: skip
    return result


def unknown(prior: Prior, data: Path, n: int = 10, seed: int = 0, on_progress: Progress | None = None) -> ExperimentResult:
    """How well held-out shapes are explained by a code."""
    names, rows, panels = split_of(prior, "test", data), [], []
    chosen = spread_over(names, n)
    for k, i in enumerate(chosen):
        truth = truth_of(data, names[i])
        fit = fit_shape(prior, of_samples(truth.samples), seed=seed)
        field = prior.field(fit.code)
        scores = shape_scores(field, truth, seed=seed)
        rows.append({"shape": short(names[i]), "difference": fit.difference, "seconds": fit.seconds} | scores.as_dict())
        rows[-1].pop("euler_is_right")
        if len(panels) < SHOWN:
            top = Panel(truth_mesh(truth, 96), [short(names[i]), "truth"])
            panels.append((top, Panel(mesh_or_none(field), ["fitted", f"accuracy {scores.accuracy:.4f}"])))
        tell(on_progress, k + 1, len(chosen))
    result = ExperimentResult("unknown", "How well does a code explain a shape that was held out?", rows, panels=columns_of(panels))
    result.checks = _surface_checks(rows, "unknown", prior)
    return result


def fit_speed(prior: Prior, data: Path, n: int = 6, seed: int = 0, on_progress: Progress | None = None) -> ExperimentResult:
    """Levenberg-Marquardt against Adam on the same samples."""
    names, rows, panels = split_of(prior, "test", data), [], []
    chosen = spread_over(names, n)
    for k, i in enumerate(chosen):
        seen = of_samples(truth_of(data, names[i]).samples, 8000, torch.Generator().manual_seed(seed))
        fits = {
            "lm": fit_shape(prior, seen, seed=seed),
            "lm, mean code alone": fit_shape(prior, seen, seed=seed, restarts=False),
            f"adam, {ADAM_STEPS} steps": fit_adam(prior, seen, ADAM_STEPS, seed, points=4000),
        }
        row = {"shape": short(names[i])}
        for name, fit in fits.items():
            row |= {f"{name}: L1": fit.difference, f"{name}: s": fit.seconds}
        rows.append(row)
        if len(panels) < SHOWN:
            captions = [[name, f"L1 {fit.difference:.5f}, {fit.seconds:.1f} s"] for name, fit in fits.items()]
            panels.append([Panel(mesh_or_none(prior.field(f.code)), c) for f, c in zip(fits.values(), captions, strict=True)])
        tell(on_progress, k + 1, len(chosen))
    adam = f"adam, {ADAM_STEPS} steps"
    ratio = median(rows, f"{adam}: s") / max(median(rows, "lm: s"), 1e-9)
    result = ExperimentResult("fit-speed", "How long does a fit take, and how good is it?", rows, panels=panels[:3])
    result.checks = [Check("L1 of lm over that of adam, medians", median(rows, "lm: L1") / median(rows, f"{adam}: L1"), 1.05),
                     Check("times faster than adam", ratio, 5.0, False)]  # fmt: skip
    return result


def pose(prior: Prior, data: Path, n: int = 10, seed: int = 0, on_progress: Progress | None = None) -> ExperimentResult:
    """Code and pose of shapes that are turned by 20 degrees, moved by 0.1 and scaled."""
    names, rows, panels = split_of(prior, "test", data), [], []
    names = [name for name in names if not _has_axis(data, name)]
    if not names:
        raise InputError(f"{data}: all held-out shapes are round about an axis, so no angle can be found.")
    generator, chosen = torch.Generator().manual_seed(seed), spread_over(names, n)
    for k, i in enumerate(chosen):
        truth = truth_of(data, names[i])
        seen = of_samples(truth.samples, POSE_SAMPLES, generator)
        axis, way = (torch.nn.functional.normalize(torch.randn(3, generator=generator), dim=0) for _ in range(2))
        rotation, shift = rotation_from_vector(math.radians(OFF_ANGLE) * axis), OFF_SHIFT * way
        scale = float(0.8 + 0.5 * torch.rand((), generator=generator))
        fit = fit_posed(prior, seen.moved(rotation, shift, scale), seed=seed)
        angle = math.degrees(float(vector_from_rotation(fit.placement.rotation @ rotation.T).norm()))
        rows.append({
            "shape": short(names[i]), "angle": angle, "shift": float((fit.placement.translation - shift).norm()),
            "scale": fit.placement.scale / scale, "L1": fit.difference, "seconds": fit.seconds,
        })  # fmt: skip
        if len(panels) < SHOWN:
            moved = seen.moved(rotation, shift, scale)
            points = moved.points[seen.distances.abs() < 0.02][:400]
            caption = [short(names[i]), f"{angle:.2f} degrees, {rows[-1]['shift']:.4f} off"]
            panels.append(Panel(mesh_or_none(prior.field(fit.code)), caption, fit.placement.to_prior(points).numpy()))
        tell(on_progress, k + 1, len(chosen))
    is_found = (column(rows, "angle") <= NEAR_ANGLE) & (column(rows, "shift") <= NEAR_SHIFT)
    question = f"Are pose and code found from a start {OFF_ANGLE:g} degrees and {OFF_SHIFT} off?"
    result = ExperimentResult("pose", question, rows, panels=[panels])
    result.checks = [Check("found to 1 degree and 0.005", float(is_found.mean()), 0.8, False)]
    return result


def n_classes(prior: Prior) -> int:
    """How many classes the training shapes have."""
    return len({name.split("/")[1] for name in prior.names if name.count("/") == 2}) or 1


def _surface_checks(rows: list[dict], which: str, prior: Prior) -> list[Check]:
    limits = (ONE_FAMILY if n_classes(prior) == 1 else MANY_FAMILIES)[which]
    named = [(key, name, of) for key in ("accuracy", "completeness") for name, of in (("median", median), ("90 %", quantile90))]
    return [Check(f"{key}, {name}", of(rows, key), limits[name != "median"]) for key, name, of in named]


def _has_axis(data: Path, name: str) -> bool:
    family = truth_of(data, name).facts.get("family")
    return family is not None and FAMILIES[family].axis
