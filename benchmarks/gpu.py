"""What a GPU makes of training and rendering: kernels against their floors, an iteration and its parts, views, whole scans.

    python benchmarks/gpu.py [--scan FOLDER ...] [--points FILE ...] [--seconds 5 15 60] [--out gpu.json]

Needs a CUDA device and Triton, and ends within eight minutes: each part has a limit, and one that fails or takes longer leaves its
error in the table. Everything is timed with the device's own clock after a warm-up, medians; one JSON object goes to stdout and,
with --out, to a file. Floors are bytes moved over the bandwidth and operations over the rate that this device reaches here, measured
first. Each scene of --scan (default: DTU scans 65 and 24 where they lie in `shared/data` beside the checkout) is trained for each of
--seconds, every eighth view held out; --points gives, scan by scan, points known to lie on the surface (.npy or .ply, world units),
whose mean distance to it is reported.
"""

import argparse
import sys
import tempfile
import time
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
import trimesh
from gpu_kernels import DEVICE, kernel_times, measured_rates
from gpu_timing import Report, milliseconds, relative_difference, waits
from torch import Tensor

from neus.evaluation.images import psnr
from neus.fields.precision import PRECISIONS, products_in
from neus.files import check_can_write, json_text, written_whole
from neus.geometry.cameras import Camera
from neus.geometry.similarity import scale_of, transform_points
from neus.kernels.dispatch import runs_compiled
from neus.rendering.fused import fused_sdf
from neus.rendering.model import Model
from neus.rendering.modes import renderer_for
from neus.rendering.views import render_view
from neus.runs.build import build_model, model_for_scene, placed
from neus.runs.config import read_config
from neus.scenes.readers import read_scene
from neus.scenes.scene import Scene, split_views
from neus.scenes.synthetic import write_synthetic
from neus.training.budget import TimeBudget
from neus.training.fused import fused_training_step
from neus.training.optimizer import gradients_are_finite
from neus.training.step import LossWeights, training_step
from neus.training.strategies import steps_for
from neus.training.trainer import Trainer

ROOT = Path(__file__).resolve().parents[1]
SCANS = [ROOT.parent / "shared" / "data" / name for name in ("dtu_scan65", "dtu_scan24")]
HOLDOUT = 8
# The whole report, seconds; what a part may take of it, and what a scan takes beside its training.
WHOLE = 465.0
LIMITS = {"rates": 20.0, "kernels": 50.0, "iteration": 90.0, "mlp": 60.0, "views": 40.0}
DURING_TRAINING = 30.0
# Steps are timed between two refreshes of the cache, when batches have grown and the surface is free.
ITERATION, PROGRESS = 1, 0.7
# About that of a finished training, s = 665: blurred surfaces have no shell.
FINISHED_VARIANCE = 0.65


def quiet(text: str) -> None:
    """What trainers say is no part of the table."""


def quick_trainer(scene: Scene) -> Trainer:
    """Of the quick preset, on the device."""
    config = read_config(ROOT / "confs" / "quick_wmask.conf")
    return Trainer(placed(model_for_scene(config, scene), DEVICE), scene, config.train, quiet)


def named(precision: str, is_captured: bool) -> str:
    return f"{precision}, recorded" if is_captured else precision


def gradients_in(model: Model) -> list[Tensor]:
    return [parameter.grad.clone() for parameter in model.parameters() if parameter.grad is not None]


