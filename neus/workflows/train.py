"""Training from start to end: choose what is not given, train, extract the mesh, write the report."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from neus.errors import InputError
from neus.files import json_text
from neus.meshing.files import write_mesh
from neus.meshing.measures import is_closed
from neus.meshing.of_model import surface_mesh
from neus.reports.report import report_after_training
from neus.reports.six_sides import prepare_drawing
from neus.runs.config import CASE_PLACEHOLDER, ExperimentConfig, read_config
from neus.runs.console import QUIET, Console
from neus.runs.presets import Preset, preset_of_name
from neus.runs.run_folder import RunFolder
from neus.runs.session import Session
from neus.runs.time_plan import TimePlan
from neus.runs.train import train as run_training
from neus.scenes.readers import read_scene
from neus.scenes.scene import Scene
from neus.training.config import with_iterations
from neus.training.trainer import Hook, Trainer
from neus.workflows.finish import Finish

# Of the mesh that training leaves, where no time plan chooses: as `neus mesh`.
MESH_RESOLUTION = 512
# Run folders without a given place are made here.
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


@dataclass(frozen=True)
class Trained:
    """What a training has left.

    Attributes:
        trainer: as it stopped; `trainer.stopped` if that was before the end, and then there is no mesh and no report.
        folder: of the run.
        mesh, report: files, or None.
    """

    trainer: Trainer
    folder: RunFolder
    mesh: Path | None = None
    report: Path | None = None


def train(
    scene: Scene | str | Path,
    preset: str | Path = "quick",
    minutes: float | None = None,
    iterations: int | None = None,
    out: str | Path | None = None,
    seed: int = 0,
    device: str = "auto",
    callbacks: Sequence[Hook] = (),
    holdout: int = 0,
    settings: Mapping[str, Any] | None = None,
    overwrite: bool = False,
) -> RunFolder:
    """A run trained on a scene, with its mesh and report; what is not given is chosen as by `neus train SCENE`.

    Args:
        scene: as loaded, or its folder.
        preset: `quick`, `best` or `paper`, in the variant with or without masks that suits the scene; or a config file.
        minutes: wall-clock budget from now to the mesh; the preset's if neither this nor `iterations` is given.
        iterations: in all; the schedules are rescaled to them.
        out: run folder; None is runs/SCENE, or a free name beside it.
        seed: of everything random; with `iterations` the same seed gives the same model on a CPU.
        device: `auto`, `cpu`, `cuda`, `cuda:N` or `mps`.
        callbacks: called after each iteration with (trainer, terms of the step); `trainer.stop()` ends the training.
        holdout: every so many-th view is kept out of training; 0 keeps none out.
        settings: config values by key, such as {"train.batch_size": 512}.
        overwrite: replace an earlier run in `out`.

    Raises:
        InputError: something wrong with scene, settings or folder.
        TrainingDiverged: numbers were not finite again and again.
    """
    is_file = isinstance(preset, Path) or preset.endswith(".conf")
    job = new_job(
        scene,
        time.monotonic(),
        conf=Path(preset) if is_file else None,
        preset=None if is_file else str(preset),
        run=None if out is None else Path(out),
        overrides=[f"{key}={json_text(value)}" for key, value in (settings or {}).items()],
        seed=seed,
        holdout=holdout,
        minutes=minutes,
        iterations=iterations,
        overwrite=overwrite,
    )
    return run_job(job, overwrite, device, callbacks).folder


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
) -> TrainJob:
    """A new training, with what is not given chosen by the scene.

    Without `conf` the preset (`quick` unless given) is the variant with or without masks, as the scene has them; without
    `run` the folder is runs/SCENE, or a free name beside it; without `minutes` and `iterations` a preset has its own budget.

    Args:
        data: the scene's folder, or a scene; None takes `dataset.data_dir` of the config.
        started: `time.monotonic()` at the start of the command.
        conf: config file, or the bare name of a shipped one.
        preset: `quick`, `best` or `paper`; not together with `conf`.
        run: folder to write to.
        overrides: `section.key=value` each.
        seed, holdout: win over the config.
        minutes, iterations: how long; at most one.
        overwrite: the run folder may hold an earlier run.
        command: for the record.

    Raises:
        InputError: no scene, an unknown preset or key, both or neither of what excludes each other.
    """
    if conf is not None and preset is not None:
        raise InputError(f"--conf {conf} and --preset {preset} exclude each other; give one.")
    if minutes is not None and iterations is not None:
        raise InputError("minutes and iterations exclude each other; give one.")
    session = Session(command, started)
    given = data if isinstance(data, Scene) else None
    place = given.source if given else data
    choices: list[str] = []
    overrides = list(overrides)
    chosen = None if conf else preset_of_name(preset or "quick")
    config = read_config(conf or chosen.conf(has_masks=True), overrides)
    if place is not None:
        config = replace(config, dataset=replace(config.dataset, data_dir=str(place)))
    if given is None and (not config.dataset.data_dir or CASE_PLACEHOLDER in config.dataset.data_dir):
        raise InputError("SCENE is missing; give the folder of a scene, such as `neus train data/dtu_scan65`.")
    folder = RunFolder(run or free_run(Path(config.dataset.data_dir), overwrite))
    scene = given
    if chosen:
        if scene is None:
            with session.stage("reading the scene"), session.noting_warnings():
                scene = read_scene(Path(config.dataset.data_dir), config.dataset)
        has_masks = is_masked(scene)
        config = replace(read_config(chosen.conf(has_masks), overrides), dataset=config.dataset)
        if minutes is None and iterations is None and not _sets_iterations(overrides):
            minutes = chosen.minutes(has_masks)
        choices.append(_choice_of_preset(chosen, has_masks, minutes, iterations, config))
    if run is None:
        choices.append(f"run folder: {folder.path}{_why_not_first(folder.path, Path(config.dataset.data_dir))}")
    config = _with(config, seed, holdout, iterations)
    leaves_mesh = chosen is not None or minutes is not None or iterations is not None
    return TrainJob(config, folder, False, minutes, leaves_mesh, scene, session, started, choices)


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
) -> TrainJob:
    """A run that is to be continued: its own config unless `conf` is given; arguments as in `new_job`.

    Raises:
        InputError: nothing to resume, or another seed than it began with.
    """
    session, folder = Session(command, started), RunFolder(run)
    if conf is None:
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
    config = _with(config, seed, holdout, iterations)
    leaves_mesh = minutes is not None or iterations is not None
    return TrainJob(config, folder, True, minutes, leaves_mesh, None, session, started)


def run_job(
    job: TrainJob,
    overwrite: bool = False,
    device: str = "auto",
    hooks: Sequence[Hook] = (),
    console: Console = QUIET,
) -> Trained:
    """Trains, then writes RUN/mesh.ply and RUN/report.html.

    Args:
        job: by `new_job` or `resumed_job`.
        overwrite: replace an earlier run in the folder.
        device: as `--device`.
        hooks: called after each iteration with (trainer, terms of the step).
        console: where messages and progress go.

    Raises:
        InputError, TrainingDiverged: as `neus.runs.train.train`.
    """
    for line in job.choices:
        console.message(line)
    session, folder, plan = job.session, job.folder, None
    if job.minutes is not None:
        plan = TimePlan(job.minutes, job.started, prepare=prepare_drawing)
    trainer = run_training(
        job.config, folder, job.resume, overwrite, device, hooks, plan, session, scene=job.scene, console=console
    )
    if trainer.stopped:
        return Trained(trainer, folder)
    mesh = None
    if job.leaves_mesh:
        with session.stage("mesh"):
            mesh = _write_mesh(trainer, folder, plan, session, console)
        session.save(folder.path)
    report = report_after_training(folder.path, trainer.model, session, plan and plan.report_seconds, console)
    if report:
        console.message(f"report: {report}")
    return Trained(trainer, folder, mesh, report)


def is_masked(scene: Scene) -> bool:
    """Whether the scene's masks carry information: there are some, and not all of them are white."""
    return scene.masks is not None and not all(mask.all() for mask in scene.masks)


