"""One run of a benchmark: training, held-out views and surface, each part kept as soon as it is done.

OUT/runs/SCENE/CONF_LENGTH_seedN/     the run folder, as `neus train` makes it
OUT/records/SCENE/...json             what is done and what came out
OUT/logs/SCENE/...txt                 what the commands said
"""

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from neus.bench.machine import machine_facts, version_facts
from neus.bench.record import RunRecord
from neus.bench.scores import (
    BUILT_IN,
    DTU_FILE,
    FEATURE_POINTS,
    NO_MESH,
    dtu_scores,
    image_scores,
    surface_scores_of,
)
from neus.errors import InputError
from neus.evaluation.dtu import scan_of_name
from neus.runs.build import pick_device
from neus.runs.config import config_as_dict, read_config
from neus.runs.run_folder import RunFolder
from neus.training.checkpoint import checkpoints_in, iteration_of

# Runs `neus ARGUMENTS`, its output added to a file: (exit status, why it failed).
RunCommand = Callable[[list[str], Path], tuple[int, str]]


class RunFailed(RuntimeError):
    """One part of one run did not work; the message is one line that says why."""


@dataclass(frozen=True)
class BenchRun:
    """What one run is to be.

    Attributes:
        scene: name in the table.
        data: folder of the scene.
        config: config file.
        overrides: as given to `--set`.
        minutes, iterations: how long to train; one of them is None.
        seed: of everything random in training.
        holdout: every so many-th view is kept out of training and measured.
        scale: of the size at which held-out views are measured.
        dtu_root: folder of DTU's scans and observation masks, or None.
    """

    scene: str
    data: Path
    conf: Path
    overrides: tuple[str, ...] = ()
    minutes: float | None = None
    iterations: int | None = None
    seed: int = 0
    holdout: int = 8
    scale: float = 1.0
    dtu_root: Path | None = None

    @property
    def length(self) -> str:
        """How long it trains, in words.

        >>> BenchRun("lego", Path("lego"), Path("quick.conf"), minutes=2.5).length
        '2.5 min'
        """
        return f"{self.iterations} iterations" if self.minutes is None else f"{self.minutes:g} min"

    @property
    def name(self) -> str:
        """Where its files are, below `runs`, `records` and `logs`.

        >>> BenchRun("lego", Path("lego"), Path("quick.conf"), iterations=60, seed=1).name
        'lego/quick_60iterations_seed1'
        """
        scene = self.scene.replace(":", "-")  # which no path on Windows may have
        return f"{scene}/{self.conf.stem}_{self.length.replace(' ', '')}_seed{self.seed}"

    def facts(self) -> dict[str, Any]:
        """What the table says of it."""
        words = {"scene": self.scene, "conf": self.conf.name, "length": self.length}
        return words | {"minutes": self.minutes, "iterations": self.iterations, "seed": self.seed}

    def settings(self, device: str) -> dict[str, Any]:
        """All that decides the result of each part; a part whose settings are still these is not done again."""
        config = read_config(self.conf, list(self.overrides))
        content = config_as_dict(replace(config, dataset=replace(config.dataset, data_dir="")))
        del content["general"]  # where runs are written, which `bench` decides
        truth = self.data / FEATURE_POINTS
        return {
            "train": {
                "conf": content,
                "length": self.length,
                "seed": self.seed,
                "holdout": self.holdout,
                "scene": folder_digest(self.data),
                "device": pick_device(device).type,
            },
            "evaluate": {"scale": self.scale},
            "surface": {
                "truth": truth.stat().st_size if truth.is_file() else self.scene.startswith(BUILT_IN),
                "dtu": str(self.dtu_root) if self.is_measured_by_dtu else None,
            },
        }

    def train_arguments(self, folder: Path, device: str, resume: bool) -> list[str]:
        """Of `neus`, to train."""
        length = ["--iterations", str(self.iterations)] if self.minutes is None else ["--minutes", f"{self.minutes:g}"]
        changes = [word for change in self.overrides for word in ("--set", change)]
        return [
            *("train", "--conf", str(self.conf), "--data", str(self.data), "--run", str(folder)),
            *("--seed", str(self.seed), "--holdout", str(self.holdout), "--device", device, *length, *changes),
            "--resume" if resume else "--overwrite",
        ]

    def evaluate_arguments(self, folder: Path, device: str) -> list[str]:
        """Of `neus`, to measure the held-out views."""
        return ["evaluate", str(folder), "--scale", f"{self.scale:g}", "--device", device]

    def dtu_arguments(self, folder: Path) -> list[str]:
        """Of `neus`, to measure the mesh by DTU's protocol."""
        return ["evaluate", str(folder), "--dtu-root", str(self.dtu_root), "--out", str(folder / DTU_FILE)]

    @property
    def is_measured_by_dtu(self) -> bool:
        """Whether this is a scan of DTU and its truth is at hand."""
        return self.dtu_root is not None and scan_of_name(self.scene) is not None


