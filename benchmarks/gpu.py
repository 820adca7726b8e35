"""What a GPU makes of training and rendering: kernels against their floors, an iteration and its parts, views, whole scans.

    python benchmarks/gpu.py [--scan FOLDER ...] [--points FILE ...] [--seconds 5 15 60] [--out gpu.json]

Needs a CUDA device and Triton. Everything is timed with the device's own clock after a warm-up, medians; one JSON object goes to
stdout and, with --out, to a file. Floors are bytes moved over the bandwidth and operations over the rate that this device reaches
here, measured first. With --scan each scene is trained for each of --seconds, every eighth view held out; --points gives, scan by
scan, points known to lie on the surface (.npy or .ply, world units), whose mean distance from it is told.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import trimesh

from neus.datasets.pixels import RayBatch
from neus.datasets.readers import read_scene
from neus.datasets.scene import Scene
from neus.datasets.splits import split_views
from neus.datasets.synthetic import write_synthetic
from neus.evaluation.images import psnr
from neus.experiment.build import build_model, model_for_scene, placed
from neus.experiment.config import read_config
from neus.files import check_can_write, written_whole
from neus.geometry.cameras import Camera
from neus.geometry.similarity import scale_of, transform_points
from neus.kernels.dispatch import kernels_for, runs_compiled
from neus.kernels.hash_encode.layout import grid_layout
from neus.rendering.fused import fused_sdf
from neus.rendering.marched import fastest_renderer
from neus.rendering.views import render_view
from neus.training.budget import TimeBudget
from neus.training.fused import fused_training_step
from neus.training.optimizer import build_optimizer, gradients_are_finite, set_learning_rates
from neus.training.step import LossWeights, training_step
from neus.training.trainer import Trainer

ROOT = Path(__file__).resolve().parents[1]
DEVICE = torch.device("cuda")
HOLDOUT = 8
# Points, samples and rays of the kernels timed alone: those of some training steps, so that launches do not count.
N_POINTS, N_RAYS, N_SECTIONS = 2**18, 2**14, 64
MIB, GIGA = 2**20, 1e9


def milliseconds(function: Callable[[], Any], repeats: int = 20, warm_up: int = 3) -> float:
    """Median time of a call on the device."""
    times = []
    for i in range(warm_up + repeats):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        function()
        end.record()
        torch.cuda.synchronize()
        if i >= warm_up:
            times.append(start.elapsed_time(end))
    return statistics.median(times)


def measured_rates() -> dict[str, float]:
    """Gigabytes per second of a copy, and billions of operations per second of products in single precision, exact and TF32."""
    source = torch.empty(256 * MIB, device=DEVICE)
    target, matrix = torch.empty_like(source), torch.randn(8192, 8192, device=DEVICE)
    rates = {"copy_gb_per_s": 2 * source.nbytes / GIGA / (1e-3 * milliseconds(lambda: target.copy_(source)))}
    for name, allowed in (("float32", False), ("tf32", True)):
        torch.backends.cuda.matmul.allow_tf32 = allowed
        rates[f"{name}_gflop_per_s"] = 2 * 8192**3 / GIGA / (1e-3 * milliseconds(lambda: matrix @ matrix))
    torch.backends.cuda.matmul.allow_tf32 = False
    return rates


def kernel_times(rates: dict[str, float]) -> dict[str, Any]:
    """Each kernel alone, its bytes, and its time over the time in which the device copies so many."""
    layout, n_features = grid_layout(8, 16, 640, 18), 2
    new = torch.Generator(DEVICE).manual_seed(0)
    points = torch.rand(N_POINTS, 3, generator=new, device=DEVICE) * 2.0 - 1.0
    table = torch.randn(layout.n_rows, n_features, generator=new, device=DEVICE).requires_grad_()
    encode, composite = kernels_for("hash_encode", DEVICE), kernels_for("composite", DEVICE)
    adam, march = kernels_for("adam_rows", DEVICE), kernels_for("march", DEVICE)
    features, jacobian = encode.encode_with_jacobian(points, table, layout, layout.n_levels)
    cotangents = torch.randn_like(features), torch.randn_like(jacobian)
    alphas = torch.rand(N_RAYS, N_SECTIONS, generator=new, device=DEVICE)
    values = torch.rand(N_RAYS, N_SECTIONS, 3, generator=new, device=DEVICE)
    moments, gradient = [torch.zeros_like(table).detach() for _ in range(2)], torch.ones_like(table).detach()
    axis = torch.linspace(-1.0, 1.0, 128, device=DEVICE)
    ball = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij")).norm(dim=0) - 0.5
    origins = torch.tensor([0.0, 0.0, -2.0], device=DEVICE).expand(N_RAYS, 3).contiguous()
    targets = torch.rand(N_RAYS, 3, generator=new, device=DEVICE) - 0.5
    rays = origins, torch.nn.functional.normalize(targets - origins, dim=-1)
    ends, jitter = torch.ones(N_RAYS, device=DEVICE), torch.rand(N_RAYS, 17, generator=new, device=DEVICE)
    looked_up = N_POINTS * layout.n_levels * 8 * n_features * 4

    def step() -> None:
        gradient.fill_(1e-3)
        adam.adam_rows(table.detach(), gradient, *moments, 1e-3, (0.9, 0.99), 1e-15, 1)

    def pull_back() -> None:
        torch.autograd.grad([features, jacobian], table, cotangents, retain_graph=True)

    with torch.no_grad():
        calls = {
            "encode": (lambda: encode.encode(points, table, layout, 8), points.nbytes + looked_up + features.nbytes),
            "encode with jacobian": (
                lambda: encode.encode_with_jacobian(points, table, layout, 8),
                points.nbytes + looked_up + features.nbytes + jacobian.nbytes,
            ),
            "composite": (lambda: composite.composite(alphas, values), 3 * alphas.nbytes + values.nbytes),
            "adam on all rows": (step, 9 * table.nbytes),
        }
        found = {name: (milliseconds(call), n_bytes) for name, (call, n_bytes) in calls.items()}
        marched = milliseconds(lambda: march.march(*rays, ends, 3 * ends, ball, 200.0, 0.2, jitter))
    # Adding to memory reads and writes it.
    found["table gradient"] = (
        milliseconds(pull_back),
        points.nbytes + 2 * looked_up + features.nbytes + jacobian.nbytes + table.nbytes,
    )
    floors = {name: 1e3 * n_bytes / GIGA / rates["copy_gb_per_s"] for name, (_, n_bytes) in found.items()}
    table_of = {
        name: {"ms": ms, "bytes": n_bytes, "floor_ms": floors[name], "over_floor": ms / floors[name]}
        for name, (ms, n_bytes) in found.items()
    }
    # How many steps rays take is not known beforehand, so there is no floor.
    return table_of | {"march": {"ms": marched, "rays": N_RAYS}}


def iteration_times(scene: Scene) -> dict[str, Any]:
    """Parts of an iteration of the quick preset, the same step composed of single kernels, and the view of such a model."""
    config = read_config(ROOT / "confs" / "quick_wmask.conf")
    trainer = Trainer(placed(model_for_scene(config, scene), DEVICE), scene, config.train)
    compiling = trainer.prepare()
    trainer.begin()
    steps, model, generator = trainer.steps, trainer.model, torch.Generator(DEVICE).manual_seed(0)
    batch = steps.sampler.draw(config.train.batch_size, generator)
    sharpness, n_sections = float(model.sharpness().detach()), config.train.march.n_sections
    edges, _ = steps.cache.sections(batch.origins, batch.directions, n_sections, sharpness, 0.3, generator)
    weights = steps._weights(0.1)

    def fused() -> None:
        fused_training_step(model, batch, weights, 1.0, edges, None, steps.first_shape)

    def composed() -> None:
        model.zero_grad(set_to_none=True)
        training_step(model, batch, weights, 1.0, None, edges, steps.first_shape).total.backward()

    parts = {
        "rays": milliseconds(lambda: steps.sampler.draw(len(edges), generator)),
        "march": milliseconds(
            lambda: steps.cache.sections(batch.origins, batch.directions, n_sections, sharpness, 0.3, generator)
        ),
        "composed step": milliseconds(composed, repeats=10),
        "fused step": milliseconds(fused),
        "check": milliseconds(lambda: gradients_are_finite(trainer.optimizer)),
        # Together, since the optimiser passes over tables without gradient.
        "fused step and optimizer": milliseconds(lambda: (fused(), trainer.optimizer.step())),
        "cache refresh (every 4th)": milliseconds(lambda: steps.cache.refresh(steps._sdf)),
        "2^18 distances": milliseconds(lambda: fused_sdf(model, torch.rand(2**18, 3, device=DEVICE))),
    }
    trainer.config = replace(config.train, end_iter=trainer.iteration + 200)
    started = time.perf_counter()
    trainer.run([])
    torch.cuda.synchronize()
    return {
        "ms": parts,
        "composed_over_fused": parts["composed step"] / parts["fused step"],
        "iterations_per_s": 200 / (time.perf_counter() - started),
        "seconds_compiling": compiling,
        "view_1600x1200_ms": view_time(fastest_renderer(model), scene),
    }


def view_time(renderer: Any, scene: Scene, repeats: int = 5) -> float:
    """Milliseconds of a whole view of 1600x1200 pixels, from the camera to pictures on the CPU."""
    pose = scene.camera_to_scene[0]
    side = 1.2 * 1600.0
    intrinsics = torch.tensor([[side, 0.0, 800.0], [0.0, side, 600.0], [0.0, 0.0, 1.0]], dtype=torch.float64)
    camera = Camera(intrinsics, pose, 1600, 1200)
    return milliseconds(lambda: render_view(renderer, camera), repeats=repeats, warm_up=1)


def mlp_rate(n_rays: int = 512) -> dict[str, float]:
    """Iterations per second of the published network: 512 rays, 128 samples."""
    config = read_config(ROOT / "confs" / "wmask.conf")
    sampling = config.model.neus_renderer
    model = placed(build_model(config.model), DEVICE)
    optimizer, weights = build_optimizer(model), LossWeights(config.train.igr_weight, config.train.mask_weight)
    set_learning_rates(optimizer, {"networks": 1e-5})
    origins = 3.0 * torch.nn.functional.normalize(torch.randn(n_rays, 3, device=DEVICE), dim=-1)
    directions = torch.nn.functional.normalize(0.5 * torch.randn(n_rays, 3, device=DEVICE) - origins, dim=-1)
    batch = RayBatch(origins, directions, torch.rand(n_rays, 3, device=DEVICE), torch.ones(n_rays, device=DEVICE))
    generator = torch.Generator(DEVICE).manual_seed(0)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        training_step(model, batch, weights, 1.0, generator).total.backward()
        optimizer.step()

    ms = milliseconds(step)
    return {"ms": ms, "iterations_per_s": 1e3 / ms, "samples": sampling.n_samples + sampling.n_importance}


def trained(folder: Path, points: Path | None, seconds: float) -> dict[str, Any]:
    """A scan after so many seconds of training, first shape included, compilation not: PSNR of held-out views."""
    scene = read_scene(folder)
    kept, held_out = split_views(len(scene), HOLDOUT)
    name = "quick_wmask" if scene.masks is not None else "quick_womask"
    config = read_config(ROOT / "confs" / f"{name}.conf")
    seen = scene.subset(kept)
    trainer = Trainer(placed(model_for_scene(config, seen), DEVICE), seen, config.train)
    trainer.prepare()
    torch.cuda.reset_peak_memory_stats()
    started = time.monotonic()
    trainer.time_budget = TimeBudget(seconds, config.train.end_iter)
    trainer.run([])
    took, renderer = time.monotonic() - started, fastest_renderer(trainer.model)
    scores: list[tuple[float, float]] = []
    for view in held_out:
        image, truth = render_view(renderer, scene.camera(view)).rgb.clamp(0.0, 1.0), scene.image(view)
        mask = scene.masks[view] if scene.masks is not None else None
        scores.append((psnr(image, truth), psnr(image, truth, mask)))
    result = {
        "scan": folder.name,
        "seconds": took,
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
    parser.add_argument("--scan", type=Path, nargs="*", default=[])
    parser.add_argument("--points", type=Path, nargs="*", default=[])
    parser.add_argument("--seconds", type=float, nargs="*", default=[5.0, 15.0, 60.0])
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
    with tempfile.TemporaryDirectory() as folder:
        write_synthetic(Path(folder), views=24, width=256, height=192)
        scene = read_scene(Path(folder))
    rates = measured_rates()
    points = [*options.points, *[None] * len(options.scan)]
    report = {
        "device": torch.cuda.get_device_name(),
        "torch": torch.__version__,
        "rates": rates,
        "kernels": kernel_times(rates),
        "iteration": iteration_times(scene),
        "mlp": mlp_rate(),
        "scans": [trained(s, p, seconds) for s, p in zip(options.scan, points) for seconds in options.seconds],
    }
    text = json.dumps(report, indent=2)
    print(text)
    if options.out:
        with written_whole(options.out) as path:
            path.write_text(text + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
