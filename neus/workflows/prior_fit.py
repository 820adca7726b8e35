"""Shapes of a prior fitted to files and depth maps, and interpolated: code, mesh, image and numbers in one folder."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import trimesh
from numpy.typing import NDArray

from neus.errors import InputError
from neus.evaluation.surface import distances_to_mesh
from neus.files import check_can_write, write_json
from neus.meshing.clean import without_floaters
from neus.meshing.files import write_mesh
from neus.meshing.measures import is_closed, signed_volume
from neus.reports.shape_sheet import Cell, shape_sheet
from neus.runs.console import QUIET, Console
from neus.scenes.images import write_image
from neus.shapes.depth_views import DepthView, code_weight, depth_observations, read_depth_view
from neus.shapes.experiment_files import write_code
from neus.shapes.fit import Fit, fit_adam, fit_posed, fit_shape
from neus.shapes.inputs import FitInput, read_fit_input
from neus.shapes.measures import field_mesh, shape_scores, surface_distances
from neus.shapes.placement import Placement
from neus.shapes.prior import Prior, load_prior

RESOLUTION = 160
# Dots on an image.
DOTS = 500


def fit_file(
    run: Path, path: Path, out: Path, method: str = "lm", pose: bool = False, sign: str = "winding", normalize: bool = False, seed: int = 0,
    resolution: int = RESOLUTION, epoch: str = "latest", console: Console = QUIET,
) -> dict[str, Any]:  # fmt: skip
    """Fits the prior to samples, a mesh or points; writes code.npy, code.pth, mesh.ply, fit.png, fit.json into OUT.

    Returns:
        The content of fit.json: how well the observations are explained, and the error where the truth is known.

    Raises:
        InputError: bad files, or nothing that a fit could go by.
    """
    if method not in ("lm", "adam"):
        raise InputError(f"--method {method}: expected lm or adam.")
    if method == "adam" and pose:
        raise InputError("--method adam fits codes alone; leave --pose out, or use --method lm.")
    check_can_write(out / "probe")
    prior = load_prior(run, epoch)
    given = read_fit_input(path, sign, normalize or pose, seed)
    for note in given.notes:
        console.warn(note)
    if method == "adam":
        fit = fit_adam(prior, given.seen, seed=seed)
    else:
        fit = fit_posed(prior, given.seen, seed=seed) if pose else fit_shape(prior, given.seen, seed=seed)
    record = describe_fit(fit) | {"input": str(path), "error": _errors(prior, fit, given)}
    _write_fit(out, prior, fit, given.to_file, given.shown, record, resolution)
    return record


def complete_view(
    run: Path, depth: Path, camera: Path, out: Path, pose: bool = False, noise: float = 0.0, seed: int = 0, resolution: int = RESOLUTION,
    epoch: str = "latest",
) -> dict[str, Any]:  # fmt: skip
    """The whole shape behind one depth map, by the family and by the space that the view shows to be free; files as `fit_file`.

    Args:
        run: of the prior.
        depth, camera: as `depth_views.read_depth_view`.
        out: folder.
        pose: whether the object may be turned, moved and scaled in the camera's world.
        noise: deviation of the depth along the ray.
        seed, resolution, epoch: as usual.

    Raises:
        InputError: bad files.
    """
    if not 0.0 <= noise < 1.0:
        raise InputError(f"--noise {noise:g}: expected a deviation of at least 0 and below 1, in units of the prior's unit ball.")
    check_can_write(out / "probe")
    prior, view = load_prior(run, epoch), read_depth_view(depth, camera)
    reach = float(np.linalg.norm(view.points()[view.seen], axis=1).max())
    if reach > 1.2 and not pose:
        raise InputError(
            f"{depth}: the surface reaches out to {reach:.3g} from the camera world's origin, the prior's frame is the unit ball; "
            "give the camera in that frame, or --pose."
        )
    fit, seen = fit_view(prior, view, pose, noise, seed)
    placed = fit.field(prior)
    with torch.no_grad():
        hit = float((placed.sdf(seen.free) < 0.0).float().mean()) if len(seen.free) else 0.0
    record = describe_fit(fit) | {"input": str(depth), "seen_pixels": int(view.seen.sum()), "free_points_inside": hit, "noise": noise}
    _write_fit(out, prior, fit, Placement.identity(), view.points()[view.seen], record, resolution)
    return record


def fit_view(prior: Prior, view: DepthView, pose: bool = False, noise: float = 0.0, seed: int = 0) -> tuple[Fit, Any]:
    """The fit to a depth map, and the evidence that was made of it."""
    seen = depth_observations(view, noise=noise, seed=seed, free_radius=None if pose else 1.0)
    fitted = fit_posed if pose else fit_shape
    return fitted(prior, seen, weight=code_weight(noise), seed=seed), seen


def interpolate(
    run: Path, first: str, second: str, out: Path, steps: int = 7, resolution: int = 128, epoch: str = "latest"
) -> list[dict[str, Any]]:
    """Shapes on the straight line between the codes of two training shapes: meshes, one image, and numbers of each step.

    Raises:
        InputError: no such shapes, or fewer than two steps.
    """
    if steps < 2:
        raise InputError(f"--steps {steps}: expected at least 2, both ends counted.")
    check_can_write(out / "probe")
    prior = load_prior(run, epoch)
    ends = [prior.codes[prior.shape_number(text)] for text in (first, second)]
    cells, rows = [], []
    for k in range(steps):
        part = k / (steps - 1)
        mesh = without_floaters(field_mesh(prior.field(torch.lerp(*ends, part)), resolution))
        write_mesh(mesh, out / f"step_{k}.ply", resolution=resolution)
        rows.append({"part": part, "closed": is_closed(mesh), "volume": abs(signed_volume(mesh))})
        cells.append(Cell(mesh, [f"{100 * part:.0f} %", f"volume {rows[-1]['volume']:.3f}"]))
    write_image(out / "interpolation.png", shape_sheet([cells], prior.specs["Up"]))
    write_json(out / "interpolation.json", rows)
    return rows


def describe_fit(fit: Fit) -> dict[str, Any]:
    """Plain numbers of a fit, for JSON."""
    placement = fit.placement
    where = {"rotation": placement.rotation.tolist(), "translation": placement.translation.tolist(), "scale": placement.scale}
    return {
        "method": fit.method, "start": fit.start, "seconds": fit.seconds, "objective": fit.objective, "difference": fit.difference,
        "usualness": fit.usualness, "code": fit.code.tolist(),
        "placement": where,
    }  # fmt: skip


def _errors(prior: Prior, fit: Fit, given: FitInput) -> dict[str, float] | None:
    """Against the exact shape, or the mesh that was given, in units of the normalised frame; None if neither is known."""
    if given.truth is not None and fit.placement.scale == 1.0:
        scores = shape_scores(prior.field(fit.code), given.truth)
        return {"accuracy": scores.accuracy, "completeness": scores.completeness}
    if given.mesh is None:
        return None
    mesh = field_mesh(prior.field(fit.code))
    on_fit = fit.placement.matrix().numpy() @ np.column_stack([mesh.vertices, np.ones(len(mesh.vertices))]).T
    accuracy = float(distances_to_mesh(on_fit[:3].T.copy(), given.mesh).mean())
    y = fit.placement.to_prior(torch.from_numpy(given.shown).float()).numpy()
    return {"accuracy": accuracy, "completeness": fit.placement.scale * float(surface_distances(prior.field(fit.code), y).mean())}


def _write_fit(
    out: Path, prior: Prior, fit: Fit, to_file: Placement, shown: NDArray, record: dict[str, Any], resolution: int
) -> None:
    mesh = without_floaters(field_mesh(prior.field(fit.code), resolution))
    placed = mesh.copy(include_cache=True)
    placed.apply_transform(to_file.matrix().numpy() @ fit.placement.matrix().numpy())
    write_mesh(placed, out / "mesh.ply", resolution=resolution)
    np.save(out / "code.npy", fit.code.numpy())
    write_code(out / "code.pth", fit.code)
    write_image(out / "fit.png", fit_image(prior, fit, mesh, shown))
    write_json(out / "fit.json", record)


def fit_image(prior: Prior, fit: Fit, mesh: trimesh.Trimesh, shown: NDArray, captions: Sequence[str] = ("observed", "fitted")) -> NDArray:
    """(H, W, 3) uint8: what was observed over the fit, the fit, and the mean shape, in the prior's frame."""
    points = fit.placement.to_prior(torch.from_numpy(np.asarray(shown, np.float32))).numpy()
    points = points[np.linspace(0, len(points) - 1, min(DOTS, len(points))).astype(int)] if len(points) else points
    cells = [Cell(None, [captions[0], f"{len(shown)} points"], points), Cell(mesh, [captions[1], f"mean difference {fit.difference:.4f}"])]
    try:
        cells.append(Cell(field_mesh(prior.field(prior.mean_code), 96), ["mean code"]))
    except InputError:
        pass
    return shape_sheet([cells], prior.specs["Up"])
