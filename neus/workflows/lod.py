"""Levels of detail from start to end: baked from a run, a mesh or a synthetic shape; measured, rendered and meshed from a file."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from trimesh import Trimesh

from neus.errors import InputError
from neus.files import check_can_write
from neus.geometry.cameras import Camera
from neus.geometry.similarity import scale_of
from neus.lod.distill import DistillConfig, distilled
from neus.lod.field import LodSdf
from neus.lod.file import read_lod, write_lod
from neus.lod.mesh_distance import teacher_from_mesh
from neus.lod.renderer import LodRenderer
from neus.lod.teacher import Teacher
from neus.lod.walk import LodWalk
from neus.meshing.color import color_vertices
from neus.meshing.extract import extract_mesh
from neus.meshing.files import SUFFIXES, write_mesh
from neus.rendering.model import Model
from neus.rendering.paths import orbit
from neus.rendering.queries import fastest_sdf
from neus.rendering.views import normal_image, render_view, rgb_image
from neus.runs.build import pick_device
from neus.runs.console import QUIET, Console
from neus.runs.run import Run

SYNTHETIC = "synthetic:"
# Images are taken from here, scene units; at this angle of view the unit sphere fills them.
EYE, FIELD_OF_VIEW = (2.3, -1.5, 1.5), 40.0
ORBIT_FRAMES = 12
QUERIES = 200_000
SHADINGS = ("lambert", "color", "normal")
# Newton's steps to the surface of a run, whose distances are close to true.
NEWTON_STEPS = 2


@dataclass(frozen=True)
class LevelMeasure:
    """One level, measured on this machine.

    Attributes:
        level, cells, corners: number, cells along each side, corners stored.
        error: mean distance error within 0.05 of the surface, scene units; NaN if it is not known.
        slope: the greatest one.
        points_per_second, frames_per_second: distances, and whole images.
    """

    level: int
    cells: int
    corners: int
    error: float
    slope: float
    points_per_second: float
    frames_per_second: float


def bake_levels(
    source: str | Path,
    out: Path,
    config: DistillConfig | None = None,
    color: bool = False,
    device: str = "auto",
    console: Console = QUIET,
) -> LodSdf:
    """Distils a source and writes the levels to a file; one line for each level goes to the console.

    Args:
        source: run folder or checkpoint, closed mesh, or `synthetic:SHAPE`.
        out: the file.
        config: levels, channels and steps; None is the default.
        color: bake colours too: those of the run seen along its normals, or of the mesh's vertices.
        device: as `--device`.
        console: where messages and progress go.

    Raises:
        InputError: a source that cannot be read, has no surface, or no colours though some are wanted; or a file that cannot be written.
    """
    check_can_write(out)
    # MPS has no gradients of weighted bags of rows; the source is evaluated there all the same.
    place = pick_device(device)
    place = place if place.type == "cuda" else torch.device("cpu")
    teacher = teacher_of(source, device)
    started = time.monotonic()
    with console.bar("levels", " steps") as progress:
        field = distilled(teacher, config or DistillConfig(), color, place, progress)
    console.message(f"distilled {teacher.name} in {time.monotonic() - started:.1f} s; errors within 0.05 of the surface, scene units:")
    for level, lattice in enumerate(field.lattices):
        console.message(
            f"level {level}: {lattice.cells} cells a side, {len(lattice.codes)} corners, mean error {float(field.errors[level]):.2g}, "
            f"slope {float(field.slopes[level]):.2f}"
        )
    write_lod(field, out)
    kind = "shape and colour" if color else "shape only"
    console.message(f"{kind}, {out.stat().st_size / 1e6:.2f} MB")
    return field


def teacher_of(source: str | Path, device: str = "auto") -> Teacher:
    """What is distilled: a run (`Model`), a mesh, or a synthetic shape; raises as `bake_levels`."""
    text = str(source)
    if text.startswith(SYNTHETIC):
        return _teacher_of_shape(text)
    path = Path(source)
    if not path.exists():
        raise InputError(f"{path}: no such run, mesh or checkpoint; give one, or {SYNTHETIC}cup for a built-in shape.")
    if path.is_file() and path.suffix.lower() not in (".pth", ".pt"):
        from neus.evaluation.files import read_mesh

        return teacher_from_mesh(read_mesh(path), path.name)
    return teacher_of_model(Run(path).model(device), path.name)


def teacher_of_model(model: Model, name: str = "model") -> Teacher:
    """A trained model within the unit sphere, where it is cut off and closed; its correction of distances is included."""
    distances, correction = fastest_sdf(model), model.correction

    def surface(points: Tensor) -> Tensor:
        return distances(points) + (0.0 if correction is None else correction(points))

    def sdf(points: Tensor) -> Tensor:
        return torch.maximum(surface(points), points.norm(dim=-1) - 1.0)

    def color(points: Tensor) -> Tensor:
        for _ in range(NEWTON_STEPS):
            slopes = model.gradient(points)
            squared = slopes.square().sum(-1, keepdim=True).clamp_min(1e-3)
            points = points - (surface(points).unsqueeze(-1) * slopes / squared).clamp(-1.0, 1.0)
        return model.surface_color(points, torch.nn.functional.normalize(model.gradient(points), dim=-1))

    world = torch.eye(4) if model.scene_to_world is None else model.scene_to_world
    return Teacher(sdf, color, world.cpu().double(), model.device, name)


def bench_levels(
    path: Path, width: int = 320, height: int = 240, frames: int = ORBIT_FRAMES, console: Console = QUIET
) -> list[LevelMeasure]:
    """Queries and images of every level of a file, timed; a table goes to the console.

    Args:
        path: a file of `bake_levels`, or a published .pth.
        width, height: of the images, pixels.
        frames: images of one round about the object; one more before them is not timed.
        console: where the table goes.
    """
    field = read_lod(path)
    cameras = orbit([_camera(width, height)], frames, arc_only=False, up=torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64))
    threads = torch.get_num_threads()
    console.message(f"{Path(path).name}: images {width}x{height}, {threads} threads on this machine")
    console.message("level cells  corners  error    slope  Mpoints/s  frames/s")
    points = 2.0 * torch.rand(QUERIES, 3, generator=torch.Generator().manual_seed(0)) - 1.0
    found = []
    for level, lattice in enumerate(field.lattices):
        walk = LodWalk(field, float(level))
        rate = QUERIES / _seconds(lambda walk=walk: walk.sdf(points))
        renderer = LodRenderer(walk)
        render_view(renderer, cameras[0])
        seconds = _seconds(lambda renderer=renderer: [render_view(renderer, camera) for camera in cameras], warm_up=False)
        error, slope = float(field.errors[level]), float(field.slopes[level])
        row = LevelMeasure(level, lattice.cells, len(lattice.codes), error, slope, rate, len(cameras) / seconds)
        console.message(
            f"{level:5d} {row.cells:5d} {row.corners:8d}  {row.error:<8.2g} {slope:5.2f} {rate / 1e6:10.2f} {row.frames_per_second:9.1f}"
        )
        found.append(row)
    return found


def render_levels(
    path: Path, out: Path, level: float | None = None, width: int = 640, height: int = 480, shading: str = "lambert"
) -> Path:
    """Writes an image of a file's surface at a level, the finest if None; raises InputError for another level or shading."""
    from neus.scenes.images import write_image

    if shading not in SHADINGS:
        raise InputError(f"shading {shading!r}: expected one of {', '.join(SHADINGS)}.")
    check_can_write(out)
    field, camera = read_lod(path), _camera(width, height)
    walk = LodWalk(field, field.checked_level(field.finest if level is None else level))
    view = render_view(LodRenderer(walk, "color" if shading == "color" else "lambert"), camera)
    write_image(out, normal_image(view, camera) if shading == "normal" else rgb_image(view))
    return out


