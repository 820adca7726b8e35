"""The built-in scene from images to mesh, and the result beside its exact truth."""

import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import trimesh

from neus.errors import InputError
from neus.evaluation.files import read_mesh
from neus.evaluation.surface import SurfaceScores, surface_scores
from neus.files import write_json, written_whole
from neus.geometry.similarity import transform_points
from neus.meshing.clean import largest_component
from neus.meshing.measures import mesh_facts
from neus.rendering.paths import orbit
from neus.reports.truth_image import comparison_image
from neus.runs.console import QUIET, Console
from neus.runs.presets import shipped_conf
from neus.runs.videos import write_frames
from neus.scenes.images import write_image
from neus.scenes.scene import Scene
from neus.scenes.synthetic import MILLIMETRES_PER_UNIT, world_sdf, write_synthetic
from neus.workflows.jobs import new_job
from neus.workflows.train import run_job

# Marks a folder that an earlier demo made; any other is left alone.
MARKER = "made_by_demo.txt"
# Small images, a small and short video: all is made on a CPU in minutes.
VIEWS, WIDTH, HEIGHT = 48, 320, 240
ORBIT_FRAMES, ORBIT_SCALE = 16, 0.4
# From reading the images to mesh and report; the images, the comparison and the orbit take about half a minute more.
MINUTES = 2.1
# Thresholds of the F-score, as fractions of the object's radius.
F_SCORE_AT = (0.005, 0.01)


@dataclass(frozen=True)
class DemoResult:
    """What the demo measured.

    Attributes:
        chamfer_mm: mean distance between mesh and exact surface, both ways, in millimetres.
        radius_mm: of the scene's unit sphere.
        scores: all distances, millimetres.
        is_watertight: whether the mesh is closed.
        n_components: pieces of the mesh.
        seconds: of each stage.
    """

    chamfer_mm: float
    radius_mm: float
    scores: SurfaceScores
    is_watertight: bool
    n_components: int
    seconds: dict[str, float]

    def as_dict(self) -> dict:
        """Plain numbers, for JSON."""
        return asdict(self)


def run_demo(
    out: Path,
    conf: Path | None = None,
    overrides: Sequence[str] = (),
    seed: int = 0,
    device: str = "auto",
    command: str = "",
    console: Console = QUIET,
) -> DemoResult | None:
    """Makes OUT/scene, OUT/run, OUT/mesh.ply, OUT/orbit.mp4, OUT/demo.png and OUT/demo.json.

    Args:
        out: a new or empty folder, or one of an earlier demo, which is replaced.
        config: config; None takes demo.conf.
        overrides: `section.key=value` each.
        seed: of everything random.
        device: as `--device`.
        command: for the record.
        console: where messages and progress go.

    Returns:
        What was measured, or None if the training was stopped.

    Raises:
        InputError: a folder that holds something else or cannot be written, or no surface was found.
    """
    _claim(out)
    folder, started = out / "scene", time.monotonic()
    console.message(f"rendering the built-in scene to {folder}")
    shutil.rmtree(folder, ignore_errors=True)
    write_synthetic(folder, VIEWS, WIDTH, HEIGHT)
    rendering = time.monotonic() - started
    job = new_job(
        folder,
        time.monotonic(),
        conf=conf or shipped_conf("demo.conf"),
        run=out / "run",
        overrides=overrides,
        seed=seed,
        minutes=MINUTES,
        command=command,
    )
    console.message(f"training on {folder}")
    trained = run_job(job, overwrite=True, device=device, console=console)
    if trained.trainer.stopped:
        return None
    if trained.mesh is None:
        raise InputError(f"{out}: the training has left no mesh to compare; see the warning above.")
    session, model, scene = job.session, trained.trainer.model, job.session.scene
    mesh = read_mesh(trained.mesh)
    with written_whole(out / "mesh.ply") as beside:
        shutil.copyfile(trained.mesh, beside)
    console.message("comparing with the exact surface")
    with session.stage("comparison"):
        scores = compare_with_truth(largest_component(mesh), scene)
        write_image(out / "demo.png", comparison_image(model, scene))
    console.message(f"rendering {out / 'orbit.mp4'}")
    with session.stage("orbit"), console.bar("orbit", " frames") as progress:
        cameras = orbit([scene.camera(v).scaled(ORBIT_SCALE) for v in range(len(scene))], ORBIT_FRAMES)
        write_frames(model, cameras, ["rgb", "normal"], out / "orbit.mp4", progress)
    seconds = {"rendering the images": round(rendering, 3), **session.record["seconds"]}
    shape = mesh_facts(mesh)
    result = DemoResult(scores.chamfer, MILLIMETRES_PER_UNIT, scores, shape.is_watertight, shape.components, seconds)
    write_json(out / "demo.json", result.as_dict())
    return result


def compare_with_truth(mesh_in_world: trimesh.Trimesh, scene: Scene) -> SurfaceScores:
    """Distances between a mesh and the exact surface of the built-in scene, in millimetres."""
    box = transform_points(scene.scene_to_world, scene.box)
    thresholds = [fraction * MILLIMETRES_PER_UNIT for fraction in F_SCORE_AT]
    return surface_scores(mesh_in_world, world_sdf, thresholds, n_samples=50_000, box=box, resolution=192)


def _claim(out: Path) -> None:
    """Marks the folder as the demo's, unless it holds something else."""
    if out.exists() and not out.is_dir():
        raise InputError(f"--out {out}: is a file, expected a folder.")
    if out.exists() and any(out.iterdir()) and not (out / MARKER).is_file():
        raise InputError(f"--out {out}: holds files that are not an earlier demo's; choose another folder.")
    with written_whole(out / MARKER) as beside:
        beside.write_text(
            "Everything in this folder is made by `neus demo` and replaced by the next one.\n", encoding="utf-8"
        )
