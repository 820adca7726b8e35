"""Training of a prior from a data folder: for so many minutes or epochs, with checkpoints from which it goes on bit for bit."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from neus.errors import InputError
from neus.files import write_json
from neus.shapes.autodecoder import AutoDecoder
from neus.shapes.experiment_files import (
    CODES,
    MODELS,
    OPTIMIZERS,
    checkpoint_names,
    codes_content,
    load_weights,
    read_codes,
    read_torch_file,
    saved_file,
    weights_content,
    write_torch_file,
)  # fmt: skip
from neus.shapes.samples import SamplePool, read_samples
from neus.shapes.specs import Specs
from neus.shapes.splits import SAMPLES, found_path, read_split, sample_path
from neus.training.budget import IterationBudget, TimeBudget

# Everything the next step depends on; the published files beside it are for other programs, and for `load_prior`.
STATE = "training.pth"
# Seconds between checkpoints: at most so much work is lost with the process.
SAVE_EVERY = 60.0
# Steps over which the loss that is shown is averaged.
SHOWN_OVER = 100
# A run that was stopped shortly before its end gets so many minutes.
LEAST_MINUTES = 0.1


@dataclass
class Progress:
    """How far a training is.

    Attributes:
        fraction: in [0, 1], of time or steps.
        step, epoch: done.
        loss: mean clamped difference over the last steps.
        points_per_second: since the start of this process.
        seconds_left: estimate.
    """

    fraction: float
    step: int
    epoch: int
    loss: float
    points_per_second: float
    seconds_left: float


@dataclass
class TrainResult:
    """What a training has made.

    Attributes:
        run: folder, in the published layout.
        steps, seconds: in all, earlier sessions counted.
        loss: as `Progress.loss`, at the end.
        stopped: whether it was interrupted; it can be resumed.
        notes: what the user should know.
    """

    run: Path
    steps: int
    seconds: float
    loss: float
    stopped: bool = False
    notes: list[str] = field(default_factory=list)


@dataclass
class _Session:
    """A training under way."""

    model: AutoDecoder
    budget: IterationBudget | TimeBudget
    run: Path
    losses: list[float]
    rates: list[tuple[float, float]]
    seconds_before: float
    started: float
    minutes: float | None = None

    @property
    def seconds(self) -> float:
        return self.seconds_before + time.monotonic() - self.started

    def save(self) -> None:
        """The state of training, then the files of the published layout."""
        model, epoch = self.model, self.model.step // self.model.steps_per_epoch
        # A budget of time is over a little before its time is.
        progress = 1.0 if self.budget.is_over(model.step) else self.budget.progress(model.step)
        state = {"model": model.state(), "progress": progress, "seconds": self.seconds, "minutes": self.minutes}
        state |= {"losses": self.losses, "rates": self.rates}
        write_torch_file(self.run / STATE, state)
        self.save_published("latest", epoch)

    def save_published(self, name: str, epoch: int) -> None:
        model = self.model
        write_torch_file(self.run / MODELS / f"{name}.pth", weights_content(model.decoder, epoch))
        write_torch_file(self.run / CODES / f"{name}.pth", codes_content(model.codes, epoch))
        write_torch_file(
            self.run / OPTIMIZERS / f"{name}.pth", {"epoch": epoch, "optimizer_state_dict": model.optimizer.state_dict()}
        )
        logs = {"epoch": epoch, "loss": self.losses, "learning_rate": self.rates}
        logs |= {"timing": [], "latent_magnitude": [], "param_magnitude": {}}
        write_torch_file(self.run / "Logs.pth", logs)


def load_pool(specs: Specs, experiment: Path, device: str = "cpu") -> tuple[SamplePool, list[str]]:
    """The samples of the training split, and the names of its shapes, in the order of their codes.

    Raises:
        InputError: no split, no samples, or a shape without samples on either side.
    """
    names = read_split(found_path(specs["TrainSplit"], experiment))
    if not names:
        raise InputError(f"{specs['TrainSplit']}: names no shapes, expected some to train on.")
    data = found_path(specs["DataSource"], experiment, SAMPLES)
    return SamplePool([read_samples(sample_path(data, name)) for name in names], names, device), names


def train_prior(
    specs: Specs,
    run: Path,
    minutes: float | None = None,
    resume: bool = False,
    device: str = "cpu",
    on_progress: Callable[[Progress], None] | None = None,
    stop: Callable[[int], bool] = lambda step: False,
) -> TrainResult:
    """Trains decoder and codes, and leaves an experiment folder in the published layout.

    With the same specs, data and device, and counted in epochs, the result is the same bit for bit, resumed or not.

    Args:
        specs: network, data, rates, epochs.
        run: its folder; must hold no training unless `resume`.
        minutes: wall-clock time of the steps; None trains NumEpochs, or on resuming what is left of the time of the run.
        resume: continue from the last checkpoint; of a published experiment, from its latest files (without its random numbers).
        device: of torch.
        on_progress: called about once a second.
        stop: called with the number of steps done; True ends the session, to be resumed.

    Raises:
        InputError: bad data, or a folder that cannot be used.
        TrainingDiverged: the loss stopped being a number.
    """
    run = Path(run)
    state_path = run / STATE
    if not resume and (state_path.exists() or (run / MODELS).exists()):
        raise InputError(f"{run}: already holds a training; continue it with --resume, or choose another folder.")
    if resume and not checkpoint_names(run):
        raise InputError(f"{run}: no checkpoint to resume from; train without --resume.")
    saved = read_torch_file(state_path) if resume and state_path.is_file() else None
    started, minutes = time.monotonic(), _minutes_left(run, saved, minutes)
    pool, names = load_pool(specs, run, device)
    model, notes = AutoDecoder(specs, pool, int(specs["Seed"]), device), []
    if pool.n_shapes < int(specs["ScenesPerBatch"]):
        notes.append(f"ScenesPerBatch is {specs['ScenesPerBatch']} and there are {pool.n_shapes} shapes: batches hold all of them")
    total = int(specs["NumEpochs"]) * model.steps_per_epoch
    budget = IterationBudget(total) if minutes is None else TimeBudget(60.0 * minutes, total)
    session = _Session(model, budget, run, [], [], 0.0, started, minutes)
    if saved is not None:
        _restore(session, saved)
    elif resume:
        restore_published(model, run)
    else:
        write_specs(run, specs)
    stopped = _steps(session, on_progress, stop)
    return TrainResult(run, model.step, session.seconds, _recent(session.losses), stopped, notes)


def _minutes_left(run: Path, saved: dict[str, Any] | None, minutes: float | None) -> float | None:
    """Those that were asked for, or the rest of a run that was to take so many; InputError if nothing of its time is left."""
    if saved is None or saved.get("minutes") is None:
        return minutes
    if float(saved["progress"]) >= 1.0:
        raise InputError(f"{run}: its training is finished, the learning rates are at their end; train in another folder.")
    return minutes or max(float(saved["minutes"]) - float(saved["seconds"]) / 60.0, LEAST_MINUTES)


def restore_published(model: AutoDecoder, folder: Path) -> None:
    """Goes on where a published experiment ended: weights, codes, moments of Adam; its random numbers are not kept by it.

    Raises:
        InputError: files that are missing, damaged, or do not fit the specs.
    """
    epoch = load_weights(model.decoder, saved_file(folder, MODELS, "latest"))
    codes, path = read_codes(saved_file(folder, CODES, "latest")), saved_file(folder, OPTIMIZERS, "latest")
    content = read_torch_file(path)
    if codes.shape != model.codes.shape:
        raise InputError(f"{folder}: codes {tuple(codes.shape)}, expected {tuple(model.codes.shape)}: one for each shape of the split.")
    try:
        model.optimizer.load_state_dict(content["optimizer_state_dict"])
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: no state of Adam that fits the network ({' '.join(str(error).split())[:80]}).") from error
    model.codes.data.copy_(codes)
    model.step = epoch * model.steps_per_epoch


def _restore(session: _Session, saved: dict[str, Any]) -> None:
    session.model.restore(saved["model"])
    session.losses, session.seconds_before = list(saved["losses"]), float(saved["seconds"])
    session.rates = [tuple(pair) for pair in saved["rates"]]
    if isinstance(session.budget, TimeBudget):
        seconds = session.budget.seconds
        session.budget.resume_from(float(saved["progress"]))
        session.budget.end_in(seconds)
        # The whole of it, so that another interruption finds its rest.
        session.minutes = (session.seconds_before + seconds) / 60.0


def _steps(session: _Session, on_progress: Callable[[Progress], None] | None, stop: Callable[[int], bool]) -> bool:
    """Steps until the budget is used; whether it was stopped before."""
    model, budget = session.model, session.budget
    snapshots = {int(epoch) for epoch in model.specs["AdditionalSnapshots"]}
    saved = shown = time.monotonic()
    first, stopped = model.step, False
    try:
        while not budget.is_over(model.step) and not stopped:
            if model.step % model.steps_per_epoch == 0:
                session.rates.append(model.specs.rates(model.epoch, budget.progress(model.step)))
            session.losses.append(float(model.advance(budget.progress(model.step)).difference))
            budget.tick()
            now, epoch = time.monotonic(), model.step // model.steps_per_epoch
            if budget_in_epochs(budget) and model.step % model.steps_per_epoch == 0:
                if epoch in snapshots or epoch % int(model.specs["SnapshotFrequency"]) == 0:
                    session.save_published(str(epoch), epoch)
            stopped = stop(model.step)
            if now - saved > SAVE_EVERY:
                session.save()
                saved = time.monotonic()
            if on_progress and now - shown > 1.0:
                on_progress(_progress(session, first))
                shown = now
    except KeyboardInterrupt:
        stopped = True
    session.save()
    return stopped


def budget_in_epochs(budget: IterationBudget | TimeBudget) -> bool:
    """Whether a training is counted in epochs, whose numbers then name snapshots."""
    return isinstance(budget, IterationBudget)


def _progress(session: _Session, first: int) -> Progress:
    model, spent = session.model, time.monotonic() - session.started
    fraction = session.budget.progress(model.step)
    points = (model.step - first) * model.batch_shapes * int(model.specs["SamplesPerScene"])
    left = spent / max(model.step - first, 1) * (session.budget.end_iter - model.step)
    if isinstance(session.budget, TimeBudget):
        left = session.budget.seconds * (1.0 - fraction)
    return Progress(fraction, model.step, model.epoch, _recent(session.losses), points / max(spent, 1e-9), left)


def _recent(losses: list[float]) -> float:
    recent = losses[-SHOWN_OVER:]
    return sum(recent) / len(recent) if recent else math.nan


def write_specs(run: Path, specs: Specs) -> None:
    """Writes `specs.json` into a run folder."""
    write_json(run / "specs.json", specs.content)