def mesh_of_levels(
    field: LodSdf, level: float | None = None, resolution: int = 256, on_progress: Callable[[int, int], None] | None = None
) -> Trimesh:
    """The surface at a level as a mesh in the scene frame, with its colours if there are any; raises as `meshing.extract_mesh`."""
    level = field.checked_level(field.finest if level is None else level)
    walk = LodWalk(field, level)
    box = torch.tensor([[-1.0] * 3, [1.0] * 3])
    mesh = extract_mesh(walk.sdf, box, resolution, gradient=walk.gradients, on_progress=on_progress)
    if not field.layout.has_colors:
        return mesh
    return color_vertices(mesh, lambda points, normals: field.rgb(points, level))


def write_mesh_of_levels(
    path: Path, out: Path, level: float | None = None, resolution: int = 256, console: Console = QUIET
) -> Path:
    """Writes the mesh of a file's surface at a level in the unit of its source; returns its path."""
    if out.suffix.lower() not in SUFFIXES:
        raise InputError(f"--out {out}: unknown mesh format; name the file {', '.join(SUFFIXES)}.")
    check_can_write(out)
    field = read_lod(path)
    with console.bar("mesh", " blocks") as progress:
        mesh = mesh_of_levels(field, level, resolution, progress)
    write_mesh(mesh, out, field.scene_to_world, resolution=resolution, frame="world")
    console.message(f"{len(mesh.vertices)} vertices, {len(mesh.faces)} faces; a scene unit is {scale_of(field.scene_to_world):.4g}")
    return out


def _teacher_of_shape(text: str) -> Teacher:
    from neus.scenes.synthetic_shapes import SHAPES

    name = text.removeprefix(SYNTHETIC)
    if name not in SHAPES:
        raise InputError(f"{text}: no such shape; expected one of {', '.join(SYNTHETIC + known for known in SHAPES)}.")
    return Teacher(SHAPES[name].make().sdf, name=text)


def _camera(width: int, height: int) -> Camera:
    seen = Camera.look_at(eye=EYE, target=(0.0, 0.0, 0.0), fov=FIELD_OF_VIEW, size=(width, height))
    return seen.in_scene(torch.eye(4, dtype=torch.float64))


def _seconds(work: Callable[[], object], warm_up: bool = True) -> float:
    if warm_up:
        work()
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
