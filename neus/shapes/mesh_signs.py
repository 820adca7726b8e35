"""Which side of a mesh points lie on: by winding numbers, which bear small holes, or by what can be seen from outside."""

import functools
from dataclasses import dataclass

import numpy as np
import torch
import trimesh
from numpy.typing import NDArray
from scipy import ndimage

from neus.errors import InputError
from neus.kernels.dispatch import kernels_for

RULES = ("winding", "visible")
# Lattice points along each side of the cube in which outside is flooded, and half that cube's side.
LATTICE, HALF_SIDE = 256, 1.1
# A point is looked at so many cells away from the surface: within one cell nothing is flooded.
STEP_AWAY = 2.0


@dataclass(frozen=True, eq=False)
class SignedMesh:
    """A mesh with a rule for inside and outside.

    Attributes:
        mesh: in the normalised frame, within the unit ball.
        rule: one of RULES. `winding`: inside is where the generalised winding number exceeds 1/2 (Jacobson et al. 2013). `visible`:
            outside is what a flood from the corner of a lattice of 256 points a side reaches without coming nearer to the surface
            than one cell; points within a cell or two are judged from two cells away from the surface.
    """

    mesh: trimesh.Trimesh
    rule: str = "winding"

    def sdf(self, points: NDArray) -> NDArray:
        """(n,) signed distances of points (n, 3), exact but for the sign's rule."""
        distances, faces = self._nearest(points)
        return np.where(self.is_inside(points, self.rule, distances, faces), -distances, distances)

    def is_inside(self, points: NDArray, rule: str, distances: NDArray | None = None, faces: NDArray | None = None) -> NDArray:
        """(n,) bool by a rule; distances and numbers (n,) of the nearest faces, if they are known already."""
        if rule == "winding":
            find = kernels_for("winding_number", torch.device("cpu")).winding_numbers
            return find(points, np.asarray(self.mesh.vertices), np.asarray(self.mesh.faces)) > 0.5
        if rule != "visible":
            raise InputError(f"--sign {rule}: expected one of {', '.join(RULES)}.")
        if distances is None or faces is None:
            distances, faces = self._nearest(points)
        nearest = trimesh.triangles.closest_point(self.mesh.triangles[faces], points)
        away = (points - nearest) / np.maximum(distances, 1e-12)[:, None]
        looked_at = np.where((distances < STEP_AWAY * self._cell)[:, None], nearest + STEP_AWAY * self._cell * away, points)
        places = np.rint((looked_at + HALF_SIDE) / self._cell).astype(int).clip(0, LATTICE - 1)
        return ~self._outside[tuple(places.T)]

    def disagreement(self, points: NDArray) -> float:
        """Fraction of points (n, 3) for which both rules differ."""
        return float((self.is_inside(points, "winding") != self.is_inside(points, "visible")).mean())

    def _nearest(self, points: NDArray) -> tuple[NDArray, NDArray]:
        find = kernels_for("nearest_triangle", torch.device("cpu")).nearest_triangles
        return find(points, np.asarray(self.mesh.vertices), np.asarray(self.mesh.faces))

    @property
    def _cell(self) -> float:
        return 2.0 * HALF_SIDE / (LATTICE - 1)

    @functools.cached_property
    def _outside(self) -> NDArray:
        """(256, 256, 256) bool: reached from the corner. One component of what is a cell or more away from the surface."""
        # Finer than half a cell: every point of the surface then lies near a vertex, whose surroundings are looked at exactly.
        fine, _ = trimesh.remesh.subdivide_to_size(self.mesh.vertices, self.mesh.faces, self._cell, max_iter=30)
        close = np.zeros((LATTICE,) * 3, bool)
        close[tuple(np.rint((fine + HALF_SIDE) / self._cell).astype(int).clip(0, LATTICE - 1).T)] = True
        candidates = np.argwhere(ndimage.binary_dilation(close, iterations=2))
        distances, _ = self._nearest(candidates * self._cell - HALF_SIDE)
        is_free = np.ones_like(close)
        is_free[tuple(candidates[distances < self._cell].T)] = False
        pieces, _ = ndimage.label(is_free)
        return pieces == pieces[0, 0, 0]
