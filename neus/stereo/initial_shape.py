"""An initial shape of the object from posed images, for training to start from: depth maps, their fusion, sweeps of the surface."""

import math
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from neus.errors import InputError
from neus.kernels.trilinear.reference import trilinear
from neus.scenes.scene import Scene
from neus.stereo.depth_maps import depth_maps, hull_spans, open_spans
from neus.stereo.fusion import check_hull, fused_shape
from neus.stereo.stereo_views import DepthEstimate, stereo_views
from neus.stereo.surface_points import SurfacePoints, pixel_width, surface_points
from neus.stereo.surface_refinement import ROUNDS, Round, refined
from neus.stereo.visual_hull import hull_values, spread_views

# Longer side of the images in which depths are found first, pixels, and vertices per axis of the lattice that they are fused on.
LONGEST_SIDE, RESOLUTION = 320, 128
# More views than these, from all around, hardly show more.
MOST_VIEWS = 100
# Measured on scans of 43 to 58 views: a pixel and offset of a round takes so many times as long as a pixel and plane of the depth
# maps, of which a view has about so many.
COST_OF_ROUND, PLANES = 4.0, 160
# Points whose normals the lattice contradicts lie on another sheet.
LEAST_SLOPE = 0.5
# One surface point for each voxel of a lattice step.
VOXELS_PER_STEP = 1.0


class InitialShape(NamedTuple):
    """A shape on a lattice and what is known of its surface.

    Attributes:
        distances: (P, P, P) float32, signed, scene units, negative inside, at vertices linspace(-1, 1, P), indexed [x, y, z].
        is_visible: (P, P, P) bool, where images say how far the surface is; elsewhere the shape is a guess.
        points: where views agree that the surface is.
        pixel: width of a pixel of the finest images matched, at the surface, scene units: what the points' errors are measured in.
        round_seconds: what the finest round took; None if it was left out.
    """

    distances: Tensor
    is_visible: Tensor
    points: SurfacePoints
    pixel: float
    round_seconds: float | None = None


def initial_shape(
    scene: Scene,
    on_message: Callable[[str], None] | None = None,
    resolution: int = RESOLUTION,
    rounds: Sequence[Round] = ROUNDS,
    seconds: float = math.inf,
) -> InitialShape:
    """An initial shape of the object.

    Depth maps are fused to the smallest surface that agrees with them; with masks, what nothing is known of is solid within the visual
    hull. Then the surface itself is matched again in finer images, round by round.

    Args:
        scene: with or without masks.
        on_message: receives one line on each stage: what was found, and how long it took.
        resolution: vertices per axis of the lattice before the first round.
        rounds: sweeps of the surface; without any, the result is that of the fused depth maps.
        seconds: rounds that would not end within it are left out, by what the depth maps took.

    Returns:
        Tensors on the CPU.

    Raises:
        InputError: a resolution below 8, masks that have no point in common, or images of which nothing could be matched.
    """
    if resolution < 8:
        raise InputError(f"initial shape: resolution {resolution}; expected at least 8 vertices along each axis.")
    started = time.monotonic()
    tell = _stage_lines(on_message or (lambda text: None))
    scene = scene.subset(spread_views(scene, MOST_VIEWS))
    hull = None if scene.masks is None else hull_values(scene, resolution)
    if hull is not None:
        check_hull(hull, scene.source)
    views = stereo_views(scene, LONGEST_SIDE)
    estimates = depth_maps(views, open_spans(views) if hull is None else hull_spans(views, hull))
    tell(f"depth maps of {len(views)} views, {_known_fraction(estimates):.0%} of the pixels known")
    round_seconds = None
    shape = fused_shape(views, estimates, resolution, hull)
    distances, is_visible = shape.distances, shape.is_visible
    tell(f"depth maps fused on {resolution}^3 vertices")
    for settings, expected in zip(rounds, _expected_seconds(rounds, time.monotonic() - started), strict=True):
        if time.monotonic() - started + expected > seconds:
            round_seconds = None
            tell(f"no time for images of {settings.longest_side} pixels, about {expected:.0f} s; give more --minutes")
            break
        began = time.monotonic()
        refinement = refined(scene, distances, *settings)
        distances, is_visible, estimates = refinement.distances, refinement.is_visible, refinement.estimates
        round_seconds = time.monotonic() - began
        tell(f"surface matched again in images of {settings.longest_side} pixels, on {settings.resolution}^3 vertices")
    points = on_surface(surface_points(estimates, 2.0 / (len(distances) - 1) / VOXELS_PER_STEP), distances)
    tell(f"{len(points.points)} surface points")
    return InitialShape(torch.from_numpy(distances), torch.from_numpy(is_visible), points, pixel_width(estimates), round_seconds)


def _expected_seconds(rounds: Sequence[Round], depths_took: float) -> list[float]:
    """What each round is expected to take, from what depth maps and their fusion took: costs go with pixels and offsets."""
    return [
        depths_took * COST_OF_ROUND * (r.longest_side / LONGEST_SIDE) ** 2 * (2 * r.n_offsets + 1) / PLANES
        for r in rounds
    ]


def on_surface(found: SurfacePoints, distances: np.ndarray) -> SurfacePoints:
    """The points moved onto the zeros of distances (P, P, P): a voxel holds the depths of a few views, the lattice the mean of all.

    Those farther from it than a step of the lattice are left out: the lattice has not followed them.
    """
    if not len(found.points):
        return found
    step, values = 2.0 / (len(distances) - 1), torch.from_numpy(distances)
    points, normals = torch.from_numpy(found.points), torch.from_numpy(found.normals)
    offsets = trilinear(values, points)
    slopes = (trilinear(values, points + step * normals) - trilinear(values, points - step * normals)) / (2.0 * step)
    keeps = (offsets.abs() < step) & (slopes > LEAST_SLOPE)
    moved = points - (offsets / slopes.clamp_min(LEAST_SLOPE)).unsqueeze(-1) * normals
    return SurfacePoints(*(part[keeps].numpy() for part in (moved, normals, torch.from_numpy(found.confidences))))


def _stage_lines(on_message: Callable[[str], None]) -> Callable[[str], None]:
    """Passes on what each stage found, with the time since the one before."""
    started = [time.monotonic()]

    def tell(found: str) -> None:
        now = time.monotonic()
        on_message(f"initial shape: {found} ({now - started[0]:.1f} s)")
        started[0] = now

    return tell


def _known_fraction(estimates: list[DepthEstimate]) -> float:
    return float(np.mean([np.isfinite(estimate.depths).mean() for estimate in estimates]))
