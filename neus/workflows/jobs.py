"""Trainings decided on: what is not given is chosen by the scene, or by the run that is resumed."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from neus.errors import InputError
from neus.runs.config import CASE_PLACEHOLDER, ExperimentConfig, read_config
from neus.runs.console import QUIET, Console
from neus.runs.load import read_scene_on
from neus.runs.presets import Preset, preset_of_name
from neus.runs.run import in_known_region
from neus.runs.run_folder import RunFolder
from neus.runs.session import FINISHED, Session, read_sessions
from neus.scenes.readers import read_scene
from neus.scenes.scene import Scene
from neus.training.config import with_iterations

# A run that was stopped gets at least this fraction of its minutes: the mesh and the report have to be made.
LEAST_REST = 0.2
# Run folders without a given path are made here.
RUNS = Path("runs")


@dataclass(frozen=True)
class TrainJob:
    """A training that is decided on but not begun.

    Attributes:
        config: with `dataset` and `train` as they are to be used.
        folder: of the run.
        resume: continue from the newest checkpoint in `folder`.
        minutes: wall-clock budget from the start of `session` to the mesh; None trains `train.end_iter` iterations.
        leaves_mesh: whether RUN/mesh.ply is written at the end.
        scene: if it was read to choose the preset, or given.
        session: records what is done; it has begun.
        started: the time (`time.monotonic`) from which `minutes` count.
        choices: one line for each thing that was chosen for the user.
        unseen: what becomes of surface in the mesh that no two views have seen, one of `meshing.unseen.CHOICES`.
    """

    config: ExperimentConfig
    folder: RunFolder
    resume: bool
    minutes: float | None
    leaves_mesh: bool
    scene: Scene | None
    session: Session
    started: float
    choices: list[str] = field(default_factory=list)
    unseen: str = "auto"


def new_job(
    data: str | Path | Scene | None,
    started: float,
    conf: Path | None = None,
    preset: str | None = None,
    run: Path | None = None,
    overrides: Sequence[str] = (),
    seed: int | None = None,
    holdout: int | None = None,
    minutes: float | None = None,
    iterations: int | None = None,
    overwrite: bool = False,
    command: str = "",
    console: Console = QUIET,
    unseen: str = "auto",
) -> TrainJob:
    """A new training, with what is not given chosen by the scene.

    Without `conf` the preset (`quick` unless given) is the variant with or without masks, as the scene has them; without
    `run` the folder is runs/SCENE, or a free name beside it; without `minutes` and `iterations` a preset has its own budget.

    Args:
        data: the scene's folder, or a scene; None takes `dataset.data_dir` of the config.
        started: `time.monotonic()` at the start of the command.
        config: config file, or the bare name of a shipped one.
        preset: `quick`, `best` or `paper`; not together with `conf`.
        run: folder to write to.
        overrides: `section.key=value` each.
        seed, holdout: win over the config.
        minutes, iterations: how long; at most one.
        overwrite: the run folder may hold an earlier run.
        command: for the record.
        console: where the progress of reading goes.
        unseen: as in `TrainJob`.

    Raises:
        InputError: no scene, an unknown preset or key, both or neither of what excludes each other.
    """
    if conf is not None and preset is not None:
        raise InputError(f"--conf {conf} and --preset {preset} exclude each other; give one.")
    if minutes is not None and iterations is not None:
        raise InputError("minutes and iterations exclude each other; give one.")
    session = Session(command, started)
    given = data if isinstance(data, Scene) else None
    # A scene in memory that was never in a folder has no source.
    place = data if given is None else "" if given.source == Path() else given.source
    choices: list[str] = []
    overrides = list(overrides)
    chosen = None if conf else preset_of_name(preset or "quick")
    config = read_config(conf or chosen.conf(has_masks=True), overrides)
    if place is not None:
        config = replace(config, dataset=replace(config.dataset, data_dir=str(place)))
    if given is None and (not config.dataset.data_dir or CASE_PLACEHOLDER in config.dataset.data_dir):
        raise InputError("SCENE is missing; give the folder of a scene, such as `neus train data/dtu_scan65`.")
    folder = RunFolder(run or free_run(config.dataset.data_dir, overwrite))
    scene = given
    if chosen:
        if scene is None:
            with session.stage("reading the scene"), session.noting_warnings():
                scene = read_scene_on(console, Path(config.dataset.data_dir), config.dataset)
        has_masks = is_masked(scene)
        config = replace(read_config(chosen.conf(has_masks), overrides), dataset=config.dataset)
        if minutes is None and iterations is None and not _sets_iterations(overrides):
            minutes = chosen.minutes(has_masks)
        choices.append(_choice_of_preset(chosen, has_masks, minutes, iterations, config))
    if run is None:
        choices.append(f"run folder: {folder.path}{_why_not_first(folder.path, config.dataset.data_dir)}")
    config = _with(config, seed, holdout, iterations)
    leaves_mesh = chosen is not None or minutes is not None or iterations is not None
    return TrainJob(config, folder, False, minutes, leaves_mesh, scene, session, started, choices, unseen)


def resumed_job(
    run: Path,
    started: float,
    conf: Path | None = None,
    data: Path | None = None,
    overrides: Sequence[str] = (),
    seed: int | None = None,
    holdout: int | None = None,
    minutes: float | None = None,
    iterations: int | None = None,
    command: str = "",
    unseen: str = "auto",
) -> TrainJob:
    """A run that is to be continued: its own config unless `conf` is given; arguments as in `new_job`.

    Without `minutes` and `iterations` a run that was stopped before its minutes were over gets the rest of them.

    Raises:
        InputError: nothing to resume, or another seed than it began with.
    """
    session, folder = Session(command, started), RunFolder(run)
    if conf is None:
        if not folder.holds_a_run() and RunFolder(beside := RUNS / run.resolve().name).holds_a_run():
            raise InputError(f"{run}: is not a run folder; resume with `neus train {beside} --resume`.")
        folder.latest_checkpoint()
    config = read_config(conf or folder.path / "config.conf", list(overrides))
    if (folder.path / "config.conf").is_file():
        # What decides the views and the random numbers stays as the run began, whatever the config says.
        begun = folder.config()
        if seed not in (None, begun.train.seed):
            raise InputError(f"--seed {seed}: the run began with seed {begun.train.seed}; leave it out to resume.")
        dataset = replace(config.dataset, holdout=begun.dataset.holdout, data_dir=begun.dataset.data_dir)
        config = replace(config, dataset=dataset, train=replace(config.train, seed=begun.train.seed))
    if data is not None:
        config = replace(config, dataset=replace(config.dataset, data_dir=str(data)))
    if not config.dataset.data_dir or CASE_PLACEHOLDER in config.dataset.data_dir:
        raise InputError(f"{run}: does not record where its scene is; give --data SCENE.")
    choices = []
    leaves_mesh = minutes is not None or iterations is not None
    if not leaves_mesh:
        leaves_mesh, planned, minutes = _plan_of(folder)
        if _sets_iterations(overrides):
            minutes = None
        if minutes is not None:
            choices.append(f"resumes for the remaining {minutes:.2g} of {planned:g} minutes")
    config = _with(config, seed, holdout, iterations)
    return TrainJob(config, folder, True, minutes, leaves_mesh, None, session, started, choices, unseen)


def is_masked(scene: Scene) -> bool:
    """Whether the scene's masks carry information: there are some, and not all of them are white."""
    return scene.masks is not None and not all(mask.all() for mask in scene.masks)


