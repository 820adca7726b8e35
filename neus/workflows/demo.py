"""The built-in scene from photographs to mesh, and the result beside its exact truth."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

import cv2
import numpy as np
import torch
import trimesh

from neus.evaluation.surface import SurfaceScores, surface_scores
from neus.geometry.cameras import Camera
from neus.geometry.cup import object_sdf
from neus.geometry.rays import intersect_sphere, pixel_centers, rays_from_pixels
from neus.geometry.similarity import transform_points
from neus.rendering.model import Model, in_chunks
from neus.rendering.modes import fastest_renderer
from neus.rendering.sphere_tracing import trace
from neus.rendering.views import normal_picture, render_view, rgb_picture
from neus.scenes.scene import Scene
from neus.scenes.synthetic import MILLIMETRES_PER_UNIT, world_sdf

# Views of the picture: the side, the handle's hole, the inside seen from above.
PICTURE_VIEWS = (6, 20, 37)
# Full red in the error column, in parts of the object's radius.
ERROR_SCALE = 0.05
# Thresholds of the F-score, in parts of the object's radius.
F_SCORE_AT = (0.005, 0.01)
COLUMNS = ("photograph", "render", "normals", "error: 0")
LABEL_HEIGHT = 28


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


class Stages:
    """Names the stages of a job as they pass, and keeps their times."""

    def __init__(self, on_message: Callable[[str], None]) -> None:
        self.on_message, self.seconds = on_message, {}
        self._name, self._start = "", time.monotonic()

    def begin(self, name: str, message: str) -> None:
        """Ends the present stage and begins another."""
        self.end()
        self._name, self._start = name, time.monotonic()
        self.on_message(message)

    def end(self) -> None:
        """Notes the time of the present stage."""
        if self._name:
            self.seconds[self._name] = round(time.monotonic() - self._start, 1)
        self._name = ""


def compare_with_truth(mesh_in_world: trimesh.Trimesh, scene: Scene) -> SurfaceScores:
    """Distances between a mesh and the exact surface of the built-in scene, in millimetres."""
    box = transform_points(scene.scene_to_world, scene.box)
    thresholds = [share * MILLIMETRES_PER_UNIT for share in F_SCORE_AT]
    return surface_scores(mesh_in_world, world_sdf, thresholds, n_samples=50_000, box=box, resolution=192)


def comparison_picture(model: Model, scene: Scene, views: tuple[int, ...] = PICTURE_VIEWS) -> np.ndarray:
    """(H, W, 3) uint8 RGB: for each view its photograph, render, normals, and the surface coloured by its true error."""
    rows, renderer = [], fastest_renderer(model)
    for view in views:
        camera = scene.camera(view)
        seen = render_view(renderer, camera)
        cells = [scene.images[view], rgb_picture(seen), normal_picture(seen, camera), error_picture(model, camera)]
        rows.append(np.concatenate(cells, axis=1))
    picture = np.concatenate(rows)
    full_scale = f" (blue) to {ERROR_SCALE * MILLIMETRES_PER_UNIT:.1f} mm"
    return np.concatenate([_labels(picture.shape[1], [*COLUMNS[:3], COLUMNS[3] + full_scale]), picture])


def error_picture(model: Model, camera: Camera) -> np.ndarray:
    """(H, W, 3) uint8 RGB: the model's surface as a camera sees it, coloured by its exact distance from the truth."""
    pixels = pixel_centers(camera.width, camera.height).reshape(-1, 2)
    origins, directions = (x.float() for x in rays_from_pixels(pixels, camera.intrinsics, camera.camera_to_scene))
    enters, leaves, meets = intersect_sphere(origins, directions)
    sdf = in_chunks(lambda p: model.sdf(p.to(model.device)).cpu(), 2**15)
    found = trace(sdf, origins[meets], directions[meets], enters[meets], leaves[meets], lipschitz=1.5)
    points = origins[meets][found.hit] + found.t[found.hit].unsqueeze(-1) * directions[meets][found.hit]
    hit = meets.clone()
    hit[meets] = found.hit
    error = object_sdf(points).abs() / ERROR_SCALE
    bgr = cv2.applyColorMap((error.clamp(0, 1) * 255).to(torch.uint8).numpy(), cv2.COLORMAP_TURBO).reshape(-1, 3)
    picture = np.full((camera.height * camera.width, 3), 255, np.uint8)
    picture[hit.numpy()] = bgr[:, ::-1]
    return picture.reshape(camera.height, camera.width, 3)


def _labels(width: int, texts: list[str]) -> np.ndarray:
    strip = np.full((LABEL_HEIGHT, width, 3), 255, np.uint8)
    for i, text in enumerate(texts):
        place = (i * width // len(texts) + 8, LABEL_HEIGHT - 9)
        cv2.putText(strip, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.4, (40, 40, 40), 1, cv2.LINE_AA)
    return strip
