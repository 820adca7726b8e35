"""Training from start to end: train, extract the mesh, write the report."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neus.errors import InputError
from neus.files import json_text
from neus.meshing.files import write_mesh
from neus.meshing.measures import is_closed
from neus.meshing.of_model import surface_mesh
from neus.meshing.unseen import chosen_unseen
from neus.reports.report import report_after_training
from neus.reports.six_sides import prepare_drawing
from neus.runs.console import QUIET, Console
from neus.runs.run import Run
from neus.runs.run_folder import RunFolder
from neus.runs.session import Session
from neus.runs.time_plan import TimePlan
from neus.runs.train import train as run_training
from neus.scenes.scene import Scene
from neus.training.trainer import Hook, Trainer
from neus.workflows.finish import Finish, seen_line
from neus.workflows.jobs import TrainJob, new_job

# Of the mesh that training leaves, where no time plan chooses: as `neus mesh`.
MESH_RESOLUTION = 512


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
    unseen: str = "auto",
) -> Run:
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
        unseen: `auto`, `cut`, `keep` or `close`: what becomes of surface in the mesh that no two views have seen.

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
        unseen=unseen,
    )
    return Run(run_job(job, overwrite, device, callbacks).folder.path)


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
    session.record["plan"] = {"mesh": job.leaves_mesh, "minutes": job.minutes}
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
            mesh = _write_mesh(trainer, folder, plan, session, console, job.unseen)
        session.save(folder.path)
    report = report_after_training(folder.path, trainer.model, session, plan and plan.report_seconds, console)
    if report:
        console.message(f"report: {report}")
    return Trained(trainer, folder, mesh, report)


def _write_mesh(
    trainer: Trainer, folder: RunFolder, plan: TimePlan | None, session: Session, console: Console, unseen: str
) -> Path | None:
    """The surface in RUN/mesh.ply, in world units; a model without any is no reason to fail, its checkpoint is there."""
    resolution, model = plan.resolution if plan else MESH_RESOLUTION, trainer.model.eval()
    cameras = [trainer.scene.camera(view) for view in range(len(trainer.scene))]
    # By size alone: masks that are wrong must not cost the mesh of a finished training.
    chosen = chosen_unseen(unseen, cameras)
    finish = Finish(clean=True, cameras=cameras, unseen=chosen, has_background=model.has_background)
    try:
        with console.bar("mesh", " blocks") as progress:
            mesh = surface_mesh(
                model, resolution, on_progress=progress, finish=finish, close_at_border=finish.closes_at_border
            )
    except InputError as error:
        console.warn(f"no mesh.ply is written: {error}")
        session.warn(f"No mesh.ply is written: {error}")
        return None
    path = folder.path / "mesh.ply"
    write_mesh(mesh, path, model.scene_to_world, resolution=resolution, seen=finish.facts())
    session.record["mesh"] = {"iteration": trainer.iteration, "resolution": resolution} | finish.facts()
    took = f"{plan.minutes_used():.2f} minutes: " if plan else ""
    console.message(
        f"{took}{trainer.iteration} iterations, mesh of {resolution}^3 with {len(mesh.vertices)} vertices{seen_line(finish)}, "
        f"watertight: {'yes' if is_closed(mesh) else 'no'}, in world units: {path}"
    )
    return path