def masked_on_disk(data: Path, overrides: Sequence[str] = ()) -> bool:
    """`is_masked` of a scene's folder, for which no image is read and no region of interest is found.

    Args:
        data: folder of the scene.
        overrides: `section.key=value` each; `dataset.*` says how it is read.
    """
    dataset = read_config(preset_of_name("quick").conf(has_masks=True), list(overrides)).dataset
    anywhere = in_known_region(dataset, data, torch.eye(4, dtype=torch.float64))
    return is_masked(read_scene(data, anywhere, lazy=True))


def free_run(data: str, overwrite: bool = False) -> Path:
    """runs/SCENE, or the first of runs/SCENE-2, runs/SCENE-3, ... that holds no run; runs/scene for a scene without folder."""
    source = Path(data)
    name = (source.parent if source.suffix == ".json" else source).resolve().name if data else ""
    path, number = RUNS / (name or "scene"), 1
    while not overwrite and RunFolder(path).holds_a_run():
        number += 1
        path = RUNS / f"{name or 'scene'}-{number}"
    return path


def _with(config: ExperimentConfig, seed: int | None, holdout: int | None, iterations: int | None) -> ExperimentConfig:
    dataset, training = config.dataset, config.train
    if holdout is not None:
        dataset = replace(dataset, holdout=holdout)
    if seed is not None:
        training = replace(training, seed=seed)
    if iterations is not None:
        training = with_iterations(training, iterations)
    return replace(config, dataset=dataset, train=training)


def _plan_of(folder: RunFolder) -> tuple[bool, float, float | None]:
    """Whether the last session of a run was to leave a mesh, its minutes, and those that are left if it did not finish."""
    sessions = read_sessions(folder.path)
    last = sessions[-1] if sessions else {}
    plan = last.get("plan", {})
    planned = plan.get("minutes")
    if planned is None or last.get("state") == FINISHED:
        return plan.get("mesh", False), 0.0, None
    left = planned - sum(last["seconds"].values()) / 60.0
    return True, planned, max(left, LEAST_REST * planned)


def _sets_iterations(overrides: Sequence[str]) -> bool:
    return any(override.split("=")[0].strip() == "train.end_iter" for override in overrides)


def _choice_of_preset(
    preset: Preset, has_masks: bool, minutes: float | None, iterations: int | None, config: ExperimentConfig
) -> str:
    why = "the scene has masks" if has_masks else "the scene has no masks"
    length = f"{iterations or config.train.end_iter} iterations" if minutes is None else f"{minutes:g} minutes"
    return f"config: {preset.conf(has_masks).name} ({why}), {length}; change with --preset, --minutes or --iterations"


def _why_not_first(path: Path, data: str) -> str:
    first = free_run(data, overwrite=True)
    return "" if path == first else f" ({first} already holds a run; continue it with `neus train {first} --resume`)"
