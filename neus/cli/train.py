"""train on one scene

example: neus train --conf confs/wmask.conf --data data/dtu_scan65 --run runs/scan65 --holdout 8
         neus train --conf confs/small_wmask.conf --data data/lego --run runs/lego --set train.end_iter=20000
         neus train --conf confs/hash_wmask.conf --data data/lego --run runs/lego --minutes 10
         neus train --run runs/scan65 --resume
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from neus.cli.options import (
    EXIT_INTERRUPTED,
    Progress,
    add_device_argument,
    add_set_argument,
    positive_number,
    whole_number,
)
from neus.errors import InputError

if TYPE_CHECKING:
    from neus.experiment.config import ExperimentConfig
    from neus.experiment.run_folder import RunFolder
    from neus.experiment.session import Session
    from neus.experiment.time_plan import TimePlan
    from neus.training.trainer import Trainer

# As `neus mesh` does.
MESH_RESOLUTION = 512


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `train`."""
    parser.add_argument("--conf", type=Path, help="conf file; with --resume the run's own is taken if this is left out")
    parser.add_argument(
        "--data",
        type=Path,
        help="folder of the scene: IDR/NeuS, BlendedMVS, Blender or COLMAP (default: dataset.data_dir of the conf)",
    )
    parser.add_argument("--run", type=Path, required=True, dest="run_folder", help="folder to write to")
    add_set_argument(parser)
    parser.add_argument(
        "--resume", "--is_continue", action="store_true", help="go on from the newest checkpoint in the run folder"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace an earlier run in the run folder")
    parser.add_argument("--seed", type=whole_number(0), help="of everything random (default: train.seed of the conf)")
    parser.add_argument(
        "--holdout", type=whole_number(0), metavar="K", help="keep every K-th view out of training; 0 is none"
    )
    length = parser.add_mutually_exclusive_group()
    length.add_argument(
        "--minutes",
        type=positive_number,
        metavar="M",
        help="from the start of this command to RUN/mesh.ply and RUN/report.html, at any speed of the machine: "
        "schedules follow the clock, there are no pictures on the way, the compilation of kernels is not counted; "
        "with --resume for M more minutes, in which the schedules go from where they were to their end",
    )
    length.add_argument(
        "--iterations",
        type=whole_number(1),
        metavar="N",
        help="in all, in place of train.end_iter, the schedules of the conf stretched to fit; then writes RUN/mesh.ply",
    )
    add_device_argument(parser)


def run(options: argparse.Namespace) -> int:
    """Trains, extracts the mesh after so many minutes or iterations, and reports; prints the run folder last."""
    from neus.experiment.report import report_after_training
    from neus.experiment.run_folder import RunFolder
    from neus.experiment.session import Session
    from neus.experiment.time_plan import TimePlan
    from neus.experiment.train import train

    folder = RunFolder(options.run_folder)
    config = _config(options, folder)
    plan = None if options.minutes is None else TimePlan(options.minutes, options.started)
    session = Session(options.command, options.started)
    trainer = train(config, folder, options.resume, options.overwrite, options.device, plan=plan, session=session)
    if trainer.stopped:
        print(folder.path)
        return EXIT_INTERRUPTED
    if plan or options.iterations:
        with session.stage("mesh"):
            _write_mesh(trainer, folder, plan, session)
        session.save(folder.path)
    if report := report_after_training(folder.path, trainer.model, session, plan and plan.report_seconds):
        print(f"report: {report}")
    print(folder.path)
    return 0


def _config(options: argparse.Namespace, folder: RunFolder) -> ExperimentConfig:
    from neus.experiment.config import read_config
    from neus.training.config import with_iterations

    if options.conf is None and not options.resume:
        raise InputError("--conf is missing; give a conf such as confs/wmask.conf, or --resume to go on with a run.")
    if options.resume and options.conf is None:
        folder.latest_checkpoint()
    config = read_config(options.conf or folder.path / "config.conf", options.overrides)
    dataset, training = config.dataset, config.train
    if options.resume and (folder.path / "config.conf").is_file():
        # What decides the views and the random numbers stays as the run began, whatever the conf says.
        begun = folder.config()
        dataset = replace(dataset, holdout=begun.dataset.holdout, data_dir=begun.dataset.data_dir)
        if options.seed not in (None, begun.train.seed):
            raise InputError(
                f"--seed {options.seed}: the run began with seed {begun.train.seed}; leave it out to resume."
            )
        training = replace(training, seed=begun.train.seed)
    if options.data is not None:
        dataset = replace(dataset, data_dir=str(options.data))
    if options.holdout is not None:
        dataset = replace(dataset, holdout=options.holdout)
    if options.seed is not None:
        training = replace(training, seed=options.seed)
    if not dataset.data_dir or "CASE_NAME" in dataset.data_dir:
        raise InputError("--data is missing; give the folder of the scene.")
    if options.iterations is not None:
        training = with_iterations(training, options.iterations)
    return replace(config, dataset=dataset, train=training)


def _write_mesh(trainer: Trainer, folder: RunFolder, plan: TimePlan | None, session: Session) -> None:
    """The surface in RUN/mesh.ply, in world units; a model without any is no reason to fail, its checkpoint is there."""
    from neus.experiment.surface import Finish, surface_mesh
    from neus.meshing.files import write_mesh
    from neus.meshing.measures import is_closed

    resolution, model = plan.resolution if plan else MESH_RESOLUTION, trainer.model.eval()
    try:
        with Progress("mesh", " blocks") as progress:
            # By size alone: masks that are wrong must not cost the mesh of a finished training.
            mesh = surface_mesh(model, resolution, on_progress=progress, finish=Finish(clean=True))
    except InputError as error:
        print(f"warning: no mesh.ply is written: {error}", file=sys.stderr)
        session.warn(f"No mesh.ply is written: {error}")
        return
    path = folder.path / "mesh.ply"
    write_mesh(mesh, path, model.scene_to_world, resolution=resolution)
    session.record["mesh"] = {"iteration": trainer.iteration, "resolution": resolution}
    took = f"{plan.minutes_used():.2f} minutes: " if plan else ""
    print(
        f"{took}{trainer.iteration} iterations, mesh of {resolution}^3 with {len(mesh.vertices)} vertices, "
        f"watertight: {'yes' if is_closed(mesh) else 'no'}, in world units: {path}"
    )
