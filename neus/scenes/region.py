"""The sphere around the object, found from what the cameras look at; it becomes the unit sphere of the scene frame.

All functions take a scene whose frame is still the world (`scene_to_world` the identity); `framed` then moves it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from neus.errors import InputError, RegionError
from neus.geometry.cameras import Camera
from neus.geometry.similarity import similarity
from neus.scenes.intrinsics import fields_of_view, intrinsics_fault
from neus.scenes.scene import Scene
from neus.scenes.scene_checks import check_cameras

# What a region was found from, for messages.
FROM_AXES, FROM_DEPTHS, FROM_MASKS, FROM_POINTS = (
    "optical axes",
    "optical axes and depth ranges",
    "masks",
    "sparse points",
)
# Before any of them, for regions of the whole scene, in which cameras may be.
FROM_ALL = "all "
# The object should not touch the sphere: a tenth more than what was measured.
MARGIN = 1.1
# Cameras must stay outside of the sphere, with some room.
NEAREST_CAMERA_FRACTION = 0.9


@dataclass(frozen=True)
class Region:
    """A sphere in the world: center (3,) float64 and radius, world units; and what it was found from, in words."""

    center: Tensor
    radius: float
    found_from: str = ""


def placed(
    scene: Scene, center: Sequence[float] | None, radius: float | None, found: Callable[[Scene], Region]
) -> Scene:
    """The scene in the frame of its region of interest, the one that is given or else the one that is found.

    Args:
        scene: as its files have it, in the world.
        center, radius: as for `given_region`.
        found: finds the region.

    Raises:
        InputError: as `scene_checks.check_cameras`, which comes first since a wrong camera has no region, `given_region` and `found`.
    """
    check_cameras(scene)
    return framed(scene, given_region(scene, center, radius) or found(scene))


def framed(scene: Scene, region: Region) -> Scene:
    """The scene moved from the world into the frame whose unit sphere is the region: world = radius * x + center."""
    poses = scene.camera_to_scene.clone()
    poses[:, :3, 3] = (poses[:, :3, 3] - region.center) / region.radius
    frame = similarity(region.radius, region.center)
    return replace(scene, camera_to_scene=poses, scene_to_world=frame, region_from=region.found_from)


def given_region(scene: Scene, center: Sequence[float] | None, radius: float | None) -> Region | None:
    """The region given by the user, or None if it is to be found.

    Raises:
        InputError: only one of the two is given, or they are no numbers, or the radius is not positive.
    """
    if center is None and radius is None:
        return None
    if center is None or radius is None:
        missing = "centre" if center is None else "radius"
        raise InputError(
            f"{scene.source}: the region of interest has no {missing}; give both centre and radius, or neither."
        )
    center = torch.as_tensor(np.asarray(center, dtype=np.float64))
    if center.shape != (3,) or not torch.isfinite(center).all() or not 0.0 < float(radius) < float("inf"):
        raise InputError(
            f"{scene.source}: region of interest with centre {center.tolist()} and radius {radius}; "
            "expected three finite numbers and a positive one, in world units."
        )
    return Region(center, float(radius))


def no_region(scene: Scene, reason: str, kind: type[RegionError] = RegionError) -> RegionError:
    """The error of a scene in which no region can be found; intrinsics of another size are named as the cause."""
    fault = intrinsics_fault(scene)
    return RegionError(f"{scene.source}: {fault.text}.") if fault else kind(f"{scene.source}: {reason}")


def point_nearest_to_axes(scene: Scene, n_rounds: int = 20) -> Tensor:
    """(3,) the point at the least sum of distances to the optical axes: where the cameras look.

    Least squares reweighted by one over the distance (Weiszfeld's method for lines), so that a few cameras that look
    elsewhere have no effect.

    Raises:
        RegionError: the axes are parallel (or there is only one), or they meet behind the cameras.
    """
    origins = scene.camera_to_scene[:, :3, 3]
    axes = torch.nn.functional.normalize(scene.camera_to_scene[:, :3, 2], dim=-1)
    across = torch.eye(3, dtype=axes.dtype) - axes.unsqueeze(-1) * axes.unsqueeze(-2)
    # Its smallest eigenvalue is the squared sine of the spread of the axes: 1e-4 is about half a degree.
    if float(torch.linalg.eigvalsh(across.mean(0))[0]) < 1e-4:
        raise no_region(
            scene,
            f"the optical axes of the {len(scene)} views are parallel, so they do not determine where the "
            "object is; give the centre and the radius of the region of interest.",
        )
    weights = torch.ones(len(scene), dtype=axes.dtype)
    for _ in range(n_rounds):
        normal = (weights[:, None, None] * across).sum(0)
        point = torch.linalg.solve(normal, (weights[:, None] * (across @ origins.unsqueeze(-1)).squeeze(-1)).sum(0))
        offsets = point - origins
        distances = (across @ offsets.unsqueeze(-1)).squeeze(-1).norm(dim=-1)
        weights = 1.0 / distances.clamp_min(1e-3 * float(offsets.norm(dim=-1).median()))
    if float((offsets * axes).sum(-1).median()) <= 0.0:
        raise no_region(
            scene,
            "the cameras look away from the point where their axes meet; expected views around one "
            "object, looking along +z. Check the poses, or give the centre and the radius of the region of interest.",
        )
    return point


def region_from_axes(scene: Scene) -> Region:
    """The sphere about the point where the cameras look that just fits into half of the images, were they centred on it.

    A wide lens sees more than the object: no more than half of the cameras' distance is taken.
    """
    center = point_nearest_to_axes(scene)
    distances = (scene.camera_to_scene[:, :3, 3] - center).norm(dim=-1)
    half_angles = torch.stack([narrow_half_angle(scene.camera(view)) for view in range(len(scene))])
    radius = float((distances * half_angles.sin().clamp_max(0.5)).median())
    return Region(center, min(radius, NEAREST_CAMERA_FRACTION * float(distances.min())), FROM_AXES)


def region_from_depths(scene: Scene, nearest_depths: Tensor) -> Region:
    """The sphere about the point where the cameras look that reaches to the nearest surfaces of half of the views.

    What lies behind the object says nothing about its size, so only the near ends count.

    Args:
        nearest_depths: (V,) of any surface, along each camera's z, world units.

    Raises:
        RegionError: as `point_nearest_to_axes`, or the axes meet before all surfaces.
    """
    center = point_nearest_to_axes(scene)
    offsets = center - scene.camera_to_scene[:, :3, 3]
    depths = (offsets * scene.camera_to_scene[:, :3, 2]).sum(-1)
    reaches = depths - nearest_depths
    radius = MARGIN * float(reaches.median())
    if radius <= 0.0:
        raise no_region(
            scene,
            f"the optical axes meet at depth {float(depths.median()):.4g}, in front of the nearest "
            f"surface at {float(nearest_depths.median()):.4g}; give centre and radius of the region of interest.",
        )
    return Region(center, min(radius, NEAREST_CAMERA_FRACTION * float(offsets.norm(dim=-1).min())), FROM_DEPTHS)


def smallest_ball(points: Tensor, n_rounds: int = 300) -> tuple[Tensor, float]:
    """Centre (3,) and radius of the smallest ball around points (P, 3), to about a hundredth (Badoiu & Clarkson 2003).

    >>> smallest_ball(torch.tensor([[-1.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.5, 0.0]]))[0].round(decimals=1).abs()
    tensor([0., 0., 0.])
    """
    center = (points.amin(0) + points.amax(0)) / 2
    for step in range(n_rounds):
        farthest = points[(points - center).square().sum(-1).argmax()]
        center = center + (farthest - center) / (step + 2)
    return center, float((points - center).norm(dim=-1).max())


def in_frame(pixels: Tensor, depth: Tensor, camera: Camera) -> Tensor:
    """(...,) bool: whether projected points (pixels (..., 2), depth (...,)) lie before the camera and in its image."""
    size = torch.tensor([camera.width, camera.height])
    return (depth > 0) & (pixels >= 0).all(-1) & (pixels < size).all(-1)


def narrow_half_angle(camera: Camera) -> Tensor:
    """() radians: half of the field of view along the side where it is smaller, wherever the principal point lies."""
    return fields_of_view(camera.intrinsics, camera.width, camera.height).min() / 2
