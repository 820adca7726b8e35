"""A run measured on the views it has not seen."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from neus.errors import InputError
from neus.evaluation.images import find_lpips, image_scores, mask_at, photograph_at
from neus.rendering.modes import fastest_renderer
from neus.rendering.views import render_view
from neus.runs.films import scene_of_run
from neus.runs.load import load_model
from neus.runs.run_folder import RunFolder

# In the order in which they are told.
SCORES = ("psnr", "ssim", "psnr_masked", "ssim_masked", "lpips", "mask_error")
COLORS = "RGB as stored in the photographs, 255 = 1, no change of gamma; renders clipped to [0, 1], not rounded"
# Pixels on each side of the window in which similarity is measured.
SSIM_WINDOW = 11


def evaluate_run(
    folder: Path,
    data: Path | None = None,
    scale: float = 1.0,
    device: str = "auto",
    on_progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """PSNR (dB) and SSIM of every held-out view, over the whole image and inside the mask, and their means.

    LPIPS as well where it is installed with its weights; under `lpips` the result says so, or why not.

    Args:
        folder: a run, trained with held-out views.
        data: the scene's folder, if it has moved.
        scale: of the size of the photographs, which are averaged down to it.
        device: as `--device`.
        on_progress: called with (rays done, rays in all).

    Raises:
        InputError: no run, no scene, or no held-out views.
    """
    run = RunFolder(folder)
    checkpoint = run.latest_checkpoint()
    held_out = run.facts()["held_out_views"]
    if not held_out:
        raise InputError(f"{folder}: no view was held out, so there is nothing to measure on; train with --holdout 8.")
    model, scene = load_model(folder, device=device), scene_of_run(folder, data)
    cameras = [scene.camera(v).scaled(scale) for v in held_out]
    if smallest := [f"{c.width}x{c.height}" for c in cameras if min(c.width, c.height) < SSIM_WINDOW]:
        raise InputError(
            f"--scale {scale:g}: a view would have {smallest[0]} pixels, SSIM needs {SSIM_WINDOW} each way; use a larger scale."
        )
    renderer, (lpips, about_lpips) = fastest_renderer(model), find_lpips()
    n_rays, done = sum(c.width * c.height for c in cameras), 0
    views = []
    for view, camera in zip(held_out, cameras):
        seen = render_view(
            renderer, camera, on_progress=on_progress and (lambda part, _, done=done: on_progress(done + part, n_rays))
        )
        done += camera.width * camera.height
        size = (camera.width, camera.height)
        mask = None if scene.masks is None else mask_at(scene.masks[view], *size)
        scores = image_scores(seen.rgb, photograph_at(scene.images[view], *size), mask, lpips)
        if mask is not None:
            scores["mask_error"] = float(((seen.foreground.numpy() > 0.5) != mask).mean())
        views.append({"view": view, "name": scene.names[view], **{k: round(v, 6) for k, v in scores.items()}})
    mean = {
        name: round(float(np.mean([v[name] for v in views if name in v])), 6)
        for name in SCORES
        if any(name in v for v in views)
    }
    settings = {"scale": scale, "colors": COLORS, "lpips": about_lpips}
    return {"checkpoint": checkpoint.name, **settings, "n_held_out": len(held_out), "mean": mean, "views": views}
