"""Colours of texels from the views: chosen at vertices, blended in linear light at the images' full size."""

from collections.abc import Callable
from typing import NamedTuple

import cv2
import numpy as np
import torch
import trimesh
from numpy.typing import NDArray

from neus.geometry.cameras import Camera
from neus.geometry.poses import invert
from neus.kernels.dispatch import kernels_for
from neus.kernels.threads import n_threads, ranges, run_tasks
from neus.scenes.scene import Scene
from neus.texturing.charts import signed_areas
from neus.texturing.levels import SATURATED, Exposures, linear
from neus.texturing.looks import TOLERANCE, Look, look, seen_vertices
from neus.texturing.texels import Texels
from neus.texturing.view_weights import ViewWeights, vertex_normals, view_weights

# Vertices compare colours averaged over so many pixels of the depths' raster, so that a misplaced edge is no contradiction.
AVERAGED = 5
# The quality that is left to a view where it is saturated: another one that is not is preferred.
OF_SATURATED = 0.4
# An image is averaged down once so many of its pixels fall into a texel.
LEAST_REDUCTION = 2

Progress = Callable[[int, int], None]


class Selection(NamedTuple):
    """Which views count where.

    Attributes:
        weights: as from `view_weights`.
        densities: (n,) pixels on a unit of area in the best view of each vertex; 0 where no view sees it.
    """

    weights: ViewWeights
    densities: NDArray


def selected_views(
    scene: Scene, mesh: trimesh.Trimesh, exposures: Exposures, on_progress: Progress | None = None
) -> Selection:
    """The weights of the views of a scene at the vertices of a mesh in its frame."""
    vertices, faces = np.asarray(mesh.vertices, np.float64), np.asarray(mesh.faces)
    normals = vertex_normals(vertices, faces)
    qualities = np.zeros((len(scene), len(vertices)), np.float32)
    colors = np.zeros((len(scene), len(vertices), 3), np.uint8)

    def see(view: int) -> None:
        seen = look_of(scene, mesh, view)
        found = seen_vertices(seen, vertices, normals)
        qualities[view] = found.quality
        height, width = seen.depths.shape
        small = cv2.blur(cv2.resize(scene.images[view], (width, height), interpolation=cv2.INTER_AREA), (AVERAGED, AVERAGED))
        numbers = small[found.y.astype(int), found.x.astype(int)]
        leveled = (255.0 * exposures.levels[view]).round().astype(np.uint8)
        colors[view] = leveled[numbers, np.arange(3)]
        qualities[view] *= np.where((numbers >= SATURATED).any(axis=1), OF_SATURATED, 1.0)

    _each_view(len(scene), see, on_progress)
    densities = qualities.max(axis=0)
    return Selection(view_weights(qualities, colors, faces), densities)


def baked_texels(
    scene: Scene,
    mesh: trimesh.Trimesh,
    exposures: Exposures,
    weights: NDArray,
    texels: Texels,
    corners: NDArray,
    on_progress: Progress | None = None,
) -> NDArray:
    """(p, 4) float32 linear RGB of the texels, and the weight of the views there, 0 where none sees the texel.

    Args:
        scene: V views.
        mesh: in its frame.
        exposures: of the views.
        weights: (V, n) at its vertices.
        texels: of its faces.
        corners: (m, 3, 2) of its faces in the texture.
    """
    vertices, faces = np.asarray(mesh.vertices, np.float64), np.ascontiguousarray(mesh.faces, np.int64)
    add_view = kernels_for("texel_blend", torch.device("cpu")).add_view
    sums = np.zeros((len(texels.indices), 4), np.float32)
    # Of equally many texels, several for each thread.
    edges = np.searchsorted(texels.starts, np.linspace(0, len(texels.indices), 4 * n_threads() + 1))
    edges[0], edges[-1] = 0, len(faces)
    parts = [(first, last) for first, last in zip(edges[:-1].tolist(), edges[1:].tolist()) if last > first]
    reduction = _reduction(scene, vertices, faces, corners, weights)
    for view in range(len(scene)):
        if weights[view].any():
            seen = look_of(scene, mesh, view)
            image, camera = _reduced(scene.images[view], seen.camera, reduction)
            levels = linear(exposures.levels[view]).astype(np.float32)
            projected = _projected(vertices, camera)
            given = (texels.indices, texels.starts, texels.size, corners, faces, projected, weights[view], image, levels)
            run_tasks(lambda *part, given=given, seen=seen: add_view(*given, seen.depths, seen.clear, TOLERANCE, *part, sums), parts)
        if on_progress:
            on_progress(view + 1, len(scene))
    sums[:, :3] /= np.maximum(sums[:, 3:], 1e-20)
    return sums


def look_of(scene: Scene, mesh: trimesh.Trimesh, view: int) -> Look:
    """What a view of a scene sees of a mesh in its frame."""
    return look(mesh, scene.camera(view), None if scene.masks is None else scene.masks[view])


def _each_view(n_views: int, see: Callable[[int], None], on_progress: Progress | None) -> None:
    """Calls `see` for each view, as many at a time as there are threads."""
    for first, last in ranges(n_views, n_threads()):
        run_tasks(see, [(view,) for view in range(first, last)])
        if on_progress:
            on_progress(last, n_views)


def _projected(vertices: NDArray, camera: Camera) -> NDArray:
    """(n, 3) float64 homogeneous pixels, centres at +0.5."""
    matrix = (camera.intrinsics.double() @ invert(camera.camera_to_scene.double())[:3]).numpy()
    return vertices @ matrix[:, :3].T + matrix[:, 3]


def _reduction(scene: Scene, vertices: NDArray, faces: NDArray, corners: NDArray, weights: NDArray) -> int:
    """By how many times images are reduced, so that a texel covers about a pixel: where the texture is coarser than they are."""
    best = weights[:, faces[:, 0]].argmax(axis=0)
    flat, pixels = np.abs(signed_areas(corners)), np.zeros(len(faces))
    for view in np.unique(best):
        chosen = np.flatnonzero((best == view) & (weights[view, faces[:, 0]] > 0))
        place = _projected(vertices, scene.camera(int(view)))
        place = place[:, :2] / np.maximum(place[:, 2:], 1e-12)
        pixels[chosen] = np.abs(signed_areas(place[faces[chosen]]))
    seen = (pixels > 0) & (flat > 0)
    if not seen.any():
        return 1
    ratio = np.sqrt(pixels[seen].sum() / flat[seen].sum())
    return max(1, int(ratio)) if ratio >= LEAST_REDUCTION else 1


def _reduced(image: NDArray, camera: Camera, factor: int) -> tuple[NDArray, Camera]:
    if factor == 1:
        return np.ascontiguousarray(image), camera
    small = camera.scaled(1.0 / factor)
    return cv2.resize(image, (small.width, small.height), interpolation=cv2.INTER_AREA), small
