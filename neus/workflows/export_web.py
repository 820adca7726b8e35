"""The page of a mesh: light enough to be mailed, with the cameras of its scene, upright."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import trimesh
from numpy.typing import NDArray
from torch import Tensor

from neus.errors import InputError
from neus.evaluation.files import read_mesh
from neus.files import check_can_write, written_whole
from neus.geometry.cameras import Camera
from neus.geometry.similarity import scale_of, transform_points
from neus.meshing.color_transfer import glb_vertex_colors, texture_of, transferred_colors, vertex_colors_of
from neus.meshing.files import written_frame_name
from neus.meshing.glb import written_frame
from neus.meshing.simplify import simplified
from neus.reports.mesh_page import mesh_page
from neus.reports.report import onlooker
from neus.runs.console import QUIET, Console
from neus.runs.load import load_scene
from neus.runs.run import Run
from neus.scenes.scene import Scene
from neus.workflows.mesh import AXES

# What mail servers still let through: 20 MB and more, a third of which the encoding of attachments takes.
LARGEST_PAGE = 15_000_000
# Two or three MB, and phones turn it at full rate.
TARGET_FACES = 200_000
# A page that is too large loses faces in proportion, and a little more since textures and stills stay what they are.
SHRINK, MAX_ROUNDS = 0.85, 6
# The length of a frustum, as a part of the median distance between cameras and the mesh.
FRUSTUM = 0.08
# A mesh belongs to a scene if it is within so many radii of its region, and no smaller than this part of the radius.
FARTHEST, SMALLEST = 3.0, 0.02


@dataclass(frozen=True)
class ShownMesh:
    """A mesh in world units, and what is known of its surroundings.

    Attributes:
        mesh: as in its file.
        title: plain text.
        scene: whose cameras are shown, or None.
        up, front: (3,) the vertical and the direction to an onlooker along the mesh's axes, or None.
    """

    mesh: trimesh.Trimesh
    title: str
    scene: Scene | None = None
    up: NDArray | None = None
    front: NDArray | None = None


def export_web(
    source: str | Path,
    out: str | Path,
    faces: int | None = None,
    data: str | Path | None = None,
    up: str = "auto",
    console: Console = QUIET,
) -> Path:
    """Writes one offline HTML page that shows a mesh, and returns its path; what became of the mesh goes to the console.

    Args:
        source: a run folder, whose mesh is taken, or a mesh file.
        out: ends in .html or .htm.
        faces: about how many triangles the page holds; None takes TARGET_FACES, fewer where the page would exceed LARGEST_PAGE.
        data: the scene, whose cameras are shown: of a mesh file, or where a run's has moved.
        up: the vertical of the world, which the page has upwards: `auto`, or one of `neus.workflows.mesh.AXES`.
        console: where messages go.

    Raises:
        InputError: no mesh, a page that cannot be written, or one that is too large with so many faces.
    """
    out = Path(out)
    if out.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"--out {out}: expected a page ending in .html.")
    if up != "auto" and up not in AXES:
        raise InputError(f"--up {up}: expected auto or one of {', '.join(AXES)}.")
    check_can_write(out)
    shown = read_shown(Path(source), None if data is None else Path(data), console)
    vertical = shown.up if up == "auto" else np.asarray(AXES[up], np.float64)
    if vertical is None:
        console.message("the vertical is not known, so the page shows +Y upwards; give --up")
    target = faces or TARGET_FACES
    for _ in range(MAX_ROUNDS):
        mesh = light_mesh(shown.mesh, target)
        text = _page(shown, mesh, vertical).encode()
        if len(text) <= LARGEST_PAGE:
            break
        if faces is not None:
            raise InputError(
                f"{out}: {len(text) / 1e6:.1f} MB with {len(mesh.faces)} faces, expected at most {LARGEST_PAGE / 1e6:.0f}; "
                f"lower --faces {faces}."
            )
        target = int(len(mesh.faces) * SHRINK * LARGEST_PAGE / len(text))
    else:
        raise InputError(f"{out}: {len(text) / 1e6:.1f} MB even with {len(mesh.faces)} faces; give a smaller texture.")
    with written_whole(out) as beside:
        beside.write_bytes(text)
    if len(mesh.faces) < len(shown.mesh.faces):
        baked = ", its texture to vertex colours" if texture_of(shown.mesh) and not texture_of(mesh) else ""
        console.message(f"simplified from {len(shown.mesh.faces)} to {len(mesh.faces)} faces{baked}")
    cameras = 0 if shown.scene is None else len(shown.scene)
    console.message(f"{len(mesh.faces)} faces, {cameras} cameras, {len(text) / 1e6:.2f} MB")
    return out


def read_shown(source: Path, data: Path | None = None, console: Console = QUIET) -> ShownMesh:
    """The mesh of a run or a file with its colours, and its scene where that can be read.

    Raises:
        InputError: no mesh, one in the scene frame whose cameras would be elsewhere, or a scene that was given and cannot be read.
    """
    if source.is_dir():
        return _of_run(Run(source, data), data is not None, console)
    mesh = read_colored(source)
    if data is None:
        up = written_frame(source) @ (0.0, 1.0, 0.0) if source.suffix.lower() == ".glb" else None
        return ShownMesh(mesh, source.stem, up=up)
    if written_frame_name(source) == "scene":
        raise InputError(f"{source}: is in the scene frame, the cameras of {data} are in the world; give a mesh in world units.")
    scene = load_scene(data)
    _check_units(mesh, source, scene, data)
    return ShownMesh(mesh, source.stem, scene, *onlooker(scene))


def read_colored(path: Path) -> trimesh.Trimesh:
    """The mesh in a file with its texture or sRGB vertex colours; raises as `read_mesh`."""
    mesh = read_mesh(path)
    if path.suffix.lower() == ".glb" and texture_of(mesh) is None:
        colors = glb_vertex_colors(str(path), len(mesh.vertices))
        mesh = _painted(trimesh.Trimesh(mesh.vertices, mesh.faces, process=False), colors)
    return mesh


def light_mesh(mesh: trimesh.Trimesh, target_faces: int) -> trimesh.Trimesh:
    """The mesh itself, or one of about so many faces with its colours; a texture becomes vertex colours when it is simplified."""
    if len(mesh.faces) <= target_faces:
        return mesh
    colors, vertices = vertex_colors_of(mesh), mesh.vertices.view(np.ndarray)
    if texture_of(mesh):  # seams part what is one surface
        joined = mesh.copy()
        joined.merge_vertices(merge_tex=True, merge_norm=True)
        mesh = trimesh.Trimesh(joined.vertices, joined.faces, process=False)
    few = simplified(mesh, target_faces)
    return _painted(few, None if colors is None else transferred_colors(vertices, colors, few.vertices.view(np.ndarray)))


def world_frusta(cameras: list[Camera], scene_to_world: Tensor, length: float) -> NDArray:
    """(C, 5, 3) of cameras in the scene frame: centre and the corners of the image at a depth `length`, all in world units."""
    frusta = []
    for camera in cameras:
        placed = camera.in_world(scene_to_world)
        corners = np.array([[0, 0, 1], [camera.width, 0, 1], [camera.width, camera.height, 1], [0, camera.height, 1]], np.float64)
        rays = corners @ np.linalg.inv(placed.intrinsics.double().numpy()).T
        pose = placed.camera_to_world.double().numpy()
        frusta.append(np.concatenate([[[0.0, 0.0, 0.0]], length * rays]) @ pose[:3, :3].T + pose[:3, 3])
    return np.array(frusta).reshape(-1, 5, 3)


def _of_run(run: Run, is_given: bool, console: Console) -> ShownMesh:
    mesh = read_colored(run.mesh_path())
    title = run.path.resolve().name
    try:
        scene = run.scene()
    except InputError as error:
        if is_given:
            raise
        console.message(f"cameras are not shown ({error})")
        return ShownMesh(mesh, title)
    return ShownMesh(mesh, title, scene, *onlooker(scene))


def _check_units(mesh: trimesh.Trimesh, source: Path, scene: Scene, data: Path) -> None:
    """InputError if a mesh is nowhere near the scene's region of interest, or a speck in it: in metres where cameras are in millimetres."""
    low, high = mesh.bounds
    center, radius = scene.scene_to_world[:3, 3].numpy(), scale_of(scene.scene_to_world)
    distance, size = float(np.linalg.norm((low + high) / 2 - center)), float(np.linalg.norm(high - low)) / 2
    if distance > FARTHEST * radius + size or size < SMALLEST * radius:
        raise InputError(
            f"{source}: a mesh of size {2 * size:.4g}, {distance:.4g} from the centre of {data}, whose region has a radius of "
            f"{radius:.4g}: it is in another unit or frame; give the mesh in the world of that scene, or omit --data."
        )


