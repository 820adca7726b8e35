"""A whole training run: config and scene in, checkpoints, metrics and images out."""

import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from neus.checks.check import warn_of_findings
from neus.checks.regions import region_line
from neus.errors import InputError
from neus.geometry.similarity import scale_of
from neus.runs.build import scene_facts, suited_to_scene
from neus.runs.config import ExperimentConfig, config_as_dict
from neus.runs.console import QUIET, Console
from neus.runs.load import new_model, read_scene_on
from neus.runs.run import in_known_region
from neus.runs.run_folder import RunFolder
from neus.runs.session import FAILED, FINISHED, STOPPED, Session, device_name
from neus.runs.time_plan import SECONDS_BETWEEN_CHECKPOINTS, TimePlan
from neus.scenes.scene import Scene, split_views
from neus.training.background_hook import BackgroundHook
from neus.training.checkpoint import read_checkpoint
from neus.training.final_sweep import FinalSweep
from neus.training.hooks import CheckpointHook, MeshHook, MetricsHook, ProgressHook, TimeProgressHook, ValidationHook
from neus.training.metrics import MetricsWriter
from neus.training.trainer import Hook, Trainer


def train(
    config: ExperimentConfig,
    run: RunFolder,
    resume: bool = False,
    overwrite: bool = False,
    device: str = "auto",
    extra_hooks: Sequence[Hook] = (),
    plan: TimePlan | None = None,
    session: Session | None = None,
    scene: Scene | None = None,
    console: Console = QUIET,
) -> Trainer:
    """Trains, from the start or from the newest checkpoint, until the end or `Trainer.stop`; the state is saved either way.

    Args:
        config: with `dataset.data_dir` and `dataset.holdout` as they are to be used.
        run: where everything is written.
        resume: continue from the newest checkpoint of `run`.
        overwrite: replace an earlier run in that folder.
        device: as `--device`.
        extra_hooks: called after each iteration, after the usual ones.
        plan: train as long as it says, instead of `train.end_iter` iterations; there are no images and meshes on the way
            then, since nobody knows how long they take.
        session: notes what this call does, in RUN/sessions.jsonl; a new one if None.
        scene: all views; read from `dataset.data_dir` if None.
        console: where messages and progress go; on an interactive one Ctrl-C stops after the present iteration.

    Returns:
        The trainer as it stopped; `stopped` tells whether that was before the end.

    Raises:
        InputError: something wrong with scene, config or folder; nothing is written then.
        TrainingDiverged: numbers were not finite again and again.
    """
    session = session or Session()
    with session.stage("reading the scene"), session.noting_warnings():
        scene = session.scene = scene or _read(config, run if resume else None, console)
        if not resume:
            warn_of_findings(scene)
    if config.dataset.data_dir:  # as it is found from any working directory
        folder = str(Path(config.dataset.data_dir).resolve())
        config = replace(config, dataset=replace(config.dataset, data_dir=folder))
    training_views, held_out = split_views(len(scene), config.dataset.holdout)
    config = suited_to_scene(config, scene)
    model = new_model(config, scene, device)
    time_budget = plan.new_budget(config.train.end_iter) if plan else None
    trainer = Trainer(model, scene.subset(training_views), config.train, console.message, time_budget=time_budget)
    facts = {
        "scene": config.dataset.data_dir,
        "format": scene.format,
        "n_views": len(scene),
        "view_names": scene.names,
        "training_views": training_views,
        "held_out_views": held_out,
        "region": {"center": scene.scene_to_world[:3, 3].tolist(), "radius": scale_of(scene.scene_to_world)},
        "seed": config.train.seed,
    }
    if resume:
        path = run.latest_checkpoint()
        content = read_checkpoint(path)
        check_same_scene(content, facts, model.scene_to_world, path)
        trainer.load(content, path)
    run.prepare(config, facts, resume, overwrite)
    console.message(region_line(scene))
    session.record |= {"device": device_name(model.device), "from_iteration": trainer.iteration}
    session.save(run.path)
    extra = {"config": config_as_dict(config), "scene": scene_facts(model), "run": facts}
    every_seconds = SECONDS_BETWEEN_CHECKPOINTS if plan else float("inf")
    checkpoints = CheckpointHook(run.checkpoints, lambda path: trainer.save(path, extra), every_seconds)
    writer = MetricsWriter(run.path, trainer.iteration)
    progress = (TimeProgressHook if plan else ProgressHook)(trainer) if console.is_interactive else None
    if progress:
        trainer.on_message = progress.message
    trainer.on_rollback = checkpoints.forget_after
    sweep = FinalSweep()
    # The sweep before the checkpoint that is to hold what it found.
    hooks = [*([progress] if progress else []), MetricsHook(writer), BackgroundHook(), sweep, checkpoints]
    # The plan first: it may move the end, on which all others must agree.
    hooks = (
        [plan, *hooks]
        if plan
        else [*hooks, ValidationHook(run.path, trainer.scene, training_views), MeshHook(run.path)]
    )
    try:
        with stopping_on_signals(trainer, console.is_interactive), session.noting_warnings():
            with session.stage("preparing: kernels, initial shape"):
                if plan:
                    plan.begin(trainer, checkpoints, sweep)
                trainer.begin()
            with session.stage("training"):
                trainer.run([*hooks, *extra_hooks])
        session.record["state"] = STOPPED if trainer.stopped else FINISHED
    except BaseException:
        session.record["state"] = FAILED
        raise
    finally:
        if progress:
            progress.close()
        writer.close()
        _note_end(session, trainer, run)
    if trainer.stopped:
        path = checkpoints.save_now(trainer)
        console.message(f"stopped after iteration {trainer.iteration}; saved {path}; continue with --resume")
    return trainer


