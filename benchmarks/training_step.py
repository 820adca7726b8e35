"""Time and memory of one training step of the published network, its SDF evaluated once or twice per sample.

    python benchmarks/training_step.py [--conf confs/wmask.conf] [--repeats 3] [--rays 512]

The published code runs the signed distance network forward twice for every sample, once for value and features, once
more for the gradient. `SdfNetwork.evaluate` shares one pass. All are measured here in turn, each in a process of its own for its
peak memory; medians and the ratios are printed as JSON.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch  # noqa: E402

from neus.fields.base import SurfaceSample
from neus.fields.mlp import chunked  # noqa: E402
from neus.runs.build import build_model, placed  # noqa: E402
from neus.runs.config import read_config  # noqa: E402
from neus.training.optimizer import build_optimizer, set_learning_rates  # noqa: E402
from neus.training.pixels import RayBatch  # noqa: E402
from neus.training.step import LossWeights, training_step  # noqa: E402

# The shared evaluation; the published way, in passes that fit the caches like ours; the published way as published.
KINDS = ("once", "twice", "twice_in_one_pass")
ROOT = Path(__file__).resolve().parents[1]


def evaluate_twice(network: torch.nn.Module, points: torch.Tensor) -> SurfaceSample:
    """Value and features from one forward pass, the gradient by autograd through a second one."""
    flat = points.reshape(-1, 3)
    sdf, features, gradients = chunked(lambda rows: rows_twice(network, rows), network.chunk_size, flat)
    batch = points.shape[:-1]
    return SurfaceSample(sdf.reshape(batch), features.reshape(*batch, -1), gradients.reshape(*batch, 3))


def rows_twice(network: torch.nn.Module, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The same for points (M, 3)."""
    sdf, features = forward(network, rows)
    rows = rows.detach().requires_grad_()
    gradients = torch.autograd.grad(forward(network, rows)[0].sum(), rows, create_graph=True)[0]
    return sdf, features, gradients


def forward(network: torch.nn.Module, points: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Distance (M,) and features (M, F), differentiable in the points."""
    scale = network.config.scale
    hidden, _ = network._hidden(points * scale, keep_slopes=False)
    out = getattr(network, f"lin{network.n_linear - 1}")(hidden)
    return out[:, 0] / scale, out[:, 1:]


def random_batch(n_rays: int, seed: int = 0) -> RayBatch:
    """Rays from distance 3 towards points inside the unit sphere."""
    generator = torch.Generator().manual_seed(seed)
    origins = 3.0 * torch.nn.functional.normalize(torch.randn(n_rays, 3, generator=generator), dim=-1)
    targets = 0.7 * torch.nn.functional.normalize(torch.randn(n_rays, 3, generator=generator), dim=-1)
    directions = torch.nn.functional.normalize(targets - origins, dim=-1)
    return RayBatch(origins, directions, torch.rand(n_rays, 3, generator=generator), torch.ones(n_rays))


def measure(conf: Path, n_rays: int, twice: bool, in_one_pass: bool) -> dict[str, float]:
    """Seconds of the second of two whole steps, and peak memory of this process."""
    config = read_config(conf)
    model = placed(build_model(config.model), torch.device("cpu"))
    if in_one_pass:
        model.sdf_network.chunk_size = model.color_network.chunk_size = None
    if twice:
        model.sdf_network.evaluate = lambda points: evaluate_twice(model.sdf_network, points)
    optimizer = build_optimizer(model)
    set_learning_rates(optimizer, {"networks": config.train.learning_rate})
    weights = LossWeights(config.train.igr_weight, config.train.mask_weight)
    seconds = 0.0
    for n in (n_rays, n_rays):
        batch, generator = random_batch(n), torch.Generator().manual_seed(1)
        start = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        training_step(model, batch, weights, 1.0, generator).total.backward()
        optimizer.step()
        seconds = time.perf_counter() - start
    return {"seconds": seconds, "peak_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20}


def time_ratio(runs: dict[str, list[dict[str, float]]], kind: str) -> float:
    """Median over the pairs of runs of the time of the shared evaluation over that of another kind."""
    return statistics.median(a["seconds"] / b["seconds"] for a, b in zip(runs["once"], runs[kind]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--conf", type=Path, default=ROOT / "confs/wmask.conf")
    parser.add_argument("--rays", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--one", choices=KINDS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(
            json.dumps(
                measure(options.conf, options.rays, options.one.startswith("twice"), options.one == "twice_in_one_pass")
            )
        )
        return
    runs: dict[str, list[dict[str, float]]] = {kind: [] for kind in KINDS}
    for _ in range(options.repeats):
        for kind, results in runs.items():
            command = [
                sys.executable,
                __file__,
                "--conf",
                str(options.conf),
                "--rays",
                str(options.rays),
                "--one",
                kind,
            ]
            results.append(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
    medians = {
        kind: {key: statistics.median(r[key] for r in results) for key in results[0]} for kind, results in runs.items()
    }
    report = {
        "threads": torch.get_num_threads(),
        "rays": options.rays,
        "repeats": options.repeats,
        **medians,
        **{f"time_ratio_once_to_{kind}": time_ratio(runs, kind) for kind in KINDS[1:]},
    }
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
