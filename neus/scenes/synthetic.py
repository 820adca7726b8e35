"""Synthetic scenes: bodies in closed form, so that every measure of a reconstruction has an exact truth.

An object, painted and lit, stands in a painted dome and is seen from all around. The built-in scene is the cup of `geometry.cup`;
`synthetic_kinds` has others, and what can be made worse about them.
"""

import functools
import json
import math
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from neus.errors import InputError
from neus.files import json_text
from neus.geometry.cameras import Camera
from neus.geometry.cup import object_sdf
from neus.geometry.poses import invert, look_at
from neus.geometry.rays import intersect_sphere, pixel_centers, rays_from_pixels
from neus.geometry.similarity import similarity, transform_points
from neus.geometry.solids import Body
from neus.kernels.dispatch import kernels_for
from neus.scenes.degradations import developed, drawn_badly, turned
from neus.scenes.scene import Scene
from neus.scenes.scene_checks import checked
from neus.scenes.synthetic_kinds import SyntheticKind, kind_of
from neus.scenes.synthetic_light import DOME_RADIUS, lit
from neus.scenes.synthetic_paint import dome_color, painted
from neus.scenes.writers import save_scene

WORLD_CENTER, MILLIMETRES_PER_UNIT = (25.0, -40.0, 610.0), 60.0  # a handful of an object, away from the world's origin
# In a scene's folder: which kind it is.
KIND_FILE = "synthetic.json"

LOWEST, HIGHEST = math.radians(-22), math.radians(68)  # below the saucer's rim; and into the cup
NEAREST, FURTHEST = 2.8, 3.2  # camera distances, scene units
FOCAL_PER_SIDE = 1.5  # focal length over the shorter image side: the object just fits from everywhere
CHUNK = 1 << 16  # rays at a time: few enough for the colours' many small operations to stay in the CPU's cache
# For the few rays that creep along a surface: given up too early, they would leave holes in the masks.
MAX_STEPS = 1000
NORMAL_STEP = 1e-3  # rounds edges by less than a pixel, well above the rounding of float32
_CUP = SyntheticKind()

_SCENE_TO_WORLD = similarity(MILLIMETRES_PER_UNIT, torch.tensor(WORLD_CENTER, dtype=torch.float64))


def world_sdf(points: Tensor) -> Tensor:
    """`object_sdf` of points (..., 3) in the built-in scene's world, in millimetres."""
    return MILLIMETRES_PER_UNIT * object_sdf(transform_points(invert(_SCENE_TO_WORLD), points))


@functools.cache
def body_of(shape: str) -> Body:
    """The body of a shape, made once."""
    return kind_of(shape).object.make()


def render_rays(origins: Tensor, directions: Tensor, kind: SyntheticKind = _CUP) -> tuple[Tensor, Tensor]:
    """What rays from outside the object and inside the dome see.

    Args:
        origins, directions: (N, 3), scene frame, unit directions.
        kind: whose object they see, and how it is lit.

    Returns:
        RGB (N, 3), 1 the brightest level (and more where the kind changes exposure), and (N,) bool: whether it hits the object.
    """
    _, dome_t, _ = intersect_sphere(origins, directions, DOME_RADIUS)
    body = body_of(kind.shape)
    enters, leaves, is_near = intersect_sphere(origins, directions, body.radius)
    trace = kernels_for("solids", origins.device).first_hits
    t, rays = torch.full_like(dome_t, torch.inf), (x[is_near] for x in (origins, directions, enters, leaves))
    t[is_near] = trace(body, *rays, kind.object.tolerance, MAX_STEPS)
    hit = t.isfinite()
    points = origins + torch.where(hit, t, dome_t).unsqueeze(-1) * directions
    colors = torch.empty_like(origins)
    colors[hit] = _object_color(points[hit], directions[hit], body, kind)
    colors[~hit] = dome_color(points[~hit])
    # Where exposure is still to come, what is brighter than the brightest level is kept; else each ray is cut off there.
    return (colors if kind.imaging.changes_exposure else colors.clamp(0.0, 1.0)), hit


def render_scene(
    views: int = 48,
    width: int = 320,
    height: int = 240,
    seed: int | None = None,
    antialias: int = 2,
    kind: SyntheticKind | str = _CUP,
) -> Scene:
    """A synthetic scene seen by cameras on a spiral about it, from below the object to above it.

    Args:
        views: number of cameras; successive ones are a golden angle apart, so any few of them surround the object.
        width, height: image size in pixels.
        seed: of the cameras' first azimuth and of their distances; None for that of the kind. The object stays the same.
        antialias: rays per pixel each way; a mask holds the pixels more than half covered.
        kind: what is seen and what is wrong with it, or its name; the built-in scene by default.

    Raises:
        InputError: a count below one, or an unknown kind.
    """
    kind = kind_of(kind) if isinstance(kind, str) else kind
    if min(views, width, height, antialias) < 1:
        raise InputError(
            f"synthetic scene: {views} views of {width}x{height} pixels with {antialias} x {antialias} rays; "
            "expected at least 1 of each."
        )
    seed = kind.seed if seed is None else seed
    cameras = _spiral(views, width, height, torch.Generator().manual_seed(seed))
    images, masks = zip(*(_render_view(camera, antialias, kind) for camera in cameras), strict=True)
    intrinsics = torch.stack([camera.intrinsics for camera in cameras])
    poses, imaging = torch.stack([camera.camera_to_scene for camera in cameras]), kind.imaging
    scene = Scene(
        images=developed(list(images), list(masks), imaging, seed),
        masks=[drawn_badly(mask, imaging.masks) for mask in masks],
        intrinsics=intrinsics,
        camera_to_scene=turned(poses, intrinsics, imaging.pose_pixels, seed) if imaging.pose_pixels else poses,
        scene_to_world=_SCENE_TO_WORLD,
        names=[f"{view:03d}.png" for view in range(views)],
        format="synthetic",
    )
    return checked(scene)


