"""train on one scene

example: neus train --conf confs/wmask.conf --data data/dtu_scan65 --run runs/scan65 --holdout 8
         neus train --conf confs/small_wmask.conf --data data/lego --run runs/lego --set train.end_iter=20000
         neus train --run runs/scan65 --resume
"""

import argparse
from dataclasses import replace
from pathlib import Path

from neus.cli.options import EXIT_INTERRUPTED, add_device_argument, add_set_argument, whole_number
from neus.errors import InputError


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
    add_device_argument(parser)


def run(options: argparse.Namespace) -> int:
    """Trains; prints the run folder last."""
    from neus.experiment.config import read_config
    from neus.experiment.run_folder import RunFolder
    from neus.experiment.train import train

    folder = RunFolder(options.run_folder)
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
    trainer = train(
        replace(config, dataset=dataset, train=training), folder, options.resume, options.overwrite, options.device
    )
    print(folder.path)
    return EXIT_INTERRUPTED if trainer.stopped else 0
