"""How far a surface is from where the images agree about it, as offsets of its distances."""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

from neus.scenes.scene import Scene
from neus.stereo.surface_points import SurfacePoints, surface_points
from neus.stereo.surface_refinement import ROUNDS, Round, refined

# The last round of the initial shape: its images and its lattice.
FINEST: Round = ROUNDS[-1]
# Confidences are means over so many vertices, and beyond what images say offsets fade within as many; both filtered twice.
FADE = 5
TINY = 1e-6


def surface_correction(scene: Scene, distances: NDArray) -> NDArray:
    """(P, P, P) float32 offsets that bring a surface to where the views agree that it is; zero where they say nothing.

    One sweep of the surface (`refined`) measures them; each counts as much as the images are sure of it around
    (`SurfacePoints.confidences`), so that what has little texture stays as smooth as it was. They are not smoothed: a Gaussian of one step
    of the lattice loses two thirds of what they gain (docs/experiments.md).

    Args:
        scene: with or without masks.
        distances: (P, P, P) signed distances of the surface, at vertices linspace(-1, 1, P), [x, y, z].
    """
    found = refined(scene, distances, *FINEST._replace(resolution=len(distances)))
    offsets = np.zeros(distances.shape, np.float32)
    if found.is_visible.any():
        part = _around(found.is_visible)
        known = found.is_visible[part]
        sure = confidence_lattice(surface_points(found.estimates, 2.0 / (len(distances) - 1)), len(distances), part)
        off = np.where(known, found.distances[part] - distances[part], 0.0) * sure
        offsets[part] = faded(off.astype(np.float32), known.astype(np.float32))
    return offsets


def _around(known: NDArray) -> tuple[slice, slice, slice]:
    """The part of the lattice that what is known of it has an effect on: nothing else needs to be filtered."""
    sides = [np.flatnonzero(known.any(axis=tuple(other for other in range(3) if other != axis))) for axis in range(3)]
    return tuple(slice(max(0, side[0] - 2 * FADE), side[-1] + 2 * FADE + 1) for side in sides)


def confidence_lattice(points: SurfacePoints, resolution: int, part: tuple[slice, slice, slice]) -> NDArray:
    """Float32 mean confidence of the points a few vertices around, zero far from all of them, on a part of a (P, P, P) lattice."""
    edges = [np.arange(resolution + 1)[side.start : side.stop + 1] - 0.5 for side in part]
    places = (points.points + 1.0) * (0.5 * (resolution - 1))
    sums, counts = (np.histogramdd(places, edges, weights=w)[0].astype(np.float32) for w in (points.confidences, None))
    means, near = sums / np.maximum(counts, 1.0), (counts > 0.0).astype(np.float32)
    for _ in range(2):
        means, near = uniform_filter(means, FADE), uniform_filter(near, FADE)
    return np.where(near > TINY, means / np.maximum(near, TINY), 0.0)


def faded(offsets: NDArray, known: NDArray) -> NDArray:
    """Offsets as they are where `known` is 1, those around them falling to zero where it is 0; both (P, P, P) float32."""
    near, sums = known, offsets * known
    for _ in range(2):
        near, sums = uniform_filter(near, FADE), uniform_filter(sums, FADE)
    around = sums / np.maximum(near, TINY) * np.minimum(1.0, 2.0 * near)
    # Rounding leaves traces far from all that is known.
    return np.where(known > 0.0, offsets, np.where(near > TINY, around, 0.0)).astype(np.float32)
