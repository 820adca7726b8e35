"""A mesh and images to a textured mesh: charts, views, texels, fill."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import trimesh
from numpy.typing import NDArray

from neus.meshing.simplify import parted
from neus.scenes.scene import Scene
from neus.texturing.atlas import TEXELS_PER_PIXEL, Atlas, chart_sides, packed_atlas, texture_size
from neus.texturing.bake import baked_texels, selected_views
from neus.texturing.charts import Charts, charts_of, has_xatlas, triangle_areas
from neus.texturing.fill import filled_texels, padded_texture
from neus.texturing.levels import bytes_of_light, leveled_exposures, linear, same_exposures
from neus.texturing.surface import Split, cleaned, split
from neus.texturing.texels import barycentric_of, texels_of
from neus.texturing.textured_mesh import TexturedMesh
from neus.texturing.view_weights import vertex_normals

# Largest side of a texture by default: what telephones show.
USUAL_SIZE = 4096
# Views are chosen at vertices: edges longer than this fraction of the mesh's diagonal are halved, so that large faces are not seen as a
# whole or not at all.
LONGEST_EDGE = 1 / 60
# Halving stops at so many faces, or at the mesh's own number.
MOST_FACES = 300_000


@dataclass
class TextureFacts:
    """What became of a texture.

    Attributes:
        n_charts: how many.
        n_boxed: faces that main directions laid out in place of xatlas.
        utilization: the part of the texture that charts cover.
        size: of the texture, texels.
        fraction_seen: of the charts' texels that views gave their colour.
        fraction_rejected: of what views see of vertices, left out because it contradicts most of them.
        exposure_ratio: of the brightest to the darkest view, before they were leveled; 1 if they were not compared.
        seconds: of each stage.
    """

    n_charts: int = 0
    n_boxed: int = 0
    utilization: float = 0.0
    size: int = 0
    fraction_seen: float = 0.0
    fraction_rejected: float = 0.0
    exposure_ratio: float = 1.0
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Notes the seconds of a block."""
        started = time.monotonic()
        yield
        self.seconds[name] = round(self.seconds.get(name, 0.0) + time.monotonic() - started, 2)


def made_texture(
    mesh: trimesh.Trimesh,
    scene: Scene,
    most_texels: int = USUAL_SIZE,
    level_exposure: bool = True,
    use_xatlas: bool | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> tuple[TexturedMesh, TextureFacts]:
    """A mesh with a texture from the images of a scene.

    Args:
        mesh: in the frame of the scene, faces outwards; its vertex colours, if it has any, are taken where no view sees it.
        scene: the views to take colours from.
        most_texels: side of the texture at most; it is smaller where the images show no more.
        level_exposure: bring views to one exposure and white balance first.
        use_xatlas: False lays the mesh out by main directions; None does so where xatlas is not installed.
        on_progress: receives steps done and in all.

    Raises:
        InputError: a mesh without faces.
    """
    facts, use_xatlas = TextureFacts(), has_xatlas() if use_xatlas is None else use_xatlas
    mesh = cleaned(mesh)
    vertices, faces = np.asarray(mesh.vertices, np.float64), np.ascontiguousarray(mesh.faces, np.int64)
    diagonal = float(np.linalg.norm(np.ptp(vertices, axis=0)))
    fine = split(vertices, faces, LONGEST_EDGE * diagonal, max(MOST_FACES, len(faces)))
    surface = trimesh.Trimesh(fine.vertices, fine.faces, process=False)
    steps = _Steps(2 * len(scene), on_progress)
    # xatlas works in processes of its own: views are looked at meanwhile.
    with ThreadPoolExecutor(1) as aside:
        charting = aside.submit(_charts, vertices, faces, use_xatlas, facts)
        with facts.stage("exposures"):
            exposures = leveled_exposures(scene, surface) if level_exposure and len(scene) > 1 else same_exposures(len(scene))
        with facts.stage("views"):
            selection = selected_views(scene, surface, exposures, steps)
        charts = charting.result()
    with facts.stage("atlas"):
        density = TEXELS_PER_PIXEL * np.sqrt(_pixels_of_area(fine, selection.densities))
        size = texture_size(density * chart_sides(charts), most_texels)
        atlas = packed_atlas(charts, size, use_xatlas)
        corners = np.ascontiguousarray(fine.corners_of(atlas.places[atlas.faces]))
        texels = texels_of(corners, size)
    with facts.stage("baking"):
        chosen = selection.weights.weights
        baked = baked_texels(scene, surface, exposures, chosen, texels, corners, steps)
    with facts.stage("filling"):
        owners, parts = barycentric_of(texels, corners)
        colors, of_vertices = filled_texels(baked, owners, parts, fine.faces, fine.vertices, _field_colors(mesh, fine))
        texture = padded_texture(texels, bytes_of_light(colors))
    facts.n_charts, facts.n_boxed, facts.utilization, facts.size = atlas.n_charts, charts.n_boxed, atlas.utilization, size
    facts.fraction_seen = float((baked[:, 3] > 0).mean()) if len(baked) else 0.0
    facts.fraction_rejected = selection.weights.n_rejected / max(selection.weights.n_seen, 1)
    facts.exposure_ratio = exposures.ratio
    mesh.visual.vertex_colors = bytes_of_light(of_vertices[: len(vertices)])
    return _textured(mesh, vertices, faces, atlas, texture), facts


class _Steps:
    """Progress of several loops over the views as one."""

    def __init__(self, total: int, on_progress: Callable[[int, int], None] | None) -> None:
        self.total, self.done, self.last, self.on_progress = total, 0, 0, on_progress

    def __call__(self, done: int, of: int) -> None:
        self.done += done - self.last
        self.last = 0 if done == of else done
        if self.on_progress:
            self.on_progress(self.done, self.total)


def _charts(vertices: NDArray, faces: NDArray, use_xatlas: bool, facts: TextureFacts) -> Charts:
    with facts.stage("charts"):
        apart, apart_faces = parted(vertices, faces)
        charts = charts_of(apart, apart_faces, use_xatlas=use_xatlas)
        # The corners of a face are those of the mesh, whatever sheet they were parted to.
        sources = np.zeros(len(charts.sources), np.int64)
        sources[charts.faces] = faces
        return charts._replace(sources=sources)


def _pixels_of_area(fine: Split, densities: NDArray) -> float:
    """How many pixels the best views have on a unit of area, in the mean over what is seen."""
    areas, of_faces = triangle_areas(fine.vertices[fine.faces]), densities[fine.faces].max(axis=1)
    seen = of_faces > 0
    return float((areas * of_faces)[seen].sum() / max(areas[seen].sum(), 1e-300)) if seen.any() else 0.0


def _field_colors(mesh: trimesh.Trimesh, fine: Split) -> NDArray | None:
    """(n, 3) linear colours of the mesh at the vertices of the split one, None if it has none."""
    if mesh.visual.kind != "vertex":
        return None
    colors = linear(np.asarray(mesh.visual.vertex_colors)[:, :3] / 255.0)
    result = np.zeros((len(fine.vertices), 3))
    result[fine.faces] = fine.corners_of(colors[np.asarray(mesh.faces)])
    return result


def _textured(mesh: trimesh.Trimesh, vertices: NDArray, faces: NDArray, atlas: Atlas, texture: NDArray) -> TexturedMesh:
    normals = vertex_normals(vertices, faces)
    return TexturedMesh(
        vertices[atlas.sources],
        normals[atlas.sources],
        atlas.places / atlas.size,
        atlas.faces,
        texture,
        atlas.sources,
        mesh,
    )
