"""Which truncation is best: the same training with several."""

from pathlib import Path

from neus.shapes.experiments.result import (
    Check,
    ExperimentResult,
    Panel,
    Progress,
    median,
    mesh_or_none,
    short,
    spread_over,
    tell,
)  # fmt: skip
from neus.shapes.fit import fit_shape
from neus.shapes.measures import shape_scores
from neus.shapes.observations import of_samples
from neus.shapes.prior import Prior, load_prior
from neus.shapes.train import train_prior
from neus.shapes.truth import split_of, truth_of

# Where values are truncated early, no space can be passed over: coarser than in other experiments.
RESOLUTION = 64
TRUNCATIONS = (0.02, 0.05, 0.1, 0.2, 0.5)
# Trained first, for the time there is; the others then take as many steps, so that a busy machine favours none.
FIRST = 0.1


def truncation(
    prior: Prior, data: Path, n: int = 6, seed: int = 0, on_progress: Progress | None = None, minutes: float = 1.0,
    folder: Path | None = None,
) -> ExperimentResult:  # fmt: skip
    """Trains the prior's network anew with each truncation, all for as many steps; known and held-out shapes of each.

    Args:
        prior, data, n, seed, on_progress: as in the other experiments.
        minutes: of the first training, with 0.1.
        folder: where the trainings go; a new folder for each.
    """
    folder = folder or prior.folder / "experiments"
    names, rows, panels, epochs = split_of(prior, "test", data), [], [], None
    for k, d in enumerate(sorted(TRUNCATIONS, key=lambda d: d != FIRST)):
        run = _new_folder(folder, f"truncation_{d:g}")
        split = str((data / "train.json").resolve())
        specs = prior.specs.with_keys(ClampingDistance=d, DataSource=str(data.resolve()), TrainSplit=split, Seed=seed)
        result = train_prior(specs, run, minutes) if epochs is None else train_prior(specs.with_keys(NumEpochs=epochs), run)
        batches = max(1, len(prior.names) // min(int(specs["ScenesPerBatch"]), len(prior.names)))
        epochs = epochs or max(1, result.steps // batches)
        trained = load_prior(run)
        chosen = spread_over(prior.names, n)
        known = [shape_scores(trained.field(trained.codes[i]), truth_of(data, prior.names[i]), RESOLUTION).as_dict() for i in chosen]
        unknown = []
        for i in spread_over(names, n):
            truth = truth_of(data, names[i])
            fit = fit_shape(trained, of_samples(truth.samples), seed=seed)
            unknown.append(shape_scores(trained.field(fit.code), truth, RESOLUTION).as_dict())
        row = {"truncation": d, "steps": result.steps}
        for which, scores in (("known", known), ("unknown", unknown)):
            row |= {f"{which} {key}": median(scores, key) for key in ("accuracy", "completeness")}
        rows.append(row)
        panels.append(Panel(mesh_or_none(trained.field(trained.codes[0])), [f"truncation {d:g}", f"known {row['known accuracy']:.4f}"]))
        tell(on_progress, k + 1, len(TRUNCATIONS))
    best = min(row["known accuracy"] for row in rows)
    ours = next(row["known accuracy"] for row in rows if row["truncation"] == 0.1)
    rows.sort(key=lambda row: row["truncation"])
    experiment = ExperimentResult("truncation", "At which distance should values be truncated?", rows, panels=[panels])
    experiment.checks = [Check("known accuracy at 0.1 over the best", ours / best, 1.1)]
    first = f"{minutes:g} minutes of training with {FIRST}, as many steps with the others"
    experiment.remarks = [f"{first}; the image shows {short(prior.names[0])}."]
    return experiment


def _new_folder(folder: Path, name: str) -> Path:
    """A folder that is not there yet."""
    number, found = 1, folder / name
    while found.exists():
        number += 1
        found = folder / f"{name}_{number}"
    return found