def iteration_times(trainer: Trainer) -> dict[str, Any]:
    """Parts of an iteration of the quick preset, the same step composed of single kernels, rounded, and recorded."""
    scene, config, model = trainer.scene, trainer.config, trainer.model
    compiling = trainer.prepare()
    trainer.begin()
    steps, generator = trainer.steps, torch.Generator(DEVICE).manual_seed(0)
    batch = steps.sampler.draw(config.batch_size, generator)
    sharpness, n_intervals = model.sharpness().detach(), config.guided_sampling.n_intervals
    edges, _ = steps.sdf_grid.intervals(batch.origins, batch.directions, n_intervals, sharpness, 0.3, generator)
    weights = LossWeights.of(config)

    def fused(precision: str = "float32") -> None:
        fused_training_step(model, batch, weights, 1.0, edges, None, precision)

    def composed() -> None:
        model.zero_grad(set_to_none=True)
        training_step(model, batch, weights, 1.0, None, edges).total.backward()

    parts = {
        "rays": milliseconds(lambda: steps.sampler.draw(len(edges), generator)),
        "intervals": milliseconds(
            lambda: steps.sdf_grid.intervals(batch.origins, batch.directions, n_intervals, sharpness, 0.3, generator)
        ),
        "composed step": milliseconds(composed, repeats=10),
        "fused step": milliseconds(fused),
        "surface points": milliseconds(lambda: steps.teacher.add_gradients(model, 1.0, trainer.generator)),
        "check": milliseconds(lambda: bool(gradients_are_finite(trainer.optimizer))),
        # Together, since the optimiser passes over tables without gradient.
        "fused step and optimizer": milliseconds(lambda: (fused(), trainer.optimizer.step())),
        "grid refresh (every 4th)": milliseconds(lambda: steps.sdf_grid.refresh(steps._sdf)),
        "2^18 distances": milliseconds(lambda: fused_sdf(model, torch.rand(2**18, 3, device=DEVICE))),
    }
    gradients, whole, rates = {}, {}, {}
    for precision in PRECISIONS:
        model.zero_grad(set_to_none=True)
        fused(precision)
        gradients[precision] = gradients_in(model)
    for precision, is_captured in product(PRECISIONS, (False, True)):
        trainer.config = replace(config, precision=precision, cuda_graphs=is_captured)
        trainer.steps = steps_for(model, scene, trainer.config, trainer.generator)
        trainer.steps.sdf_grid, trainer.steps.teacher = steps.sdf_grid, steps.teacher
        model.zero_grad(set_to_none=True)
        name = named(precision, is_captured)
        with products_in(precision, DEVICE):
            whole[name] = milliseconds(lambda: trainer.steps(ITERATION, PROGRESS, 1.0))
        rates[name] = iterations_per_second(trainer)
    trainer.config, trainer.steps = config, steps
    return {
        "ms": parts,
        "composed_over_fused": parts["composed step"] / parts["fused step"],
        "rays_march_and_fused_step_ms": whole,
        "iterations_per_s": rates,
        "gradient_error": {name: relative_difference(gradients[name], gradients["float32"]) for name in PRECISIONS[1:]},
        "waits_per_iteration": waits(trainer._step),
        "seconds_compiling": compiling,
    }


def iterations_per_second(trainer: Trainer, n: int = 100) -> float:
    """Of whole iterations late in a training, after some in which kernels are compiled and steps recorded."""
    trainer.iteration = round(PROGRESS * trainer.config.end_iter)
    for count in (5, n):
        trainer.stopped, end, started = False, trainer.iteration + count, time.perf_counter()
        trainer.run([lambda t, terms, end=end: t.stop() if t.iteration == end else None])
        torch.cuda.synchronize()
    return n / (time.perf_counter() - started)


def mlp_rates(scene: Scene) -> dict[str, Any]:
    """Whole iterations of the published network, 512 rays of 128 samples: checked, stepped, by precision, recorded or not."""
    config = read_config(ROOT / "confs" / "wmask.conf")
    sampling, found, gradients, n_syncs = config.model.neus_renderer, {}, {}, 0
    for precision, is_captured in product(PRECISIONS, (False, True)):
        settings = replace(config.train, batch_size=512, precision=precision, cuda_graphs=is_captured)
        trainer = Trainer(placed(model_for_scene(config, scene), DEVICE), scene, settings, quiet)
        if not is_captured:
            with products_in(precision, DEVICE):
                trainer.steps(0, 0.0, 1.0)
            gradients[precision] = gradients_in(trainer.model)
            n_syncs = waits(trainer._step)
        ms = milliseconds(trainer._step, repeats=10)
        found[named(precision, is_captured)] = {"ms": ms, "iterations_per_s": 1e3 / ms}
        del trainer  # a recording keeps its memory
    return {
        **found,
        "gradient_error": {name: relative_difference(gradients[name], gradients["float32"]) for name in PRECISIONS[1:]},
        "waits_per_iteration": n_syncs,
        "rays": 512,
        "samples": sampling.n_samples + sampling.n_importance,
    }


def view_times(hash_model: Model, scene: Scene) -> dict[str, Any]:
    """Milliseconds of views of 1600 x 1200: of a hash model marched and by its shell, of the 8x256 network by its shell and in full."""
    published = placed(build_model(read_config(ROOT / "confs" / "wmask.conf").model), DEVICE)
    for model in (hash_model, published):
        with torch.no_grad():
            model.sharpness.variance.fill_(FINISHED_VARIANCE)
    found = {
        "hash, volume": view_time(renderer_for(hash_model, "volume"), scene),
        "hash, shell": view_time(renderer_for(hash_model, "shell"), scene),
    }
    for precision in PRECISIONS:
        with products_in(precision, DEVICE):
            found[f"8x256, shell, {precision}"] = view_time(renderer_for(published), scene, repeats=2)
    with products_in("tf32", DEVICE):
        found["8x256, volume, tf32"] = view_time(published, scene, repeats=1)
    return found


def view_time(renderer: Any, scene: Scene, repeats: int = 5) -> float:
    """Milliseconds of a whole view of 1600x1200 pixels, from the camera to images on the CPU."""
    pose = scene.camera_to_scene[0]
    side = 1.2 * 1600.0
    intrinsics = torch.tensor([[side, 0.0, 800.0], [0.0, side, 600.0], [0.0, 0.0, 1.0]], dtype=torch.float64)
    camera = Camera(intrinsics, pose, 1600, 1200)
    return milliseconds(lambda: render_view(renderer, camera), repeats=repeats, warm_up=1)


