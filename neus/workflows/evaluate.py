"""Measurements of models and meshes: images on held-out views, surfaces against the truth."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import trimesh

from neus.errors import InputError
from neus.evaluation.dense import dense_agreement
from neus.evaluation.files import read_mesh, read_surface
from neus.evaluation.images import find_lpips, image_at, image_scores, mask_at
from neus.evaluation.of_mesh import JudgedMesh, against_dtu
from neus.evaluation.surface import SurfaceScores, surface_scores
from neus.geometry.poses import invert
from neus.meshing.files import in_world
from neus.rendering.model import Model
from neus.rendering.modes import renderer_for
from neus.rendering.views import render_view
from neus.runs.build import in_frame_of
from neus.runs.run import Run
from neus.scenes.scene import Scene, check_views

# In the order in which they are reported.
SCORES = (
    "psnr", "psnr_affine", "ssim", "psnr_masked", "psnr_masked_affine", "ssim_masked", "lpips", "mask_error",
)  # fmt: skip
COLORS = "RGB as stored in the images, 255 = 1, no change of gamma; renders clipped to [0, 1], not rounded"
# Pixels on each side of the window in which similarity is measured.
SSIM_WINDOW = 11


def evaluate_run(
    folder: Path,
    data: Path | None = None,
    scale: float = 1.0,
    device: str = "auto",
    on_progress: Callable[[int, int], None] | None = None,
    split: str | None = None,
    overrides: Sequence[str] = (),
) -> dict[str, Any]:
    """`evaluate_images` of a run on the views that were held out of its training, and how well its mesh agrees with them (`dense`).

    Args:
        folder: a run, trained with held-out views.
        data: the scene's folder, if it has moved.
        scale: as a fraction of the image size.
        device: as `--device`.
        on_progress: called with (rays done, rays in all).
        split: `test` or `val` measures that split of a Blender scene, as published tables do, instead of held-out views.
        overrides: `dataset.key=value` each, for how the scene is read.

    Raises:
        InputError: no run, no scene, no held-out views, or held-out views that the scene has no more.
    """
    run = Run(folder, data, overrides=overrides)
    if split is not None:
        model, scene = run.model(device), run.split(split)
        views = list(range(len(scene)))
    else:
        model, scene = run.model_and_scene(device)
        views = run.held_out(scene)
    result = evaluate_images(model, scene, views, scale, on_progress)
    more = {"dense": dense_scores(run, scene, views)} if split is None else {"split": split}
    return {"checkpoint": run.checkpoint.name, **more, **result}


def dense_scores(run: Run, scene: Scene, held_out: Sequence[int]) -> dict[str, Any]:
    """`DenseAgreement` of the run's newest mesh with the held-out views, world units; a `note` where there is no mesh.

    Args:
        run: whose mesh is measured.
        scene: in the frame of the model.
        held_out: numbers of the views.
    """
    try:
        path = run.mesh_path()
        mesh = in_world(read_mesh(path), invert(scene.scene_to_world))
        return {"mesh": path.name, **dense_agreement(mesh, scene, held_out).as_dict()}
    except InputError as error:
        return {"note": f"not measured: {error}"}


def evaluate_images(
    model: Model,
    scene: Scene,
    views: Sequence[int] | None = None,
    scale: float = 1.0,
    on_progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """PSNR (dB) and SSIM of rendered views against the images, over the whole image and inside the mask, and their means.

    LPIPS as well where it is installed with its weights; under `lpips` the result says so, or why not.

    Args:
        model: trained; the scene is brought into its frame, or taken for it where the model does not know its frame.
        scene: images, cameras and masks.
        views: their numbers in the scene; None measures all of them.
        scale: as a fraction of the image size; the images are averaged down to it.
        on_progress: called with (rays done, rays in all).

    Raises:
        InputError: no such view, or images too small for SSIM.
    """
    views = range(len(scene)) if views is None else views
    check_views(views, len(scene))
    scene = in_frame_of(model, scene)
    cameras = [scene.camera(v).scaled(scale) for v in views]
    if smallest := [f"{c.width}x{c.height}" for c in cameras if min(c.width, c.height) < SSIM_WINDOW]:
        raise InputError(
            f"scale {scale:g}: a view would have {smallest[0]} pixels, SSIM needs {SSIM_WINDOW} each way; use a larger scale."
        )
    renderer, (lpips, about_lpips) = renderer_for(model), find_lpips()
    n_rays, done, measured = sum(c.width * c.height for c in cameras), 0, []
    for view, camera in zip(views, cameras):
        seen = render_view(
            renderer, camera, on_progress=on_progress and (lambda part, _, done=done: on_progress(done + part, n_rays))
        )
        done += camera.width * camera.height
        size = (camera.width, camera.height)
        mask = None if scene.masks is None else mask_at(scene.masks[view], *size)
        scores = image_scores(seen.rgb, image_at(scene.images[view], *size), mask, lpips)
        if mask is not None:
            scores["mask_error"] = float(((seen.foreground.numpy() > 0.5) != mask).mean())
        measured.append({"view": view, "name": scene.names[view], **{k: round(v, 6) for k, v in scores.items()}})
    mean = {
        name: round(float(np.mean([v[name] for v in measured if name in v])), 6)
        for name in SCORES
        if any(name in v for v in measured)
    }
    settings = {"scale": scale, "colors": COLORS, "lpips": about_lpips}
    return {**settings, "n_held_out": len(cameras), "mean": mean, "views": measured}


def evaluate_mesh(
    mesh: trimesh.Trimesh | str | Path,
    truth: trimesh.Trimesh | np.ndarray | str | Path,
    thresholds: Sequence[float] = (),
    n_samples: int = 1_000_000,
    seed: int = 0,
) -> SurfaceScores:
    """Accuracy, completeness, Chamfer distance and F-scores of a mesh, in the unit of the truth.

    Args:
        mesh: a mesh, or a file.
        truth: a mesh, points (P, 3), or a file with either.
        thresholds: for the F-scores.
        n_samples: random points on each surface.
        seed: of those.

    Raises:
        InputError: a file that cannot be read, a mesh without faces, or coordinates that are not finite.
    """
    surfaces = (read_surface(Path(s)) if isinstance(s, str | Path) else s for s in (mesh, truth))
    return surface_scores(*surfaces, thresholds, n_samples, seed)


def evaluate_dtu(
    mesh: trimesh.Trimesh | str | Path,
    root: str | Path,
    scan: int,
    scene: Scene | None = None,
    dilation_px: int = 50,
) -> dict[str, Any]:
    """The official DTU scores of a mesh, millimetres.

    Args:
        mesh: a mesh in the data set's world frame, or a file.
        root: folder with Points/ and ObsMask/ of the data set.
        scan: number of the scan.
        scene: cuts the mesh by its object masks first, as published tables do; None does not.
        dilation_px: of those masks, pixels of an image 1600 wide.

    Raises:
        InputError: files that are missing, or a scene without masks.
    """
    path = Path(mesh) if isinstance(mesh, str | Path) else None
    surface = mesh if path is None else read_mesh(path)
    return against_dtu(JudgedMesh(surface, path, scene), Path(root), scan, None if scene is None else dilation_px)
