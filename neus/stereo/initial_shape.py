"""An initial shape of the object from posed images, for training to start from: depth maps, their fusion, sweeps of the surface."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from neus.errors import InputError
from neus.scenes.scene import Scene
from neus.stereo.depth_maps import depth_maps, open_spans
from neus.stereo.fusion import fused_shape
from neus.stereo.stereo_views import StereoView, stereo_views
from neus.stereo.surface_points import SurfacePoints, surface_points
from neus.stereo.surface_refinement import refined
from neus.stereo.visual_hull import BALL_RADIUS, hull_values

# Longer side of the images in which depths are found first, pixels, and vertices per axis of the lattice that they are fused on.
LONGEST_SIDE, RESOLUTION = 320, 128


@dataclass(frozen=True)
class Round:
    """A sweep of the surface: of which images, how far, on which lattice."""

    longest_side: int
    n_offsets: int
    resolution: int


# Offsets are half a pixel apart: a few pixels each way first, then less in images that resolve more.
ROUNDS = (Round(640, 6, 256), Round(960, 4, 320))
# Parts of the time of each stage, for progress: depth maps, fusion, and each round.
DEPTHS_DONE, FUSION_DONE = 0.4, 0.5


class InitialShape(NamedTuple):
    """A shape on a lattice and what is known of its surface.

    Attributes:
        distances: (P, P, P) float32, signed, scene units, negative inside, at vertices linspace(-1, 1, P), indexed [x, y, z].
        is_visible: (P, P, P) bool, where images say how far the surface is; elsewhere the shape is a guess.
        points: where views agree that the surface is.
    """

    distances: Tensor
    is_visible: Tensor
    points: SurfacePoints


def initial_shape(
    scene: Scene,
    on_progress: Callable[[float], None] | None = None,
    resolution: int = RESOLUTION,
    rounds: tuple[Round, ...] = ROUNDS,
) -> InitialShape:
    """An initial shape of the object.

    Depth maps are fused to the smallest surface that agrees with them; with masks, what nothing is known of is solid within the visual
    hull. Then the surface itself is matched again in finer images, round by round.

    Args:
        scene: with or without masks.
        on_progress: receives the fraction of the work that is done, from 0 to 1.
        resolution: vertices per axis of the lattice before the first round.
        rounds: sweeps of the surface; without any, the result is that of the fused depth maps.

    Returns:
        Tensors on the CPU.

    Raises:
        InputError: masks that have no point in common, or images of which nothing could be matched.
    """
    progress = on_progress or (lambda fraction: None)
    hull = None
    if scene.masks is not None:
        hull = hull_values(scene, resolution)
        if not (hull < 0).any():
            raise InputError(
                f"{scene.source}: the masks of the {len(scene)} views have no point in common inside the unit sphere; check "
                "that masks and cameras belong to the same images, or train without masks (--conf womask.conf)."
            )
    views = stereo_views(scene, LONGEST_SIDE)
    spans = open_spans(views) if hull is None else hull_spans(views, hull)
    estimates = depth_maps(views, spans, lambda fraction: progress(DEPTHS_DONE * fraction))
    shape = fused_shape(views, estimates, resolution, hull)
    distances, is_visible = shape.distances, shape.is_seen
    for i, step in enumerate(rounds):
        progress(FUSION_DONE + (1.0 - FUSION_DONE) * i / len(rounds))
        refinement = refined(scene, distances, step.longest_side, step.n_offsets, resolution=step.resolution)
        distances, is_visible, estimates = refinement.distances, refinement.is_seen, refinement.estimates
    progress(1.0)
    return InitialShape(torch.from_numpy(distances), torch.from_numpy(is_visible), surface_points(estimates, 1.0 / len(distances)))


def hull_spans(views: list[StereoView], hull: np.ndarray) -> np.ndarray:
    """(V, 2) nearest and farthest depth at which each view may see the visual hull, values (P, P, P), negative inside."""
    step = 2.0 / (len(hull) - 1)
    # A view's nearest and farthest vertex lie among the first and last of their columns.
    inside = hull < 0
    ends = inside & ~(np.roll(inside, 1, axis=2) & np.roll(inside, -1, axis=2))
    points = np.argwhere(ends) * step - 1.0
    axes, centers = (np.array([getattr(view, name) for view in views]) for name in ("forward", "center"))
    depths = points @ axes.T - (centers * axes).sum(-1)
    near, far = depths.min(axis=0) - step, depths.max(axis=0) + step
    return np.stack([np.maximum(near, 0.1 * np.linalg.norm(centers, axis=-1)), far], axis=-1)


__all__ = ["BALL_RADIUS", "InitialShape", "Round", "initial_shape"]
