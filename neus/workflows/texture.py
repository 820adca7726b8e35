"""A mesh, or that of a run, and the images of its scene to a textured model in a file."""

import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import trimesh
from scipy.spatial import cKDTree

from neus.errors import InputError
from neus.evaluation.files import read_mesh
from neus.evaluation.images import affine_to, image_at, mask_at, psnr
from neus.files import check_can_write
from neus.geometry.poses import invert
from neus.geometry.similarity import similarity
from neus.meshing.files import in_world
from neus.meshing.simplify import simplified
from neus.runs.console import QUIET, Console
from neus.runs.run import Run, in_known_region
from neus.scenes.memory import sizes_in_words
from neus.scenes.readers import DatasetConfig, read_scene
from neus.scenes.scene import Scene, split_views
from neus.texturing.atlas import SIZES
from neus.texturing.charts import has_xatlas
from neus.texturing.drawn import drawn, drawn_vertices
from neus.texturing.files import SUFFIXES, write_textured
from neus.texturing.texture import USUAL_SIZE, TextureFacts, made_texture
from neus.texturing.textured_glb import MATERIALS
from neus.texturing.textured_mesh import TexturedMesh
from neus.texturing.textured_usdz import check_has_usd

# Below this viewers on telephones stay smooth, and what is finer is in the texture.
FACES = 200_000
# Without held-out views so many are compared, evenly taken; at most so wide and high.
MOST_COMPARED, LONGEST_SIDE = 8, 1600
# Metres of the units that a world may have.
UNITS = {"m": 1.0, "cm": 0.01, "mm": 0.001}


@dataclass(frozen=True)
class Difference:
    """How far images drawn of the model are from the scene's, over what it covers (within the masks where there are any), without the
    outermost pixel, in which images mix the object with what lies behind it.

    Attributes:
        n_views: compared.
        held_out: whether these gave the texture no colour.
        levels: mean absolute difference, of 255.
        psnr: dB, the mean over the views.
        psnr_affine: the same after the gain and offset of each view and channel that fit best: without its exposure.
        levels_of_vertices, psnr_of_vertices, psnr_affine_of_vertices: the same of the mesh with colours at its vertices.
    """

    n_views: int
    held_out: bool
    levels: float
    psnr: float
    psnr_affine: float
    levels_of_vertices: float
    psnr_of_vertices: float
    psnr_affine_of_vertices: float


