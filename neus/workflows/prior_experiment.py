"""Experiments on a prior: a table in JSON and Markdown and one image each, in RUN/experiments."""

from collections.abc import Callable
from pathlib import Path

from neus.errors import InputError
from neus.files import check_can_write, write_json, written_whole
from neus.reports.shape_sheet import Cell, shape_sheet
from neus.runs.console import QUIET, Console
from neus.scenes.images import write_image
from neus.shapes.experiments.copying import copying
from neus.shapes.experiments.fits import fit_speed, known, pose, unknown
from neus.shapes.experiments.interpolation import interpolation
from neus.shapes.experiments.partial import completion, noise
from neus.shapes.experiments.result import ExperimentResult
from neus.shapes.experiments.truncation import truncation
from neus.shapes.prior import load_prior
from neus.shapes.truth import data_of

EXPERIMENTS: dict[str, Callable[..., ExperimentResult]] = {
    "known": known, "unknown": unknown, "completion": completion, "interpolation": interpolation, "noise": noise, "copying": copying,
    "truncation": truncation, "fit-speed": fit_speed, "pose": pose,
}  # fmt: skip


def run_experiment(
    run: Path, name: str, data: Path | None = None, n: int | None = None, minutes: float = 1.0, seed: int = 0, epoch: str = "latest",
    out: Path | None = None, console: Console = QUIET,
) -> ExperimentResult:  # fmt: skip
    """Runs one experiment; writes OUT/NAME.json, OUT/NAME.md, OUT/NAME.png.

    Args:
        run: of the prior.
        name: one of EXPERIMENTS.
        data: data folder; None: the one it was trained on.
        n: shapes (or pairs); None: as many as the experiment usually takes.
        minutes: of each training of `truncation`.
        seed, epoch: as usual.
        out: folder; None: RUN/experiments.
        console: for the progress bar.

    Raises:
        InputError: no such experiment, or no exact truth.
    """
    if name not in EXPERIMENTS:
        raise InputError(f"experiment {name!r}: expected one of {', '.join(EXPERIMENTS)}.")
    prior, out = load_prior(run, epoch), out or Path(run) / "experiments"
    data = data or data_of(prior)
    check_can_write(out / "probe")
    settings = {"seed": seed} | ({"n": n} if n is not None else {}) | ({"minutes": minutes, "folder": out} if name == "truncation" else {})
    with console.bar(name, "") as progress:
        result = EXPERIMENTS[name](prior, data, on_progress=progress, **settings)
    write_json(out / f"{name}.json", result.as_dict())
    with written_whole(out / f"{name}.md") as beside:
        beside.write_text(result.markdown(), encoding="utf-8")
    if any(result.panels):
        write_image(out / f"{name}.png", shape_sheet([[Cell(*panel) for panel in row] for row in result.panels if row], prior.specs["Up"]))
    return result