def _read(config: ExperimentConfig, resumed: RunFolder | None, console: Console) -> Scene:
    """All views; of a run that keeps its own frame, where the files do not give one."""
    place, dataset = Path(config.dataset.data_dir), config.dataset
    facts = {} if resumed is None else read_checkpoint(resumed.latest_checkpoint()).get("neus", {}).get("scene", {})
    if facts.get("scene_to_world") is None:
        return read_scene_on(console, place, dataset)
    frame, box = (facts[what].cpu().double() for what in ("scene_to_world", "box"))
    known = in_known_region(dataset, place, frame)
    if not known.center:
        return read_scene_on(console, place, dataset)
    return read_scene_on(console, place, known).in_frame(frame, box)


def _note_end(session: Session, trainer: Trainer, run: RunFolder) -> None:
    session.record["iteration"] = trainer.iteration
    if trainer.rollbacks:
        session.warn(f"Numbers were not finite {trainer.rollbacks} times; training went back and took smaller steps.")
    with suppress(InputError):  # a full disk is said by what it keeps from being written first
        session.save(run.path)


def check_same_scene(content: dict[str, Any], facts: dict[str, Any], scene_to_world: Tensor, path: Path) -> None:
    """InputError if a checkpoint was trained on other views or in another frame; its folder may have moved."""
    if "neus" not in content:
        return  # a published checkpoint does not say
    before, frame = content["neus"].get("run", facts), content["neus"]["scene"]["scene_to_world"]
    for what in ("view_names", "training_views"):
        if before.get(what) != facts[what]:
            raise InputError(
                f"{path}: trained on other {what.replace('_', ' ')} ({len(before.get(what) or [])}) than the scene in "
                f"{facts['scene']} has now ({len(facts[what])}); resume with the same scene and --holdout."
            )
    if not torch.allclose(frame, scene_to_world):
        raise InputError(
            f"{path}: trained on a scene with another scale matrix than the one in {facts['scene']}; give the scene it was trained on."
        )


@contextmanager
def stopping_on_signals(trainer: Trainer, is_wanted: bool = True) -> Iterator[None]:
    """Ctrl-C (or a termination signal) ends training after the present iteration; a second Ctrl-C ends it at once.

    Signals are left alone where that is not wanted, and outside the main thread, where Python cannot handle them.
    """
    if not is_wanted or threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: object) -> None:
        trainer.stop()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