def trained(folder: Path, points: Path | None, seconds: float, **changes: Any) -> dict[str, Any]:
    """A scan after so many seconds of training, initial shape included, compilation not: PSNR of held-out views."""
    scene = read_scene(folder)
    kept, held_out = split_views(len(scene), HOLDOUT)
    name = "quick_wmask" if scene.masks is not None else "quick_womask"
    config = read_config(ROOT / "confs" / f"{name}.conf")
    seen = scene.subset(kept)
    settings = replace(config.train, **changes)
    trainer = Trainer(placed(model_for_scene(config, seen), DEVICE), seen, settings, quiet)
    trainer.prepare()
    torch.cuda.reset_peak_memory_stats()
    started = time.monotonic()
    trainer.time_budget = TimeBudget(seconds, config.train.end_iter)
    trainer.run([])
    took, renderer = time.monotonic() - started, renderer_for(trainer.model)
    scores: list[tuple[float, float]] = []
    for view in held_out:
        image, truth = render_view(renderer, scene.camera(view)).rgb.clamp(0.0, 1.0), scene.image(view)
        mask = scene.masks[view] if scene.masks is not None else None
        scores.append((psnr(image, truth), psnr(image, truth, mask)))
    result = {
        "scan": folder.name,
        "seconds": took,
        **changes,
        "iterations": trainer.iteration,
        "psnr": float(np.mean([whole for whole, _ in scores])),
        "psnr_masked": float(np.mean([masked for _, masked in scores])),
        "peak_gib": torch.cuda.max_memory_allocated() / 2**30,
    }
    if points is not None:
        result["feature_points_mean_distance"] = distance_of_points(trainer, scene, points)
    return result


def distance_of_points(trainer: Trainer, scene: Scene, path: Path) -> float:
    """Mean distance of points from the surface by its own distances, world units."""
    world = np.load(path) if path.suffix == ".npy" else np.asarray(trimesh.load(path).vertices)
    points = transform_points(torch.linalg.inv(scene.scene_to_world), torch.from_numpy(world).double())
    with torch.no_grad():
        distances = trainer.model.sdf(points.float().to(DEVICE)).abs()
    return float(distances.mean()) * float(scale_of(scene.scene_to_world))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scan", type=Path, nargs="*", default=[path for path in SCANS if path.is_dir()])
    parser.add_argument("--points", type=Path, nargs="*", default=[])
    parser.add_argument("--seconds", type=float, nargs="*", default=[5.0, 15.0, 60.0])
    parser.add_argument("--precision", choices=PRECISIONS, default="float32", help="of the scans' trainings")
    parser.add_argument("--cuda-graphs", action="store_true", help="record the steps of the scans' trainings")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    if not torch.cuda.is_available():
        print("error: benchmarks/gpu.py measures a CUDA device and there is none here", file=sys.stderr)
        return 2
    if not runs_compiled("fused_step", DEVICE):
        print("error: benchmarks/gpu.py measures Triton's kernels: pip install triton", file=sys.stderr)
        return 2
    if options.out:
        check_can_write(options.out)
    report = Report(WHOLE)
    report.results |= {"device": torch.cuda.get_device_name(), "torch": torch.__version__}
    with tempfile.TemporaryDirectory() as folder:
        write_synthetic(Path(folder), views=24, width=256, height=192)
        scene = read_scene(Path(folder))
    trainer = quick_trainer(scene)
    rates = report.add("rates", measured_rates, LIMITS["rates"])
    report.add("kernels", lambda: kernel_times(rates), LIMITS["kernels"])
    report.add("iteration", lambda: iteration_times(trainer), LIMITS["iteration"])
    report.add("mlp", lambda: mlp_rates(scene), LIMITS["mlp"])
    report.add("views", lambda: view_times(trainer.model, scene), LIMITS["views"])
    points = [*options.points, *[None] * len(options.scan)]
    changes = {"precision": options.precision, "cuda_graphs": options.cuda_graphs}
    # The long ones last: if time is short, the short ones are there.
    for seconds in sorted(options.seconds):
        for folder, on_surface in zip(options.scan, points, strict=False):
            name = f"{folder.name}, {seconds:g} s"
            limit = seconds + DURING_TRAINING
            report.add(
                name, lambda f=folder, p=on_surface, s=seconds: trained(f, p, s, **changes), limit, least=seconds
            )
    text = json_text(report.results, indent=2)
    print(text)
    if options.out:
        with written_whole(options.out) as path:
            path.write_text(text + "\n", encoding="utf-8")
    return 1 if report.has_errors else 0


if __name__ == "__main__":
    sys.exit(main())
