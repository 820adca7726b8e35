"""A viewer for a run, a scene or a mesh file."""

import logging
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import trimesh
from PIL import Image
from torch import Tensor
from trimesh.visual import TextureVisuals
from trimesh.visual.material import PBRMaterial

from neus.errors import InputError
from neus.geometry.poses import invert
from neus.geometry.similarity import similarity
from neus.meshing.color_transfer import texture_of
from neus.meshing.files import in_world
from neus.rendering.modes import renderer_for
from neus.runs.console import QUIET, Console
from neus.runs.load import load_scene
from neus.runs.run import Run
from neus.scenes.scene import Scene
from neus.viewer.content import Content
from neus.viewer.guard import LOOPBACK
from neus.viewer.server import Viewer, viser_module
from neus.workflows.export_web import light_mesh, read_colored, read_shown

# As many as a browser turns smoothly beside images and points.
MAX_FACES = 300_000
MESH_SUFFIXES = (".ply", ".obj", ".glb", ".stl")


def view(
    source: str | Path,
    host: str = "127.0.0.1",
    port: int = 8080,
    data: str | Path | None = None,
    mode: str = "auto",
    device: str = "auto",
    console: Console = QUIET,
) -> Viewer:
    """A running viewer; stop it with its `stop`.

    Args:
        source: run folder or checkpoint, scene, or mesh file.
        host: address to listen on; any but the loopback addresses lets others in who know the token, unencrypted.
        port: the first that is tried.
        data: the scene of a run or a mesh file, as in `export_web`.
        mode: how a model is rendered, as in `neus.render`.
        device: as `--device`.
        console: where the address goes.

    Raises:
        InputError: viser is not installed, nothing to show, or an address that cannot be listened on.
    """
    viser_module()
    # A client that sends nonsense is disconnected by an error of its handler, which is logged with all it went through.
    logging.getLogger("websockets.server").setLevel(logging.CRITICAL)
    content = content_of(Path(source), None if data is None else Path(data), mode, device, console)
    viewer = Viewer(content, host, port)
    if host not in LOOPBACK:
        console.warn(
            f"{host}: the viewer can be reached from other machines, guarded by its token but not encrypted; safer is "
            f"`ssh -L {viewer.guard.port}:127.0.0.1:{viewer.guard.port} MACHINE` and the default --host."
        )
    console.message(f"viewer: {viewer.address}")
    return viewer


def wait_for_interrupt(viewer: Viewer) -> None:
    """Serves until Ctrl-C, then stops the viewer."""
    try:
        while True:
            time.sleep(3600.0)
    except KeyboardInterrupt:
        pass
    finally:
        viewer.stop()


def content_of(source: Path, data: Path | None = None, mode: str = "auto", device: str = "auto", console: Console = QUIET) -> Content:
    """What is shown of a run, a scene or a mesh file; messages say what is missing.

    Raises:
        InputError: nothing of the kind is there.
    """
    if source.is_file() and source.suffix.lower() in MESH_SUFFIXES:
        shown = read_shown(source, data, console)
        frame = _frame_around(shown.mesh) if shown.scene is None else shown.scene.scene_to_world
        up = np.array([0.0, 1.0, 0.0]) if shown.up is None else shown.up
        return Content(shown.title, frame, shown.scene, _in_scene(shown.mesh, frame), up=_along(up, frame))
    if (source.is_file() and source.suffix == ".pth") or (source / "checkpoints").is_dir():
        return _of_run(Run(source, data), mode, device, console)
    scene = load_scene(source)
    return Content(source.resolve().name, scene.scene_to_world, scene, up=scene.vertical().numpy())


def _of_run(run: Run, mode: str, device: str, console: Console) -> Content:
    model = run.model(device)
    try:
        scene = run.scene()
    except InputError as error:
        console.message(f"cameras and images are not shown ({error})")
        scene = None
    if model.scene_to_world is None and scene is not None:
        model.scene_to_world, model.box = scene.scene_to_world, scene.box
    frame = torch.eye(4, dtype=torch.float64) if model.scene_to_world is None else model.scene_to_world.cpu().double()
    try:
        mesh = _in_scene(read_colored(run.mesh_path()), frame)
    except InputError as error:
        console.message(f"no mesh is shown ({error})")
        mesh = None
    content = Content(run.path.resolve().name, frame, scene, mesh, renderer_for(model, mode), _held_out(run, scene))
    return content if scene is None else replace(content, up=scene.vertical().numpy())


def _held_out(run: Run, scene: Scene | None) -> tuple[int, ...]:
    if scene is None or not run.facts.get("held_out_views"):
        return ()
    return tuple(run.held_out(scene))


def _in_scene(mesh: trimesh.Trimesh, scene_to_world: Tensor) -> trimesh.Trimesh:
    placed = in_world(light_mesh(mesh, MAX_FACES), invert(scene_to_world.double()))
    if (texture := texture_of(placed)) is not None:
        # Of a file that says nothing of it a material is metal, which shows black where there is nothing to mirror.
        matte = PBRMaterial(baseColorTexture=Image.fromarray(texture[0]), metallicFactor=0.0, roughnessFactor=1.0)
        placed.visual = TextureVisuals(uv=texture[1], material=matte)
    return placed


def _along(up: np.ndarray, scene_to_world: Tensor) -> np.ndarray:
    placed = scene_to_world[:3, :3].numpy().T @ up
    return placed / np.linalg.norm(placed)


def _frame_around(mesh: trimesh.Trimesh) -> Tensor:
    low, high = mesh.bounds
    radius = max(float(np.linalg.norm(high - low)) / 2, 1e-12)
    return similarity(radius, torch.from_numpy((low + high) / 2))
