"""How many views see each part of a mesh: inside the image, turned towards the camera, nothing in front (a z-buffer)."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch
import trimesh
from numpy.typing import NDArray

from neus.geometry.cameras import Camera, project
from neus.kernels.dispatch import kernels_for
from neus.kernels.threads import run_tasks
from neus.meshing.measures import face_areas

# Depths are rendered at most this wide and high: on it a region of interest has cells of about 1/300 of its radius.
LONGEST_SIDE = 640
# More views than these, evenly taken from the list, see hardly anything else.
MOST_VIEWS = 100
# A surface seen at a more grazing angle than 84 degrees has no texture in the image.
LEAST_COSINE = 0.1
# What lies so many edges behind the foremost surface is still that surface: both lie within one cell of it.
EDGES_BEHIND = 2.0
# A depth is known at its pixel's centre, up to this far from where the vertex falls: half a diagonal.
PIXELS_ASIDE = 0.75
# As many views as leave a surface with no choice but one: a point is triangulated from two.
LEAST_VIEWS = 2
# With up to so many views one reflection outweighs the correct views.
FEW_VIEWS = 3


@dataclass(frozen=True)
class SeenFacts:
    """How much of a surface the views have seen, in fractions of its area.

    Attributes:
        fraction_seen: seen by at least LEAST_VIEWS views.
        fraction_seen_by_few: seen by LEAST_VIEWS to FEW_VIEWS views, no more: the shape there rests on few votes.
        fraction_seen_by_one, fraction_unseen: seen by one view, by none.
    """

    fraction_seen: float
    fraction_seen_by_few: float
    fraction_seen_by_one: float
    fraction_unseen: float

    def as_dict(self) -> dict[str, float]:
        """Plain numbers, for JSON."""
        return asdict(self)


def mesh_depth(mesh: trimesh.Trimesh, camera: Camera) -> NDArray:
    """(H, W) float64 depth along the camera's z of the foremost triangle at each pixel's centre; infinite for none.

    Args:
        mesh: in the frame of the camera; its unit is that of the depth.
        camera: triangles with a corner behind it are left out.
    """
    pixels, depth = (x.numpy() for x in project(torch.from_numpy(np.array(mesh.vertices, np.float64)), camera))
    return _drawn_depth(pixels, depth, np.asarray(mesh.faces), camera)


def n_views_of_vertices(
    mesh: trimesh.Trimesh, cameras: Sequence[Camera], longest_side: int = LONGEST_SIDE, most_views: int = MOST_VIEWS
) -> NDArray:
    """(n,) int, by how many views each vertex is seen.

    A view sees a vertex that falls into its image, whose normal n makes cos(n, to the camera) > LEAST_COSINE, and behind
    whose foremost triangle at that pixel it lies no further than EDGES_BEHIND median edges of the mesh plus
    PIXELS_ASIDE * depth / focal * tan(angle): the depth by which a tilted plane changes within a pixel.

    One pass of drawing per view: 50 views of 700 000 faces take about 5 s on one core, and 40 MB for each thread.

    Args:
        mesh: in the frame of the cameras, faces outwards.
        cameras: V views.
        longest_side: of the rendered depths, pixels.
        most_views: more are left out, evenly along the list.
    """
    vertices, normals = np.array(mesh.vertices, np.float64), np.asarray(mesh.vertex_normals, np.float64)
    faces = np.ascontiguousarray(mesh.faces, np.int64)
    points, slack = torch.from_numpy(vertices), EDGES_BEHIND * median_edge(mesh)
    chosen = [cameras[i] for i in np.unique(np.linspace(0, len(cameras) - 1, min(len(cameras), most_views)).round().astype(int))]
    seen = np.zeros((len(chosen), len(vertices)), bool)

    def look(view: int) -> None:
        camera = chosen[view]
        camera = camera.scaled(min(1.0, longest_side / max(camera.width, camera.height)))
        pixels, depth = (x.numpy() for x in project(points, camera))
        towards = np.asarray(camera.center, np.float64) - vertices
        cosine = np.einsum("ij,ij->i", towards, normals) / np.maximum(np.linalg.norm(towards, axis=1), 1e-12)
        x, y = pixels.T
        with np.errstate(invalid="ignore"):
            candidates = np.flatnonzero(
                (depth > 0.0) & (cosine > LEAST_COSINE) & (x >= 0.0) & (y >= 0.0) & (x < camera.width) & (y < camera.height)
            )
        column, row = pixels[candidates].astype(int).T
        foremost = _drawn_depth(pixels, depth, faces, camera)[row, column]
        tangent = np.sqrt(np.maximum(1.0 - cosine[candidates] ** 2, 0.0)) / cosine[candidates]
        pixel = depth[candidates] / float(camera.intrinsics[[0, 1], [0, 1]].mean())
        seen[view, candidates] = depth[candidates] <= foremost + slack + PIXELS_ASIDE * pixel * tangent

    run_tasks(look, [(view,) for view in range(len(chosen))])
    return seen.sum(axis=0)


def seen_facts(mesh: trimesh.Trimesh, n_views: NDArray) -> SeenFacts:
    """How much of a mesh is seen, if n_views (n,) see its vertices; each counts for a third of the faces around it."""
    areas = vertex_areas(mesh)
    total = max(float(areas.sum()), 1e-300)

    def fraction(chosen: NDArray) -> float:
        return float(areas[chosen].sum()) / total

    return SeenFacts(
        fraction_seen=fraction(n_views >= LEAST_VIEWS),
        fraction_seen_by_few=fraction((n_views >= LEAST_VIEWS) & (n_views <= FEW_VIEWS)),
        fraction_seen_by_one=fraction(n_views == 1),
        fraction_unseen=fraction(n_views == 0),
    )


def vertex_areas(mesh: trimesh.Trimesh) -> NDArray:
    """(n,) a third of the area of the faces around each vertex; together the area of the mesh.

    >>> round(float(vertex_areas(trimesh.creation.box()).sum()), 6)
    6.0
    """
    thirds = np.repeat(face_areas(mesh) / 3.0, 3)
    return np.bincount(np.asarray(mesh.faces).ravel(), thirds, minlength=len(mesh.vertices))


def median_edge(mesh: trimesh.Trimesh) -> float:
    """The median length of the edges of a mesh: of marching cubes about 0.7 lattice steps."""
    faces = np.asarray(mesh.faces)
    vertices = np.asarray(mesh.vertices)
    return float(np.median(np.linalg.norm(vertices[faces] - vertices[np.roll(faces, -1, axis=1)], axis=-1)))


def _drawn_depth(pixels: NDArray, depth: NDArray, faces: NDArray, camera: Camera) -> NDArray:
    draw = kernels_for("raster_depth", torch.device("cpu")).foremost_triangles
    with np.errstate(divide="ignore"):
        corners = np.column_stack([pixels, np.where(depth > 0.0, 1.0 / depth, 0.0)])
        return 1.0 / draw(corners, faces, camera.width, camera.height)[0]
