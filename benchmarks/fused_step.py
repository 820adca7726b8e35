"""Time of one grid-guided training step, fused and composed of single kernels and torch, and of its parts; with and without masks.

    python benchmarks/fused_step.py [--conf confs/quick_wmask.conf] [--rays 2048] [--intervals 16] [--repeats 15] [--threads 1 2]
    python benchmarks/fused_step.py --iterations [--scene FOLDER] [--trained 150] [--repeats 15] [--threads 1 2]

Both forms get the same rays of the built-in scene, cut into the same intervals by the initial shape, and compute the same gradients
(`tests/training/test_fused.py`). They are timed in turn; medians, the ratio and the fused form's parts are printed as JSON, with
rays per second of the whole iteration.

Of a preset with a hash background (--conf confs/quick_womask.conf) the kernel of that, and the same composed of torch's operations, are
timed too, of all rays.

With --iterations whole iterations of the quick presets with and without masks are timed in turn, on one scene and each after so many
iterations of its own; printed are the medians of both, and the median of the ratios of neighbours.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from unittest.mock import patch

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch  # noqa: E402

from neus.fields.hash_background import HashBackground  # noqa: E402
from neus.kernels.fused_step.cpu import step as cpu  # noqa: E402
from neus.runs.build import model_for_scene, placed  # noqa: E402
from neus.runs.config import ExperimentConfig, read_config  # noqa: E402
from neus.scenes.readers import read_scene  # noqa: E402
from neus.scenes.scene import Scene  # noqa: E402
from neus.scenes.synthetic import write_synthetic  # noqa: E402
from neus.training.fused import fused_training_step  # noqa: E402
from neus.training.optimizer import gradients_are_finite  # noqa: E402
from neus.training.step import LossWeights, training_step  # noqa: E402
from neus.training.trainer import Trainer  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
# Seconds that the initial shape may take.
LONGEST_START = 60.0


def timed(seconds: dict[str, list[float]], name: str, function: Callable) -> Callable:
    """The function, noting each call's time under a name."""

    def noted(*args: object, **named: object) -> object:
        started = time.perf_counter()
        result = function(*args, **named)
        seconds.setdefault(name, []).append(time.perf_counter() - started)
        return result

    return noted


def measure(trainer: Trainer, n_rays: int, n_intervals: int, repeats: int) -> dict[str, float]:
    """Milliseconds of the parts of an iteration, medians."""
    steps, model = trainer.steps, trainer.model
    seconds: dict[str, list[float]] = {}
    run_tasks, names = cpu.run_tasks, iter(("tiles", "table gradients") * 2 * repeats)
    draw, place = timed(seconds, "rays", steps.sampler.draw), timed(seconds, "intervals", steps.sdf_grid.intervals)
    weights = LossWeights.of(trainer.config)
    for _ in range(repeats):
        batch = draw(n_rays, trainer.generator)
        edges, _ = place(
            batch.origins,
            batch.directions,
            n_intervals,
            float(model.sharpness().detach()),
            0.3,
            trainer.generator,
        )
        cpu.run_tasks = lambda function, tasks: timed(seconds, next(names), run_tasks)(function, tasks)
        timed(seconds, "fused step", fused_training_step)(model, batch, weights, 1.0, edges, None)
        cpu.run_tasks = run_tasks
        for prefix in ("", "composed ") if model.has_background else ():
            with patch.object(HashBackground, "fused_samples", lambda *_: None) if prefix else nullcontext():
                behind = timed(seconds, f"{prefix}background", model.behind)(batch.origins, batch.directions).rgb
            timed(seconds, f"{prefix}background gradients", behind.backward)(torch.ones_like(behind))
        if steps.teacher is not None:
            timed(seconds, "surface points", steps.teacher.add_gradients)(model, 1.0, trainer.generator)
        timed(seconds, "check", gradients_are_finite)(trainer.optimizer)
        timed(seconds, "optimizer", trainer.optimizer.step)()
        timed(seconds, "grid refresh (every 4th)", steps.sdf_grid.refresh)(steps._sdf)
        model.zero_grad(set_to_none=True)
        timed(seconds, "composed step", composed)(model, batch, weights, edges)
        model.zero_grad(set_to_none=True)
    return {name: 1e3 * statistics.median(times) for name, times in seconds.items()}


