"""The report of a run: what was run, where time went, how it learnt, what it sees, its mesh; one page, RUN/report.html."""

import time
from collections.abc import Sequence
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import trimesh
from numpy.typing import NDArray

from neus.errors import InputError
from neus.files import without_folders, written_whole
from neus.geometry.similarity import scale_of
from neus.meshing.cost import measured_mesh_cost
from neus.meshing.files import in_world, written_seen
from neus.meshing.measures import mesh_facts
from neus.meshing.of_model import surface_mesh
from neus.rendering.model import Model
from neus.reports.contact_sheet import fitting_sheet
from neus.reports.gathered import MeshShown, RunGathered
from neus.reports.page import duration, page
from neus.reports.report_sections import report_sections
from neus.reports.six_sides import six_sides
from neus.runs.console import QUIET, Console
from neus.runs.run import Run
from neus.runs.run_folder import RunFolder, mesh_of_run, read_evaluation
from neus.runs.session import Session, read_sessions
from neus.scenes.scene import Scene
from neus.training.checkpoint import iteration_of
from neus.training.metrics import read_metrics

FILE = "report.html"
# What a report made on request may take for its images; seconds.
SECONDS_ON_REQUEST = 40.0
# One at the end of a training: a fraction of what that took, within these seconds.
FRACTION_AFTER_TRAINING, LEAST_AFTER_TRAINING, MOST_AFTER_TRAINING = 0.1, 0.3, 6.0
# Of that, for the views, and for a mesh if the run has written none.
VIEWS_FRACTION, MESH_FRACTION = 0.6, 0.4
# A mesh for six small images need not be finer.
FINEST_QUICK_MESH = 192


def write_report(
    folder: Path, seconds: float = SECONDS_ON_REQUEST, data: Path | None = None, device: str = "auto"
) -> Path:
    """Makes RUN/report.html anew and returns its path.

    Args:
        folder: a run.
        seconds: for the images, which get smaller and fewer to fit.
        data: the scene's folder, if it has moved.
        device: as `--device`.

    Raises:
        InputError: no run, no scene, or a folder that cannot be written.
    """
    RunFolder(folder).latest_checkpoint()
    RunFolder(folder).facts()
    return _write(gathered(Run(folder, data), *Run(folder, data).model_and_scene(device), seconds))


def report_after_training(
    folder: Path, model: Model, session: Session, seconds: float | None = None, console: Console = QUIET
) -> Path | None:
    """The same from what training still holds in memory; whatever goes wrong is said in one line and loses nothing.

    Args:
        folder, model, session: of the training that has ended.
        seconds: for the images; a small fraction of what the training took if None.
        console: where the line about a failure goes.

    Returns:
        RUN/report.html, or None if it could not be made.
    """
    try:
        if seconds is None:
            fraction = FRACTION_AFTER_TRAINING * sum(session.record["seconds"].values())
            seconds = min(max(fraction, LEAST_AFTER_TRAINING), MOST_AFTER_TRAINING)
        run = Run(folder)
        return _write(gathered(run, model.eval(), session.scene or run.scene(), seconds))
    except Exception as error:  # noqa: BLE001 the training is finished and saved: a page must not take that away
        said = " ".join(str(error).split()) or type(error).__name__
        console.warn(f"no {FILE} is written ({said}); the run is whole. Try `neus report {folder}`.")
        return None


