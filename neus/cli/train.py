"""Train on a scene and write its mesh and report

example: neus train data/dtu_scan65
         neus train data/lego --preset best --minutes 30 --holdout 8
         neus train data/dtu_scan65 --preset paper --run runs/scan65 --device cuda
         neus train runs/dtu_scan65 --resume --minutes 10
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from neus.cli.options import (
    EXIT_INTERRUPTED,
    add_device_argument,
    add_region_argument,
    add_set_argument,
    add_unseen_argument,
    positive_number,
    preset_summaries,
    whole_number,
)
from neus.errors import InputError

if TYPE_CHECKING:
    from neus.workflows.jobs import TrainJob


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `train`."""
    data = parser.add_argument_group("data")
    data.add_argument(
        "scene",
        type=Path,
        nargs="?",
        metavar="SCENE",
        help="Scene folder or camera file (formats: docs/formats.md); with --resume the run folder",
    )
    data.add_argument("--data", type=Path, metavar="SCENE", help="Scene folder, same as SCENE")
    data.add_argument(
        "--holdout",
        type=whole_number(0),
        metavar="K",
        help="Interval of views held out for evaluation: every K-th; 0: none",
    )
    add_region_argument(data)
    config = parser.add_argument_group("config")
    which = config.add_mutually_exclusive_group()
    which.add_argument(
        "--preset",
        metavar="NAME",
        help=f"Preset, in the variant with or without masks that suits the scene: {preset_summaries()} (default quick)",
    )
    which.add_argument("--conf", type=Path, help="Config file, or the name of a shipped one such as womask.conf")
    add_set_argument(config)
    schedule = parser.add_argument_group("schedule")
    length = schedule.add_mutually_exclusive_group()
    length.add_argument(
        "--minutes",
        type=positive_number,
        metavar="M",
        help="Wall-clock budget from the start of the command to mesh and report; schedules adapt to the speed of the "
        "machine, kernel compilation is not counted; with --resume M more minutes (default: the preset's)",
    )
    length.add_argument(
        "--iterations", type=whole_number(1), metavar="N", help="Total iterations; the schedules are rescaled to them"
    )
    schedule.add_argument("--seed", type=whole_number(0), help="Random seed (default: train.seed of the config)")
    schedule.add_argument(
        "--resume", "--is_continue", action="store_true", help="Continuation from the newest checkpoint of the run"
    )
    output = parser.add_argument_group("output")
    output.add_argument(
        "--run", type=Path, dest="run_folder", metavar="RUN", help="Run folder to write (default runs/SCENE)"
    )
    output.add_argument("--overwrite", action="store_true", help="Replacement of an earlier run in the run folder")
    add_unseen_argument(parser.add_argument_group("mesh"))
    add_device_argument(parser.add_argument_group("device"))


def run(options: argparse.Namespace) -> int:
    """Trains, extracts the mesh and reports; prints the run folder last."""
    from neus.runs.console import TERMINAL
    from neus.workflows.train import run_job

    trained = run_job(_job(options), options.overwrite, options.device, console=TERMINAL)
    print(trained.folder.path)
    return EXIT_INTERRUPTED if trained.trainer.stopped else 0


def _job(options: argparse.Namespace) -> "TrainJob":
    from neus.runs.console import TERMINAL
    from neus.workflows.jobs import new_job, resumed_job

    scene, folder = options.scene, options.run_folder
    if options.resume and folder is None:
        scene, folder = None, scene
        if folder is None:
            raise InputError("--resume: give the run folder, such as `neus train runs/dtu_scan65 --resume`.")
    if scene is not None and options.data is not None:
        raise InputError(f"{scene} and --data {options.data} are both scenes; give one.")
    data = scene or options.data
    shared = {
        "conf": options.conf,
        "overrides": [*options.overrides, *([options.region] if options.region else [])],
        "seed": options.seed,
        "holdout": options.holdout,
        "minutes": options.minutes,
        "iterations": options.iterations,
        "command": options.command,
        "unseen": options.unseen,
    }
    if not options.resume:
        own = {"preset": options.preset, "run": folder, "overwrite": options.overwrite, "console": TERMINAL}
        return new_job(data, options.started, **own, **shared)
    if options.preset is not None:
        raise InputError(f"--preset {options.preset}: a resumed run keeps its config; leave it out, or give --conf.")
    return resumed_job(folder, options.started, data=data, **shared)
