"""How far a surface is from where the images agree about it, as offsets of its distances."""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

from neus.scenes.scene import Scene
from neus.stereo.surface_refinement import ROUNDS, Round, refined

# The last round of the initial shape: its images and its lattice.
FINEST: Round = ROUNDS[-1]
# Beyond what images say offsets fade within so many vertices, filtered twice.
FADE = 5
TINY = 1e-6


def surface_correction(scene: Scene, distances: NDArray) -> NDArray:
    """(P, P, P) float32 offsets that bring a surface to where the views agree that it is; zero where they say nothing.

    One sweep of the surface (`refined`) measures them. They are not smoothed: a Gaussian of one step of the lattice loses two thirds
    of what they gain (DTU scan 24, docs/experiments.md).

    Args:
        scene: with or without masks.
        distances: (P, P, P) signed distances of the surface, at vertices linspace(-1, 1, P), [x, y, z].
    """
    found = refined(scene, distances, *FINEST._replace(resolution=len(distances)))
    known = found.is_visible.astype(np.float32)
    return faded(np.where(found.is_visible, found.distances - distances, 0.0).astype(np.float32), known)


def faded(offsets: NDArray, known: NDArray) -> NDArray:
    """Offsets as they are where `known` is 1, those around them falling to zero where it is 0; both (P, P, P) float32."""
    near, sums = known, offsets * known
    for _ in range(2):
        near, sums = uniform_filter(near, FADE), uniform_filter(sums, FADE)
    around = sums / np.maximum(near, TINY) * np.minimum(1.0, 2.0 * near)
    # Rounding leaves traces far from all that is known.
    return np.where(known > 0.0, offsets, np.where(near > TINY, around, 0.0)).astype(np.float32)