def gathered(run: Run, model: Model, scene: Scene, seconds: float) -> RunGathered:
    """Everything that the report of a run shows.

    Args:
        run: the run.
        model: its newest, in evaluation mode.
        scene: all views.
        seconds: for rendering the views and extracting a mesh, if there is none.
    """
    started, folder = time.monotonic(), run.path
    facts, config, checkpoint = run.folder.facts(), run.folder.config(), run.checkpoint
    known = (facts["scene"], config.dataset.data_dir, scene.source or "", Path(folder).resolve())
    candidates = run.held_out(scene) if facts["held_out_views"] else list(range(len(scene)))
    views = fitting_sheet(model, scene, candidates, VIEWS_FRACTION * seconds, config.train.mask_weight > 0)
    mesh, no_mesh = mesh_to_show(folder, model, MESH_FRACTION * seconds)
    shown = None if mesh is None else shown_mesh(
        mesh, scene, without_folders(no_mesh, *known) or "mesh.ply", None if no_mesh else written_seen(run.mesh_path())
    )
    metrics = folder / "metrics.jsonl"
    return RunGathered(
        folder=folder,
        facts=_without_folders(facts, known),
        config=_without_folders(config, known),
        iteration=iteration_of(checkpoint),
        sessions=[_without_folders(session, known) for session in read_sessions(folder)],
        metrics=read_metrics(metrics) if metrics.is_file() else [],
        evaluation=read_evaluation(folder, checkpoint.name),
        views=views,
        mesh=shown,
        no_mesh=without_folders(no_mesh, *known),
        world_per_scene=scale_of(scene.scene_to_world),
        seconds=time.monotonic() - started,
    )


def _without_folders(content: Any, known: Sequence[Path | str]) -> Any:
    """The same with all text as others may see it, to whom it is nobody's business where things lie."""
    if isinstance(content, str):
        return without_folders(content, *known)
    if isinstance(content, dict):
        return {key: _without_folders(value, known) for key, value in content.items()}
    if isinstance(content, list):
        return [_without_folders(value, known) for value in content]
    if is_dataclass(content):
        return replace(content, **{f.name: _without_folders(getattr(content, f.name), known) for f in fields(content)})
    return content


def mesh_to_show(folder: Path, model: Model, seconds: float) -> tuple[trimesh.Trimesh | None, str]:
    """The newest mesh of a run, or else a quick mesh of the model if that fits in the time; and what there is to say of it.

    Returns:
        The mesh in world units or None, and a remark: empty for a mesh of the run.
    """
    try:
        path = mesh_of_run(folder)
    except InputError:
        path = None
    if path is not None:
        mesh = trimesh.load(path, process=False)
        if isinstance(mesh, trimesh.Trimesh) and len(mesh.faces):
            return mesh, ""
        return None, f"{path.name} holds no faces; `neus mesh {folder}` extracts it anew"
    cost = measured_mesh_cost(model, seconds)
    resolution = cost.resolution_within(seconds, FINEST_QUICK_MESH)
    if cost.seconds(resolution) > 2 * seconds:
        return None, f"no mesh yet; one of {resolution}^3 would take {duration(cost.seconds(resolution))}"
    try:
        mesh = surface_mesh(model, resolution)
    except InputError as error:
        return None, f"no mesh: {error}"
    return in_world(
        mesh, model.scene_to_world
    ), f"extracted for this page at {resolution}^3; `neus mesh` makes a finer one"


def shown_mesh(
    mesh: trimesh.Trimesh, scene: Scene, origin: str, seen: dict[str, Any] | None = None
) -> MeshShown:
    """Measures and images of a mesh in world units."""
    return MeshShown(mesh, mesh_facts(mesh), six_sides(mesh, *onlooker(scene)), origin, seen)


def onlooker(scene: Scene) -> tuple[NDArray, NDArray]:
    """Up, and from the object to where most cameras are, (3,) each, along world axes."""
    cameras = [scene.camera(v) for v in range(len(scene))]
    rotation = np.asarray(scene.scene_to_world[:3, :3]) / scale_of(scene.scene_to_world)
    front = np.mean([np.asarray(camera.center) for camera in cameras], axis=0)
    return rotation @ np.asarray(scene.vertical()), rotation @ front


def _write(run: RunGathered) -> Path:
    title = f"{Path(run.facts['scene']).name}: {run.folder.resolve().name}"
    last = run.sessions[-1] if run.sessions else {}
    when = f", {last['began'][:16].replace('T', ' ')} UTC" if "began" in last else ""
    path = run.folder / FILE
    with written_whole(path) as beside:
        beside.write_text(page(title, f"NeuS training report{when}", report_sections(run)), encoding="utf-8")
    return path
