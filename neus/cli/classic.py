"""NeuS's own command line: `exp_runner.py --mode train|validate_mesh|interpolate_I_J --conf C --case NAME ...`."""

from __future__ import annotations

import argparse
import shlex
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from neus.cli.options import EXIT_INTERRUPTED, OneLineParser
from neus.errors import InputError

if TYPE_CHECKING:
    from neus.runs.config import ExperimentConfig
    from neus.runs.run import Run
    from neus.runs.run_folder import RunFolder

# As in NeuS: the resolution of validate_mesh, and frames one way of an interpolation.
MESH_RESOLUTION, FRAMES = 512, 60
# NeuS renders interpolations four times smaller than the images.
INTERPOLATION_SCALE = 0.25


def build_parser() -> argparse.ArgumentParser:
    """The parser of NeuS's options."""
    parser = OneLineParser(
        prog="exp_runner.py", description="NeuS's own command line; see `exp_runner.py --help` for the verbs."
    )
    parser.add_argument("--conf", type=Path, required=True, help="Config file")
    parser.add_argument(
        "--mode", default="train", help="train (default), validate_mesh, or interpolate_I_J between views I and J"
    )
    parser.add_argument("--mcube_threshold", type=float, default=0.0, help="Level of the mesh (default 0.0)")
    parser.add_argument("--is_continue", action="store_true", help="Continue from the newest checkpoint")
    parser.add_argument("--overwrite", action="store_true", help="Replace an earlier run of this case")
    parser.add_argument("--gpu", type=int, default=0, help="Number of the CUDA device; the CPU if there is none")
    parser.add_argument("--case", default="", help="Scene, which replaces CASE_NAME in the config")
    return parser


def main(arguments: list[str]) -> int:
    """Runs one of NeuS's modes in its folders; returns the exit status."""
    from neus.runs.config import read_config
    from neus.runs.run_folder import RunFolder

    options = build_parser().parse_args(arguments)
    options.command = shlex.join(["exp_runner.py", *arguments])
    config = read_config(options.conf, case=options.case)
    if "CASE_NAME" in config.general.base_exp_dir + config.dataset.data_dir:
        raise InputError(f"{options.conf}: names its folders by CASE_NAME; give --case.")
    folder = RunFolder(Path(config.general.base_exp_dir))
    device = _device(options.gpu)
    if options.mode == "train":
        return _train(config, folder, options, device)
    if options.mode == "validate_mesh":
        return _validate_mesh(_opened(config, folder, options), options.mcube_threshold, device)
    parts = options.mode.split("_")
    if parts[0] == "interpolate" and len(parts) == 3 and all(p.isdigit() for p in parts[1:]):
        return _interpolate(_opened(config, folder, options), int(parts[1]), int(parts[2]), device)
    raise InputError(
        f"--mode {options.mode}: expected train, validate_mesh or interpolate_I_J, such as interpolate_0_12."
    )


def _device(gpu: int) -> str:
    import torch

    return f"cuda:{gpu}" if torch.cuda.is_available() else "auto"


def _train(config: ExperimentConfig, folder: RunFolder, options: argparse.Namespace, device: str) -> int:
    from neus.runs.console import TERMINAL
    from neus.runs.session import Session
    from neus.workflows.jobs import TrainJob
    from neus.workflows.train import run_job

    # NeuS keeps every checkpoint. It also overwrites an earlier run without a question; that is not copied.
    config = replace(config, train=replace(config.train, keep_checkpoints=0))
    session = Session(options.command)
    job = TrainJob(config, folder, options.is_continue, None, False, None, session, time.monotonic())
    trained = run_job(job, options.overwrite, device, console=TERMINAL)
    print(folder.path)
    return EXIT_INTERRUPTED if trained.trainer.stopped else 0


def _opened(config: ExperimentConfig, folder: RunFolder, options: argparse.Namespace) -> Run:
    from neus.runs.run import Run

    # The config names the scene; the shape of our own models is in their checkpoints, fitted to the scene's images.
    return Run(folder.path, Path(config.dataset.data_dir), options.conf)


def _validate_mesh(run: Run, threshold: float, device: str) -> int:
    from neus.runs.console import TERMINAL
    from neus.workflows.mesh import write_mesh_of_run

    out = run.path / "meshes" / f"{int(run.content['iter_step']):08d}.ply"
    # As in NeuS: all that was found, open where it leaves the box.
    print(write_mesh_of_run(run, out, MESH_RESOLUTION, threshold, unseen="keep", device=device, console=TERMINAL))
    return 0


def _interpolate(run: Run, start: int, end: int, device: str) -> int:
    from neus.runs.console import TERMINAL
    from neus.workflows.render import CameraPath, render_run

    out = run.path / "render" / f"{int(run.content['iter_step']):08d}_{start}_{end}.mp4"
    path = CameraPath(between=(start, end), n_frames=FRAMES, there_and_back=True)
    print(render_run(run, out, path=path, scale=INTERPOLATION_SCALE, mode="auto", device=device, console=TERMINAL))
    return 0