def composed(model: torch.nn.Module, batch: object, weights: object, edges: torch.Tensor) -> None:
    """The same step by single kernels, torch and autograd."""
    training_step(model, batch, weights, 1.0, None, edges).total.backward()


def measure_iterations(trainers: dict[str, Trainer], repeats: int) -> dict[str, list[tuple[float, float]]]:
    """Milliseconds of whole iterations of each trainer, elapsed and of the CPU, of all threads; they take turns, in changing order."""
    milliseconds: dict[str, list[tuple[float, float]]] = {name: [] for name in trainers}
    for repeat in range(repeats):
        for name in sorted(trainers, reverse=repeat % 2 == 1):
            started = time.perf_counter(), time.process_time()
            iterate(trainers[name])
            ended = time.perf_counter(), time.process_time()
            milliseconds[name].append(tuple(1e3 * (end - start) for start, end in zip(started, ended, strict=True)))
    return milliseconds


def iterate(trainer: Trainer) -> None:
    """One iteration, with its optimiser's step."""
    trainer._step()
    trainer.iteration += 1


def compare_masks(scene: Scene, trained: int, repeats: int) -> dict[str, object]:
    """The presets with and without masks on a scene, after so many iterations of each."""
    trainers = {}
    for name, conf in {"with masks": "quick_wmask", "without masks": "quick_womask"}.items():
        trainers[name] = trainer_of(read_config(ROOT / "confs" / f"{conf}.conf"), scene)
        trainers[name].begin(LONGEST_START)
        for _ in range(trained):
            iterate(trainers[name])
    times, found = measure_iterations(trainers, repeats), {}
    for i, clock in enumerate(("elapsed", "CPU")):
        medians = {name: round(statistics.median(each[i] for each in times[name]), 1) for name in trainers}
        pairs = zip(times["without masks"], times["with masks"], strict=True)
        ratio = statistics.median(without[i] / with_masks[i] for without, with_masks in pairs)
        found[f"milliseconds of an iteration, {clock}"] = medians | {"without over with masks": round(ratio, 2)}
    return found


def trainer_of(config: ExperimentConfig, scene: Scene) -> Trainer:
    """A trainer with compiled kernels."""
    trainer = Trainer(placed(model_for_scene(config, scene), torch.device("cpu")), scene, config.train)
    trainer.prepare()
    return trainer


def main() -> None:
    """Prints the table for each number of threads."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--iterations", action="store_true", help="compare whole iterations with and without masks")
    parser.add_argument("--scene", type=Path, help="with masks; the built-in one if none is given")
    parser.add_argument("--trained", type=int, default=150, help="iterations before those that are timed")
    parser.add_argument("--conf", type=Path, default=ROOT / "confs" / "quick_wmask.conf")
    parser.add_argument("--rays", type=int, default=2048)
    parser.add_argument("--intervals", type=int, default=16, help="per ray (presets end with 12)")
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        write_synthetic(Path(folder), views=24, width=256, height=192)
        scene = read_scene(options.scene or Path(folder))
    config = read_config(options.conf)
    for n_threads in options.threads:
        torch.set_num_threads(n_threads)
        if options.iterations:
            found = compare_masks(scene, options.trained, options.repeats)
            print(json.dumps({"threads": n_threads, "trained": options.trained} | found, indent=2), flush=True)
            continue
        trainer = trainer_of(config, scene)
        trainer.begin(LONGEST_START)
        parts = measure(trainer, options.rays, options.intervals, options.repeats)
        iteration = sum(parts[name] for name in ("rays", "intervals", "fused step", "check", "optimizer"))
        iteration += parts["grid refresh (every 4th)"] / 4 + parts.get("surface points", 0.0)
        print(
            json.dumps(
                {
                    "threads": n_threads,
                    "rays": options.rays,
                    "intervals": options.intervals,
                    "milliseconds": {name: round(value, 1) for name, value in parts.items()},
                    "composed over fused": round(parts["composed step"] / parts["fused step"], 2),
                    "rays per second": round(1e3 * options.rays / iteration),
                },
                indent=2,
            )
        )


if __name__ == "__main__":
    main()
