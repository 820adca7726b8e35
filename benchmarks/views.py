"""Compares the modes of `render` on a trained run: time, evaluations, and how near shell and surface come to volume.

    python benchmarks/views.py RUN [--views 0,8] [--scale 0.25] [--threads 2] [--samples 64 64] [--image OUT.png]

Each mode renders the same views in turn. Evaluations are of the field, colours included; PSNR is against volume, and held-out
PSNR against the images. `seconds for 1600x1200` is scaled by the number of pixels.
"""

import argparse
import json
import os
import time
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import cv2  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402

from neus.evaluation.images import psnr  # noqa: E402
from neus.rendering.model import Model  # noqa: E402
from neus.rendering.modes import renderer_for  # noqa: E402
from neus.rendering.views import normal_image, render_view, rgb_image  # noqa: E402
from neus.runs.run import Run  # noqa: E402
from neus.scenes.images import write_image  # noqa: E402
from neus.scenes.scene import Scene  # noqa: E402

MODES = ("volume", "shell", "surface")
PIXELS = 1600 * 1200


def measure(model: Model, scene: Scene, views: list[int], scale: float) -> tuple[dict, np.ndarray]:
    """Numbers by mode, and an image: a row for each view, colours and then normals of each mode."""
    images, numbers, rows = {}, {}, {view: [] for view in views}
    for mode in MODES:
        renderer, seconds, held_out = renderer_for(model, mode), 0.0, []
        render_view(renderer, scene.camera(views[0]).scaled(0.05))  # kernels are compiled the first time
        renderer.stats.__init__()
        for view in views:
            camera = scene.camera(view).scaled(scale)
            started = time.perf_counter()
            seen = render_view(renderer, camera)
            seconds += time.perf_counter() - started
            images[mode, view] = seen.rgb.clamp(0, 1).numpy()
            captured = cv2.resize(scene.images[view], (camera.width, camera.height), interpolation=cv2.INTER_AREA)
            mask = None
            if scene.masks is not None:
                mask = cv2.resize(scene.masks[view].astype(np.uint8), (camera.width, camera.height)) > 0
            held_out.append(psnr(images[mode, view], captured.astype(np.float32) / 255.0, mask))
            rows[view] += [rgb_image(seen), normal_image(seen, camera)]
        stats = renderer.stats
        numbers[mode] = {
            "seconds": round(seconds, 2),
            "seconds for 1600x1200": round(seconds * PIXELS / stats.rays, 1),
            "evaluations per ray": round((stats.distances + stats.colors) / stats.rays, 1),
            "fallen back": round(stats.fallback_fraction, 4),
            "psnr to volume": round(float(np.mean([psnr(images[mode, v], images["volume", v]) for v in views])), 2)
            if mode != "volume"
            else None,
            "psnr to image": round(float(np.mean(held_out)), 2),
        }
    return numbers, np.concatenate([np.concatenate(rows[view], axis=1) for view in views])


def main() -> None:
    """Prints the numbers as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--views", default="0", help="numbers, divided by commas")
    parser.add_argument("--scale", type=float, default=0.25)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--data", type=Path)
    parser.add_argument(
        "--samples", type=int, nargs=2, help="even and placed, of volume; 64 64 are NeuS's (default: the run's)"
    )
    parser.add_argument("--image", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    views = [int(view) for view in options.views.split(",")]
    model, scene = Run(options.run, options.data).model_and_scene("cpu")
    if options.samples:
        even, placed = options.samples
        sampler = replace(model.config.neus_renderer, n_samples=even, n_importance=placed)
        model.config = replace(model.config, neus_renderer=sampler)
    numbers, rendered = measure(model, scene, views, options.scale)
    print(json.dumps({"run": options.run.name, "views": views, "threads": options.threads, **numbers}, indent=2))
    if options.image:
        write_image(options.image, rendered)


if __name__ == "__main__":
    main()
