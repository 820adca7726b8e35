"""Seconds, CPU seconds and peak memory of meshing a model, in a process of its own for each resolution.

    python benchmarks/meshing.py [RUN] [--resolutions 512 1024] [--repeats 1] [--threads 2] [--target-faces N]

RUN is a trained run folder; without one a ball-like hash model of confs/quick_wmask.conf is meshed as it starts. The time holds
extraction, cleaning by size, normals, colours and the PLY file; loading the model and compiling are not in it. Medians are printed
as JSON. Peak memory is that of the whole process, torch and the model (`gib_before`) included.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch  # noqa: E402

from neus.meshing.files import write_mesh  # noqa: E402
from neus.meshing.measures import is_closed  # noqa: E402
from neus.meshing.of_model import surface_mesh
from neus.rendering.model import Model  # noqa: E402
from neus.rendering.queries import is_fused  # noqa: E402
from neus.runs.build import build_model, placed  # noqa: E402  # noqa: E402
from neus.runs.config import read_config  # noqa: E402  # noqa: E402
from neus.runs.load import load_model  # noqa: E402  # noqa: E402
from neus.workflows.finish import Finish  # noqa: E402  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
WARM_UP_RESOLUTION = 32


def peak_gib() -> float:
    """Of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def model_of(run: Path | None) -> Model:
    """The trained model, or an untrained one with the quick preset's grids."""
    if run is not None:
        return load_model(run)
    return placed(build_model(read_config(ROOT / "confs" / "quick_wmask.conf").model), torch.device("cpu"))


def measure(run: Path | None, resolution: int, target_faces: int | None) -> dict[str, float]:
    """Of one mesh, from the model to the file."""
    model = model_of(run)
    surface_mesh(model, WARM_UP_RESOLUTION)
    before = peak_gib()
    wall, cpu = time.perf_counter(), time.process_time()
    mesh = surface_mesh(model, resolution, finish=Finish(clean=True, target_faces=target_faces))
    with tempfile.TemporaryDirectory() as folder:
        write_mesh(mesh, Path(folder) / "mesh.ply", model.scene_to_world)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return {
        "seconds": wall,
        "processor_seconds": cpu,
        "gib_before": before,
        "vertices": len(mesh.vertices),
        "faces": len(mesh.faces),
        "watertight": float(is_closed(mesh)),
        "fused": float(is_fused(model)),
        "peak_gib": peak_gib(),
    }


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, nargs="?")
    parser.add_argument("--resolutions", type=int, nargs="+", default=[512, 1024])
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--target-faces", type=int)
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.one:
        print(json.dumps(measure(options.run, options.resolutions[0], options.target_faces)))
        return
    again = [sys.executable, __file__, *([str(options.run)] if options.run else []), "--one"]
    again += ["--threads", str(options.threads)]
    again += ["--target-faces", str(options.target_faces)] if options.target_faces else []
    report: dict[str, object] = {"threads": options.threads, "repeats": options.repeats}
    for resolution in options.resolutions:
        command = [*again, "--resolutions", str(resolution)]
        results = [
            json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])
            for _ in range(options.repeats)
        ]
        report[str(resolution)] = {key: round(statistics.median(r[key] for r in results), 3) for key in results[0]}
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
