"""What was observed of a shape: distances at points, and space that is known to be free. No answer, only evidence."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import ConvexHull, Delaunay
from torch import Tensor

from neus.errors import InputError
from neus.shapes.samples import ShapeSamples

# How far from a surface point, along its normal and against it, the distance is known: eta of the paper.
ETA = 0.01
# Points outside of the hull of a whole cloud, for each of its points.
FREE_PER_POINT = 1.0


@dataclass(frozen=True, eq=False)
class Observations:
    """Evidence about one shape, in the frame in which it was observed.

    Attributes:
        points: (n, 3) where distances are known, or about known.
        distances: (n,) there; negative inside.
        free: (m, 3) points outside the shape, of which no distance is known.
    """

    points: Tensor
    distances: Tensor
    free: Tensor

    def subset(self, n: int, generator: torch.Generator) -> "Observations":
        """At most n of the points and as large a part of the free ones, at random."""
        if len(self.points) <= n:
            return self
        chosen = torch.randperm(len(self.points), generator=generator)[:n]
        n_free = round(len(self.free) * n / len(self.points))
        free = torch.randperm(len(self.free), generator=generator)[:n_free]
        return Observations(self.points[chosen], self.distances[chosen], self.free[free])

    def moved(self, rotation: Tensor, translation: Tensor, scale: float) -> "Observations":
        """The same evidence of the shape that is turned, scaled and moved: x -> scale R x + t."""

        def placed(points: Tensor) -> Tensor:
            return scale * points @ rotation.T.to(points) + translation.to(points)

        return Observations(placed(self.points), scale * self.distances, placed(self.free))


def of_samples(samples: ShapeSamples, n: int | None = None, generator: torch.Generator | None = None) -> Observations:
    """Evidence from samples: all of them, or n, half of each side as in training, drawn with replacement.

    Raises:
        InputError: one side is missing.
    """
    if len(samples.positive) == 0 or len(samples.negative) == 0:
        side = "outside (pos)" if len(samples.positive) == 0 else "inside (neg)"
        raise InputError(f"samples: there are none {side}, expected some on both sides: with one alone the surface is open.")
    rows = samples.all
    if n is not None:
        generator = generator or torch.Generator().manual_seed(0)
        halves = zip(samples, (n - n // 2, n // 2), strict=True)
        rows = torch.cat([side[torch.randint(len(side), (count,), generator=generator)] for side, count in halves])
    return Observations(rows[:, :3], rows[:, 3], rows.new_zeros(0, 3))


def of_oriented_points(points: NDArray, normals: NDArray, eta: float = ETA, free: NDArray | None = None) -> Observations:
    """Evidence from surface points (n, 3) with outward normals (n, 3): +eta at p + eta n, -eta at p - eta n."""
    both = torch.from_numpy(np.concatenate([points + eta * normals, points - eta * normals]).astype(np.float32))
    distances = torch.cat([torch.full((len(points),), eta), torch.full((len(points),), -eta)])
    return Observations(both, distances, _points(free))


def of_bare_points(points: NDArray, seed: int = 0) -> Observations:
    """Evidence from points (n, 3) of a whole surface without normals: zero there, and free space outside of their convex hull.

    Zeros alone leave the sign open; what lies outside of the hull of a whole cloud is outside of the shape.
    """
    generator = np.random.default_rng(seed)
    try:
        hull = Delaunay(points[ConvexHull(points).vertices])
    except Exception as error:  # what Qhull makes of flat clouds
        raise InputError(f"points: all {len(points)} lie in a plane, expected those of a surface that encloses something.") from error
    n = max(256, int(FREE_PER_POINT * len(points)))
    free = generator.uniform(-1.0, 1.0, (8 * n, 3))
    free = free[hull.find_simplex(free) < 0][:n]
    return Observations(_points(points), torch.zeros(len(points)), _points(free))


def _points(points: NDArray | None) -> Tensor:
    return torch.zeros(0, 3) if points is None else torch.from_numpy(np.ascontiguousarray(points, np.float32))


def describe(observations: Observations) -> dict[str, Any]:
    """Counts, for records."""
    return {"points": len(observations.points), "free": len(observations.free)}