def write_synthetic(
    folder: Path,
    views: int = 48,
    width: int = 320,
    height: int = 240,
    seed: int | None = None,
    antialias: int = 2,
    kind: SyntheticKind | str = _CUP,
) -> Path:
    """The folder, in which `render_scene` now lies as for IDR and NeuS: image/, mask/ and cameras_sphere.npz; and KIND_FILE.

    Written to a temporary name and renamed, so that the folder is either whole or not there.

    Raises:
        InputError: the folder exists and is not empty or cannot be written, a count below one, or an unknown kind.
    """
    scene = render_scene(views, width, height, seed, antialias, kind)
    return save_scene(scene, folder, notes={KIND_FILE: json_text({"kind": str(kind)})})


def written_kind(folder: Path) -> SyntheticKind | None:
    """The kind of scene that `write_synthetic` wrote to a folder; None if it did not, or says nothing of a kind."""
    try:
        return kind_of(json.loads((Path(folder) / KIND_FILE).read_text(encoding="utf-8"))["kind"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _spiral(views: int, width: int, height: int, generator: torch.Generator) -> list[Camera]:
    first, *distances = torch.rand(views + 1, generator=generator, dtype=torch.float64).tolist()
    intrinsics = torch.diag(torch.tensor([FOCAL_PER_SIDE * min(width, height)] * 2 + [1.0], dtype=torch.float64))
    intrinsics[:2, 2] = torch.tensor([width / 2, height / 2])
    up = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)
    cameras = []
    for view, fraction in enumerate(distances):
        azimuth = 2.0 * math.pi * first + view * math.pi * (3.0 - math.sqrt(5.0))
        elevation = LOWEST + (view + 0.5) / views * (HIGHEST - LOWEST)
        toward = [math.cos(elevation) * math.cos(azimuth), math.cos(elevation) * math.sin(azimuth), math.sin(elevation)]
        center = (NEAREST + fraction * (FURTHEST - NEAREST)) * torch.tensor(toward, dtype=torch.float64)
        cameras.append(Camera(intrinsics, look_at(center, torch.zeros_like(center), up), width, height))
    return cameras


def _render_view(camera: Camera, antialias: int, kind: SyntheticKind) -> tuple[np.ndarray, np.ndarray]:
    """(H, W, 3) float32 RGB and (H, W) bool of one view."""
    fine = camera.scaled(antialias)
    pixels = pixel_centers(fine.width, fine.height).reshape(-1, 2)
    rays = [part.float() for part in rays_from_pixels(pixels, fine.intrinsics, fine.camera_to_scene)]
    chunks = [render_rays(*chunk, kind) for chunk in zip(*(part.split(CHUNK) for part in rays), strict=True)]
    colors, hits = (torch.cat(parts).float() for parts in zip(*chunks, strict=True))
    blocks = (camera.height, antialias, camera.width, antialias)
    image = colors.reshape(*blocks, 3).mean(dim=3).mean(dim=1)  # one axis at a time: over both at once takes ten times as long
    return image.numpy(), (hits.reshape(blocks).mean(dim=3).mean(dim=1) > 0.5).numpy()


def _object_color(points: Tensor, directions: Tensor, body: Body, kind: SyntheticKind) -> Tensor:
    """RGB (N, 3) of surface points (N, 3) seen along unit directions."""
    normals, part = _normals_and_parts(points, body)
    shape = kind.object
    index = shape.paint_of(points, part)
    is_metal = torch.tensor([paint.is_metal for paint in shape.paints])[index]
    paint = painted(points, index, shape.paints, shape.wavelengths)
    return lit(body, points, normals, directions, paint, is_metal, kind.light)


def _normals_and_parts(points: Tensor, body: Body) -> tuple[Tensor, Tensor]:
    """Unit normals (N, 3) of the object and the nearest part (N,), from the distances at four positions around each point.

    Differences, since right on the surface the gradient of a distance is the direction of a vector of no length.
    """
    corners = points.new_tensor([[1.0, -1.0, -1.0], [-1.0, -1.0, 1.0], [-1.0, 1.0, -1.0], [1.0, 1.0, 1.0]])
    around = points.unsqueeze(-2) + NORMAL_STEP * corners
    distances = kernels_for("solids", points.device).part_distances(body, around)
    return torch.nn.functional.normalize(distances.amin(dim=-1) @ corners, dim=-1), distances.sum(dim=-2).argmin(dim=-1)
