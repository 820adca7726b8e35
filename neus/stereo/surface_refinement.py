"""A surface moved to where the images agree about it: swept in every view, and fused in a narrow band about it."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from neus.kernels.dispatch import kernels_for
from neus.kernels.threads import run_tasks
from neus.scenes.scene import Scene
from neus.stereo.depth_maps import agreed
from neus.stereo.rendered_depths import rendered_depths
from neus.stereo.stereo_views import DepthEstimate, StereoView, stereo_views
from neus.stereo.surface_points import cosine_image
from neus.stereo.surface_sweep import sweep_surface

# A depth counts if views around agree with it to so many steps, which are half a pixel here.
AGREEMENT_STEPS = 2.0
# Reach of a depth, in steps of the lattice and in pixels: the larger one.
REACH_IN_STEPS, REACH_IN_PIXELS = 2.5, 8.0
# The band in which values may change, in reaches.
BAND = 2.5
# Views that see a vertex near the surface before their mean says where it is.
N_NEAR = 2
# A vertex is empty if so many views see through it, and this many times more than see it near the surface or behind.
N_THROUGH, THROUGH_PER_OTHER = 3, 2
# Of the depths every so many-th is enough for their median.
SAMPLED = 50


class Round(NamedTuple):
    """Settings of one round, as in `refined`."""

    longest_side: int
    n_offsets: int
    pixels_per_step: float
    window: int
    resolution: int


# Far and wide first: 3 pixels to each side bring back a surface from a lattice of 128; then narrow and fine.
ROUNDS = (Round(640, 6, 0.5, 7, 256), Round(960, 4, 0.5, 5, 320))


@dataclass(frozen=True)
class Refinement:
    """A refined surface.

    Attributes:
        distances: (P, P, P) float32, signed, scene units, negative inside, at vertices linspace(-1, 1, P), [x, y, z].
        is_visible: (P, P, P) bool, where at least two views say how far the surface is.
        estimates: of each view, what others agree with.
    """

    distances: NDArray
    is_visible: NDArray
    estimates: list[DepthEstimate]


def refined(
    scene: Scene,
    distances: NDArray,
    longest_side: int = 640,
    n_offsets: int = 6,
    pixels_per_step: float = 0.5,
    window: int = 7,
    resolution: int = 256,
) -> Refinement:
    """One round: the surface rendered in every view, matched anew at offsets about it, and moved to where views agree.

    Nothing is kept of earlier rounds but the surface itself: what they claimed may be revoked. Where no view says
    anything the surface stays.

    Args:
        scene: with or without masks; pixels outside of them are not matched.
        distances: (P', P', P') signed distances of the surface so far, at vertices linspace(-1, 1, P'), [x, y, z].
        longest_side: of the images as they are matched, pixels.
        n_offsets, pixels_per_step, window: as in `sweep_surface`.
        resolution: P of the result.
    """
    views = stereo_views(scene, longest_side)
    swept = sweep_surface(views, rendered_depths(distances, views), n_offsets, pixels_per_step, window)
    estimates = agreed(views, swept, AGREEMENT_STEPS)
    values, is_visible = moved_values(resampled(distances, resolution), views, estimates)
    distances = kernels_for("zero_distances", torch.device("cpu")).distances_to_zeros(values, 2.0 / (resolution - 1))
    return Refinement(distances, is_visible, estimates)


def resampled(values: NDArray, resolution: int) -> NDArray:
    """(P, P, P) float32 trilinear values on a lattice of another resolution with the same corners."""
    values = np.asarray(values, np.float32)
    for axis in range(3):
        n = values.shape[axis]
        if n == resolution:
            continue
        place = np.linspace(0.0, n - 1.0, resolution)
        low = np.minimum(place.astype(np.int64), n - 2)
        fraction = (place - low).astype(np.float32).reshape([-1 if i == axis else 1 for i in range(3)])
        lower, upper = np.take(values, low, axis=axis), np.take(values, low + 1, axis=axis)
        upper -= lower
        upper *= fraction
        upper += lower
        values = upper
    return values


def moved_values(
    distances: NDArray, views: list[StereoView], estimates: list[DepthEstimate]
) -> tuple[NDArray, NDArray]:
    """(P, P, P) float32 values whose zeros are where depths say the surface is, and bool where they say so.

    Near the surface a value is the mean of the distances before what the views see (Curless & Levoy 1996). What most see
    through becomes empty.
    """
    step = 2.0 / (len(distances) - 1)
    reach = reach_of(views, estimates, step)
    places = np.argwhere(np.abs(distances) < BAND * reach)
    points = np.linspace(-1.0, 1.0, len(distances), dtype=np.float32)[places]
    matrices = np.stack([estimate.matrix for estimate in estimates])
    evidence = kernels_for("band_fusion", torch.device("cpu")).evidence
    depths, cosines = [estimate.depths for estimate in estimates], cosines_of(estimates)
    n_near, mean, n_through, n_behind = evidence(points, matrices, depths, cosines, reach)
    index = tuple(places.T)
    is_near = n_near >= N_NEAR
    moved = np.where(is_near, mean, distances[index])
    is_empty = (n_through >= N_THROUGH) & (n_through > THROUGH_PER_OTHER * np.maximum(n_near, n_behind))
    values, is_visible = distances.copy(), np.zeros(distances.shape, dtype=bool)
    values[index] = np.where(is_empty, np.float32(reach), moved)
    is_visible[index] = is_near
    return values, is_visible


def reach_of(views: list[StereoView], estimates: list[DepthEstimate], step: float) -> float:
    """How far from a depth the surface may be that it means: a few pixels or steps of the lattice, scene units."""
    known = [estimate.depths[np.isfinite(estimate.depths)][::SAMPLED] for estimate in estimates]
    pixels = np.concatenate([depths / view.focal for view, depths in zip(views, known, strict=True)])
    pixel = float(np.median(pixels)) if len(pixels) else 0.0
    return max(REACH_IN_STEPS * step, REACH_IN_PIXELS * pixel)


def cosines_of(estimates: list[DepthEstimate]) -> list[NDArray]:
    """The `cosine_image` of each view."""
    found: list[NDArray] = [np.empty(0)] * len(estimates)

    def see(index: int) -> None:
        found[index] = cosine_image(estimates[index])

    run_tasks(see, [(index,) for index in range(len(estimates))])
    return found
