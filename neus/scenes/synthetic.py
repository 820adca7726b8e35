"""The built-in scene: a cup in closed form, so that every measure of a reconstruction has an exact truth.

The object of `geometry.cup`, painted and lit, stands in a painted dome and is seen from all around.
"""

import functools
import math
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from neus.errors import InputError
from neus.geometry.cameras import Camera
from neus.geometry.cup import BODY, BOUNDING_RADIUS, SAUCER_TOP, object_sdf
from neus.geometry.poses import invert, look_at
from neus.geometry.rays import intersect_sphere, pixel_centers, rays_from_pixels
from neus.geometry.similarity import similarity, transform_points
from neus.kernels.dispatch import kernels_for
from neus.scenes.scene import Scene, checked
from neus.scenes.writers import save_scene

DOME_RADIUS = 5.0  # far enough to be no part of the object, near enough to show parallax
WORLD_CENTER, MILLIMETRES_PER_UNIT = (25.0, -40.0, 610.0), 60.0  # a handful of an object, away from the world's origin

# Dark and light colour of cup, saucer, handle, stirrer, sugar: the parts can be distinguished at a glance.
DARK = [(0.10, 0.22, 0.42), (0.36, 0.10, 0.10), (0.45, 0.20, 0.03), (0.05, 0.25, 0.12), (0.42, 0.36, 0.28)]
LIGHT = [(0.95, 0.90, 0.78), (0.98, 0.76, 0.55), (1.00, 0.80, 0.20), (0.70, 0.95, 0.45), (1.00, 0.98, 0.95)]
DOME_COLORS = [(0.10, 0.13, 0.17), (0.50, 0.58, 0.62), (0.30, 0.27, 0.36)]
# From a third of the object down to about ten pixels at 320x240: something to match at every scale, and to be learnt.
OBJECT_WAVELENGTHS, DOME_WAVELENGTHS = (0.5, 0.25, 0.12), (5.0, 2.2, 1.0, 0.5)
WAVES_PER_OCTAVE = 4
TEXTURE_SEED = 7
HUE_SHIFT = 0.12  # slow drift of the paint's hue, so that no two points look the same

KEY_LIGHT, FILL_LIGHT = (0.45, -0.35, 0.82), (-0.75, 0.6, 0.28)  # unit directions towards the lights
AMBIENT, KEY, FILL, GLOSS, GLOSS_EXPONENT = 0.5, 0.55, 0.25, 0.12, 30.0
OCCLUSION_REACH = 0.15  # creases closer than this take away ambient light

LOWEST, HIGHEST = math.radians(-22), math.radians(68)  # below the saucer's rim; and into the cup
NEAREST, FURTHEST = 2.8, 3.2  # camera distances, scene units
FOCAL_PER_SIDE = 1.5  # focal length over the shorter image side: the object just fits from everywhere
CHUNK = 1 << 16  # rays at a time: few enough for the colours' many small operations to stay in the CPU's cache
# A twentieth of a pixel at 320x240. The many steps are for the few rays that creep along the saucer: given up too
# early, they would leave holes in the masks.
TRACE_TOLERANCE, MAX_STEPS = 3e-4, 1000
NORMAL_STEP = 1e-3  # rounds edges by less than a pixel, well above the rounding of float32

_SCENE_TO_WORLD = similarity(MILLIMETRES_PER_UNIT, torch.tensor(WORLD_CENTER, dtype=torch.float64))


def world_sdf(points: Tensor) -> Tensor:
    """`object_sdf` of points (..., 3) in the scene's world, in millimetres."""
    return MILLIMETRES_PER_UNIT * object_sdf(transform_points(invert(_SCENE_TO_WORLD), points))


def object_color(points: Tensor, directions: Tensor) -> Tensor:
    """RGB (N, 3) in [0, 1] of surface points (N, 3) seen along unit directions: paint, two lights, a little gloss."""
    normals, part = _normals_and_parts(points)
    coarse, fine = _waves(points, OBJECT_WAVELENGTHS)
    is_saucer = (part == 0) & (points[:, 2] < SAUCER_TOP)
    color_index = torch.where(is_saucer | (part > 0), part + 1, 0)
    paint = torch.lerp(points.new_tensor(DARK)[color_index], points.new_tensor(LIGHT)[color_index], _contrast(fine))
    paint = paint * (1.0 - HUE_SHIFT + HUE_SHIFT * torch.sin(9.0 * coarse + points.new_tensor([0.0, 2.0, 4.0])))
    key, fill = (torch.nn.functional.normalize(points.new_tensor(light), dim=0) for light in (KEY_LIGHT, FILL_LIGHT))
    freedom = _part_distances(points + OCCLUSION_REACH * normals).amin(dim=-1)
    openness = (freedom / OCCLUSION_REACH).clamp(0.3, 1.0)
    diffuse = KEY * (normals @ key).clamp_min(0.0) + FILL * (normals @ fill).clamp_min(0.0)
    halfway = torch.nn.functional.normalize(key - directions, dim=-1)
    gloss = GLOSS * (normals * halfway).sum(-1).clamp_min(0.0) ** GLOSS_EXPONENT
    return (paint * (AMBIENT * openness + diffuse).unsqueeze(-1) + gloss.unsqueeze(-1)).clamp(0.0, 1.0)


def dome_color(points: Tensor) -> Tensor:
    """RGB (N, 3) in [0, 1] of points (N, 3) on the dome, which shines by itself; cooler and calmer than the object."""
    coarse, fine = _waves(points, DOME_WAVELENGTHS)
    dark, light, other = points.new_tensor(DOME_COLORS)
    return torch.lerp(torch.lerp(dark, light, _contrast(fine)), other, 0.7 * _contrast(coarse))