def complete(run: BenchRun, out: Path, device: str, run_command: RunCommand) -> RunRecord:
    """Does what is not done yet of a run; whatever goes wrong in it is said in its record and raised no further.

    A training that was cut off resumes from its newest checkpoint if its length is in iterations, and the time until that
    checkpoint counts. If it is in minutes it starts over: which minutes the machine gave it nobody knows afterwards.

    Args:
        run: what to do.
        out: folder of the benchmark.
        device: as `--device`.
        run_command: runs `train` and `evaluate`.
    """
    record = record_of(run, out)
    record.facts |= run.facts()
    try:
        settings = run.settings(device)
        folder, log = RunFolder(out / "runs" / run.name), out / "logs" / f"{run.name}.txt"
        if record.is_done(settings) and record.facts.get("status") == "done":
            return record
        if not record.has("train", settings["train"]) or not (record.is_done(settings) or folder.holds_a_run()):
            _train(run, folder, log, record, settings["train"], device, run_command)
        if not record.has("evaluate", settings["evaluate"]):
            record.begin("evaluate", settings["evaluate"])
            seconds = _timed(run_command, run.evaluate_arguments(folder.path, device), log)
            record.finish("evaluate", seconds, image_scores(folder.path))
        if not record.has("surface", settings["surface"]):
            record.begin("surface", settings["surface"])
            started = time.monotonic()
            scores = surface_scores_of(run.scene, run.data, folder.path / "mesh.ply")
            if run.is_measured_by_dtu and NO_MESH not in scores.values():
                _timed(run_command, run.dtu_arguments(folder.path), log)
                scores |= dtu_scores(folder.path / DTU_FILE)
            record.finish("surface", time.monotonic() - started, scores)
        record.save(status="done", reason="", **_made_with(device))
    except Exception as error:  # the other runs continue after any error of this one
        message = str(error).splitlines()[0] if str(error) else ""
        is_expected = isinstance(error, RunFailed | InputError)
        reason = message if is_expected else f"{type(error).__name__}: {message}"
        record.save(status="failed", reason=reason, **_made_with(device))
    return record


def record_of(run: BenchRun, out: Path) -> RunRecord:
    """The record of a run as it stands."""
    return RunRecord(out / "records" / f"{run.name}.json")


def _train(
    run: BenchRun,
    folder: RunFolder,
    log: Path,
    record: RunRecord,
    settings: dict[str, Any],
    device: str,
    run_command: RunCommand,
) -> None:
    before = record.interrupted("train", settings) if run.minutes is None else None
    checkpoints = checkpoints_in(folder.checkpoints)
    resume = before is not None and bool(checkpoints)
    carried = 0.0
    if resume:
        carried = before["carried"] + max(0.0, checkpoints[-1].stat().st_mtime - before["started"])
    record.begin("train", settings, carried, before["resumed"] + 1 if resume else 0)
    seconds = _timed(run_command, run.train_arguments(folder.path, device, resume), log)
    record.finish("train", seconds, {"iterations": iteration_of(folder.latest_checkpoint())})


def _timed(run_command: RunCommand, arguments: list[str], log: Path) -> float:
    """Seconds that a command took."""
    started = time.monotonic()
    status, reason = run_command(arguments, log)
    if status:
        raise RunFailed(f"{arguments[0]}: {reason}")
    return time.monotonic() - started


def folder_digest(folder: Path) -> str:
    """A short digest of the names and sizes of all files below a folder: tells altered scenes, not single pixels."""
    root = folder if folder.is_dir() else folder.parent
    names = [f"{p.relative_to(root).as_posix()} {p.stat().st_size}" for p in sorted(root.rglob("*")) if p.is_file()]
    kept = [name for name in names if not name.startswith(FEATURE_POINTS)]
    return hashlib.sha256("\n".join([folder.name, *kept]).encode()).hexdigest()[:16]


def _made_with(device: str) -> dict[str, Any]:
    machine = machine_facts(pick_device(device))
    return {"machine": machine, "versions": version_facts(), "finished": time.strftime("%Y-%m-%d %H:%M")}