def free_run(data: Path, overwrite: bool = False, runs: Path = RUNS) -> Path:
    """runs/SCENE, or the first of runs/SCENE-2, runs/SCENE-3, ... that holds no run."""
    name = (data.parent if data.suffix == ".json" else data).resolve().name or "scene"
    path, number = runs / name, 1
    while not overwrite and RunFolder(path).holds_a_run():
        number += 1
        path = runs / f"{name}-{number}"
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


def _sets_iterations(overrides: Sequence[str]) -> bool:
    return any(override.split("=")[0].strip() == "train.end_iter" for override in overrides)


def _choice_of_preset(
    preset: Preset, has_masks: bool, minutes: float | None, iterations: int | None, config: ExperimentConfig
) -> str:
    why = "the scene has masks" if has_masks else "the scene has no masks"
    length = f"{iterations or config.train.end_iter} iterations" if minutes is None else f"{minutes:g} minutes"
    return f"config: {preset.conf(has_masks).name} ({why}), {length}; change with --preset, --minutes or --iterations"


def _why_not_first(path: Path, data: Path) -> str:
    first = free_run(data, overwrite=True)
    return "" if path == first else f" ({first} already holds a run; continue it with `neus train {first} --resume`)"


def _write_mesh(
    trainer: Trainer, folder: RunFolder, plan: TimePlan | None, session: Session, console: Console
) -> Path | None:
    """The surface in RUN/mesh.ply, in world units; a model without any is no reason to fail, its checkpoint is there."""
    resolution, model = plan.resolution if plan else MESH_RESOLUTION, trainer.model.eval()
    try:
        with console.bar("mesh", " blocks") as progress:
            # By size alone: masks that are wrong must not cost the mesh of a finished training.
            mesh = surface_mesh(model, resolution, on_progress=progress, finish=Finish(clean=True))
    except InputError as error:
        console.warn(f"no mesh.ply is written: {error}")
        session.warn(f"No mesh.ply is written: {error}")
        return None
    path = folder.path / "mesh.ply"
    write_mesh(mesh, path, model.scene_to_world, resolution=resolution)
    session.record["mesh"] = {"iteration": trainer.iteration, "resolution": resolution}
    took = f"{plan.minutes_used():.2f} minutes: " if plan else ""
    console.message(
        f"{took}{trainer.iteration} iterations, mesh of {resolution}^3 with {len(mesh.vertices)} vertices, "
        f"watertight: {'yes' if is_closed(mesh) else 'no'}, in world units: {path}"
    )
    return path