def _painted(mesh: trimesh.Trimesh, colors: NDArray | None) -> trimesh.Trimesh:
    if colors is not None:
        mesh.visual.vertex_colors = np.column_stack([colors, np.full(len(colors), 255, np.uint8)])
    return mesh


def _page(shown: ShownMesh, mesh: trimesh.Trimesh, up: NDArray | None) -> str:
    low, high = mesh.bounds
    frusta, metres = None, None
    if shown.scene is not None:
        cameras = [shown.scene.camera(view) for view in range(len(shown.scene))]
        metres = shown.scene.metres
        centers = transform_points(shown.scene.scene_to_world, torch.stack([camera.center for camera in cameras])).numpy()
        distance = float(np.median(np.linalg.norm(centers - (low + high) / 2, axis=1)))
        frusta = world_frusta(cameras, shown.scene.scene_to_world, FRUSTUM * distance)
    size = " x ".join(f"{side:.4g}" for side in high - low)
    facts = [(f"{len(mesh.faces):,}", "triangles"), (size, "size in world units")]
    facts += [(str(len(frusta)), "cameras")] if frusta is not None else []
    subtitle = f"{len(shown.mesh.faces):,} triangles in the original" if len(mesh.faces) < len(shown.mesh.faces) else "as extracted"
    return mesh_page(mesh, shown.title, subtitle, up, shown.front, frusta, metres, facts)