@dataclass(frozen=True)
class TextureResult:
    """What `texture_mesh` made.

    Attributes:
        path: of the model.
        n_faces: of its mesh.
        facts: charts, utilization, size, seconds by stage.
        difference: to the images; None if the mesh lies in none of them.
        model: the textured mesh, in world units.
        seconds: in all.
    """

    path: Path
    n_faces: int
    facts: TextureFacts
    difference: Difference | None
    model: TexturedMesh
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers, for JSON."""
        numbers = {name: getattr(self, name) for name in ("n_faces", "seconds")} | {"path": str(self.path)}
        return numbers | asdict(self.facts) | {"difference": None if self.difference is None else asdict(self.difference)}


def texture_mesh(
    source: str | Path | trimesh.Trimesh,
    scene: str | Path | Scene | None,
    out: str | Path,
    faces: int | None = FACES,
    size: int = USUAL_SIZE,
    material: str = "unlit",
    unit: str | None = None,
    level_exposure: bool = True,
    holdout: int = 0,
    console: Console = QUIET,
) -> TextureResult:
    """Writes a textured model of a mesh and returns it with what was measured.

    Args:
        source: a run, whose newest mesh is taken, a mesh file, or a mesh, in world units.
        scene: folder of the scene, or the scene itself (read without downscale); None for that of a run.
        out: .glb, .obj (with .mtl and .jpg beside it), .usdz, or with colours at the vertices .ply or .stl (without any).
        faces: simplify to about so many triangles first; None keeps all.
        size: side of the texture at most, one of 1024, 2048, 4096, 8192; it is smaller where the images show no more.
        material: `unlit`, or `pbr` for a matte one that viewers light as well.
        unit: of the world, `m`, `cm` or `mm`; GLB and USDZ are then in metres. None: unknown, and numbers stay as they are.
        level_exposure: bring views to one exposure and white balance first.
        holdout: every so many-th view gives no colour and is compared; 0: those that the run held out, or none.
        console: where messages and progress go.

    Raises:
        InputError: no mesh, no scene, a file that cannot be written, an unknown format, size, material or unit.
    """
    out, started = Path(out), time.monotonic()
    _check(out, size, material, unit)
    mesh, scene, held_out = _mesh_and_scene(source, scene, holdout)
    console.message(f"images: {len(scene)} of {sizes_in_words(scene.sizes)} pixels, {len(held_out)} of them held out")
    if not has_xatlas():
        console.warn("xatlas is not installed (pip install xatlas), so the mesh is laid out by main directions: more seams")
    simple = _simplified(mesh, faces)
    training = [view for view in range(len(scene)) if view not in set(held_out)]
    with console.bar("texture", " views") as progress:
        model, facts = made_texture(simple, scene.subset(training), size, level_exposure, on_progress=progress)
    with facts.stage("difference"):
        difference = difference_to_images(model, simple, scene, held_out)
    in_the_world = model.transformed(scene.scene_to_world.double().numpy())
    with facts.stage("writing"):
        up = scene.scene_to_world[:3, :3].numpy() @ scene.vertical().numpy()
        write_textured(in_the_world, out, material, up, None if unit is None else UNITS[unit])
    result = TextureResult(out, len(model.faces), facts, difference, in_the_world, round(time.monotonic() - started, 2))
    for line in lines_about(result):
        console.message(line)
    return result


def difference_to_images(model: TexturedMesh, mesh: trimesh.Trimesh, scene: Scene, held_out: list[int]) -> Difference | None:
    """How far a model and a mesh with colours at its vertices are from the images of a scene, in its frame.

    Args:
        model: textured.
        mesh: whose vertex colours are compared; those of the model where it has none.
        scene: with the views.
        held_out: views that are compared; if there are none, MOST_COMPARED of all.
    """
    views = held_out or np.unique(np.linspace(0, len(scene) - 1, min(MOST_COMPARED, len(scene))).round().astype(int)).tolist()
    colored = mesh if mesh.visual.kind == "vertex" else model.surface
    rows = []
    for view in views:
        camera = scene.camera(view)
        camera = camera.scaled(min(1.0, LONGEST_SIDE / max(camera.width, camera.height)))
        image = image_at(scene.images[view], camera.width, camera.height)
        textured, covers = drawn(model, camera)
        if scene.masks is not None:
            covers = covers & mask_at(scene.masks[view], camera.width, camera.height)
        # Beyond the image lies nothing: what reaches its border is not eroded there.
        covers = cv2.erode(covers.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)
        if not covers.any():
            continue
        row = []
        for found in (textured, drawn_vertices(colored, camera)[0]):
            found = found.astype(np.float32) / 255.0
            row += [255.0 * float(np.abs(found - image)[covers].mean()), psnr(found, image, covers)]
            row.append(psnr(np.clip(affine_to(found, image, covers), 0.0, 1.0), image, covers))
        rows.append(row)
    if not rows:
        return None
    return Difference(len(rows), bool(held_out), *np.mean(rows, axis=0).tolist())


def lines_about(result: TextureResult) -> list[str]:
    """What a user is told of a model."""
    facts, difference = result.facts, result.difference
    boxed = f" ({facts.n_boxed} faces laid out by main directions)" if facts.n_boxed else ""
    lines = [
        f"texture: {facts.size}x{facts.size} texels, {facts.n_charts} charts{boxed}, {100 * facts.utilization:.0f} % used; "
        f"{100 * facts.fraction_seen:.0f} % of the surface seen, the rest continued from there; "
        f"{100 * facts.fraction_rejected:.1f} % of the colours left out as outliers",
        "seconds: " + ", ".join(f"{name} {seconds:.1f}" for name, seconds in facts.seconds.items()),
    ]
    if difference is None:
        return [*lines, "difference to the images: the mesh lies in none of them; are mesh and scene of one world?"]
    kind = "held-out images" if difference.held_out else "images that it was made of"
    lines.append(
        f"difference to {difference.n_views} {kind}: {difference.levels:.1f} of 255 levels, {difference.psnr:.2f} dB "
        f"({difference.psnr_affine:.2f} without their exposures); with colours at the vertices {difference.levels_of_vertices:.1f}, "
        f"{difference.psnr_of_vertices:.2f} dB ({difference.psnr_affine_of_vertices:.2f})"
    )
    return lines


def _check(out: Path, size: int, material: str, unit: str | None) -> None:
    if out.suffix.lower() not in SUFFIXES:
        raise InputError(f"--out {out}: unknown format of a textured model; name the file {', '.join(SUFFIXES)}.")
    if size not in SIZES:
        raise InputError(f"--size {size}: expected one of {', '.join(map(str, SIZES))}.")
    if material not in MATERIALS:
        raise InputError(f"--material {material}: expected one of {', '.join(MATERIALS)}.")
    if unit is not None and unit not in UNITS:
        raise InputError(f"--unit {unit}: expected one of {', '.join(UNITS)}.")
    if out.suffix.lower() == ".usdz":
        check_has_usd()
    check_can_write(out)


def _mesh_and_scene(
    source: str | Path | trimesh.Trimesh, scene: str | Path | Scene | None, holdout: int
) -> tuple[trimesh.Trimesh, Scene, list[int]]:
    """The mesh in the scene's frame, the scene, and the views that are held out."""
    held_out: list[int] = []
    if not isinstance(source, trimesh.Trimesh) and not _is_mesh_file(Path(source)):
        data = scene if isinstance(scene, str | Path) else None
        run = Run(source, data, overrides=["dataset.downscale=1"])
        mesh, scene = read_mesh(run.mesh_path()), scene if isinstance(scene, Scene) else run.scene()
        known = run.facts.get("held_out_views") if run.is_own else None
        held_out = run.held_out(scene) if known and not holdout else []
    else:
        mesh = source if isinstance(source, trimesh.Trimesh) else read_mesh(Path(source))
        if scene is None:
            raise InputError(f"{source}: a mesh does not know its scene; give the folder with --data.")
        scene = scene if isinstance(scene, Scene) else _scene_around(Path(scene), mesh)
    if holdout:
        held_out = split_views(len(scene), holdout)[1]
    if not len(mesh.faces):
        raise InputError(f"{source}: no faces, expected a mesh; extract it again.")
    return in_world(mesh, invert(scene.scene_to_world)), scene, held_out


def _is_mesh_file(path: Path) -> bool:
    return path.suffix.lower() != ".pth" and not path.is_dir()


def _scene_around(folder: Path, mesh: trimesh.Trimesh) -> Scene:
    """The scene in a folder, at full size, with the mesh (world) for its region of interest."""
    low, high = mesh.bounds
    radius = max(float(np.linalg.norm(high - low)) / 2, 1e-9)
    dataset = in_known_region(DatasetConfig(downscale=1), folder, similarity(radius, torch.from_numpy((low + high) / 2)))
    return read_scene(folder, replace(dataset, data_dir=str(folder)), lazy=True)


def _simplified(mesh: trimesh.Trimesh, faces: int | None) -> trimesh.Trimesh:
    """The mesh with about so many faces, and the colours of the nearest vertices of what it was."""
    few = mesh if faces is None else simplified(mesh, faces)
    if few is not mesh and mesh.visual.kind == "vertex":
        nearest = cKDTree(np.asarray(mesh.vertices)).query(np.asarray(few.vertices))[1]
        few.visual.vertex_colors = np.asarray(mesh.visual.vertex_colors)[nearest]
    return few