def render_rays(origins: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
    """What rays from outside the object and inside the dome see.

    Args:
        origins, directions: (N, 3), scene frame, unit directions.

    Returns:
        RGB (N, 3) in [0, 1], and (N,) bool: whether the ray hits the object.
    """
    _, dome_t, _ = intersect_sphere(origins, directions, DOME_RADIUS)
    enters, leaves, is_near = intersect_sphere(origins, directions, BOUNDING_RADIUS)
    trace = functools.partial(kernels_for("solids", origins.device).first_hits, BODY)
    t = torch.full_like(dome_t, torch.inf)
    t[is_near] = trace(*(x[is_near] for x in (origins, directions, enters, leaves)), TRACE_TOLERANCE, MAX_STEPS)
    hit = t.isfinite()
    points = origins + torch.where(hit, t, dome_t).unsqueeze(-1) * directions
    colors = torch.empty_like(origins)
    colors[hit] = object_color(points[hit], directions[hit])
    colors[~hit] = dome_color(points[~hit])
    return colors, hit


def render_scene(views: int = 48, width: int = 320, height: int = 240, seed: int = 0, antialias: int = 2) -> Scene:
    """The built-in scene seen by cameras on a spiral about it, from below the saucer's rim to above the open cup.

    Args:
        views: number of cameras; successive ones are a golden angle apart, so any few of them surround the object.
        width, height: image size in pixels.
        seed: of the cameras' first azimuth and of their distances; the object stays the same.
        antialias: rays per pixel each way; a mask holds the pixels more than half covered.

    Raises:
        InputError: a count below one.
    """
    if min(views, width, height, antialias) < 1:
        raise InputError(
            f"synthetic scene: {views} views of {width}x{height} pixels with {antialias} x {antialias} rays; "
            "expected at least 1 of each."
        )
    cameras = _spiral(views, width, height, torch.Generator().manual_seed(seed))
    images, masks = zip(*(_render_view(camera, antialias) for camera in cameras), strict=True)
    scene = Scene(
        images=list(images),
        masks=list(masks),
        intrinsics=torch.stack([camera.intrinsics for camera in cameras]),
        camera_to_scene=torch.stack([camera.camera_to_scene for camera in cameras]),
        scene_to_world=_SCENE_TO_WORLD,
        names=[f"{view:03d}.png" for view in range(views)],
        format="synthetic",
    )
    return checked(scene)


def write_synthetic(
    folder: Path, views: int = 48, width: int = 320, height: int = 240, seed: int = 0, antialias: int = 2
) -> Path:
    """The folder, in which `render_scene` now lies as for IDR and NeuS: image/, mask/ and cameras_sphere.npz.

    Written to a temporary name and renamed, so that the folder is either whole or not there.

    Raises:
        InputError: the folder exists and is not empty or cannot be written, or a count below one.
    """
    return save_scene(render_scene(views, width, height, seed, antialias), folder)


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


def _render_view(camera: Camera, antialias: int) -> tuple[np.ndarray, np.ndarray]:
    fine = camera.scaled(antialias)
    pixels = pixel_centers(fine.width, fine.height).reshape(-1, 2)
    rays = [part.float() for part in rays_from_pixels(pixels, fine.intrinsics, fine.camera_to_scene)]
    chunks = [render_rays(*chunk) for chunk in zip(*(part.split(CHUNK) for part in rays), strict=True)]
    colors, hits = (torch.cat(parts).float() for parts in zip(*chunks, strict=True))
    blocks = (camera.height, antialias, camera.width, antialias)
    # One axis at a time: over both at once the mean takes ten times as long.
    image = (255.0 * colors.reshape(*blocks, 3).mean(dim=3).mean(dim=1)).round().byte()
    return image.numpy(), (hits.reshape(blocks).mean(dim=3).mean(dim=1) > 0.5).numpy()


def _normals_and_parts(points: Tensor) -> tuple[Tensor, Tensor]:
    """Unit normals (N, 3) of the object and the nearest part (N,), from the distances at four positions around each point.

    Differences, since right on the surface the gradient of a distance is the direction of a vector of no length.
    """
    corners = points.new_tensor([[1.0, -1.0, -1.0], [-1.0, -1.0, 1.0], [-1.0, 1.0, -1.0], [1.0, 1.0, 1.0]])
    distances = _part_distances(points.unsqueeze(-2) + NORMAL_STEP * corners)
    return torch.nn.functional.normalize(distances.amin(dim=-1) @ corners, dim=-1), distances.sum(dim=-2).argmin(dim=-1)


def _part_distances(points: Tensor) -> Tensor:
    return kernels_for("solids", points.device).part_distances(BODY, points)


def _waves(points: Tensor, wavelengths: tuple[float, ...]) -> tuple[Tensor, Tensor]:
    """A solid pattern that never repeats, (N, 1): its coarsest octave, and all octaves, each bent by the one before."""
    generator = torch.Generator().manual_seed(TEXTURE_SEED)
    octave, octaves = torch.zeros_like(points[:, 0]), []
    for wavelength in wavelengths:
        directions = torch.nn.functional.normalize(torch.randn(3, WAVES_PER_OCTAVE, generator=generator), dim=0)
        phases = 2.0 * math.pi * torch.rand(WAVES_PER_OCTAVE, 1, generator=generator)
        # One row for each wave: the mean then runs over whole rows, which is many times faster.
        angles = (2.0 * math.pi / wavelength * directions).T.to(points) @ points.T + phases.to(points)
        octave = angles.add_(2.0 * octave).sin_().mean(dim=0)
        octaves.append(octave)
    return octaves[0].unsqueeze(-1), sum(octaves).unsqueeze(-1)


def _contrast(value: Tensor) -> Tensor:
    """Values about zero spread towards 0 and 1."""
    return torch.sigmoid(5.0 * value)
