"""Bodies put together from simple solids, each at its place: closed forms whose surface is known exactly.

A body is a union of solids in its parts (what is painted alike). Its signed distance is the least of its solids': exact outside; inside,
exact but where solids overlap. A solid may have relief, waves that move its surface: then the value is a lower bound of the
distance, with the same sign and zero where the surface is.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from neus.geometry import shapes
from neus.geometry.poses import invert, rotation_from_vector
from neus.geometry.similarity import similarity, transform_points

Triple = tuple[float, float, float]
KINDS = ("revolution", "prism", "torus", "capsule", "sphere", "box")


class Relief(NamedTuple):
    """Waves that move a surface outwards by amplitude * mean over waves of sin(k . x + phase).

    Attributes:
        amplitude: the most they move it, scene units.
        waves: rows (k_x, k_y, k_z, phase), radians per scene unit and radians.
    """

    amplitude: float
    waves: tuple[tuple[float, float, float, float], ...]

    @property
    def slope(self) -> float:
        """The most that the height changes per unit of length: with it the value stays a bound of the distance."""
        return self.amplitude * sum(math.hypot(*wave[:3]) for wave in self.waves) / len(self.waves)


@dataclass(frozen=True, eq=False)
class Solid:
    """One solid.

    Attributes:
        kind: one of KINDS.
        sizes: of it: `torus` ring radius, tube radius, half arc; `capsule` length along z, radius; `sphere` radius; `box`
            three half sides, rounding; `prism` half height; `revolution` none.
        corners: of the polygon of a `revolution` (distance from the axis, z) or a `prism` (x, y).
        to_local: (4, 4) float64 rigid motion from the scene to its own frame.
        part: number of the part it belongs to.
        relief: of its surface, or None.
    """

    kind: str
    sizes: tuple[float, ...] = ()
    corners: tuple[tuple[float, float], ...] = ()
    to_local: Tensor = torch.eye(4, dtype=torch.float64)
    part: int = 0
    relief: Relief | None = None

    def plain_distance(self, points: Tensor) -> Tensor:
        """Signed distance (...) of points (..., 3), scene frame, to the solid without its relief."""
        local, sizes = transform_points(self.to_local, points), self.sizes
        if self.kind == "revolution":
            return shapes.revolution(local, self.corners)
        if self.kind == "prism":
            return shapes.prism(local, self.corners, sizes[0])
        if self.kind == "torus":
            return shapes.torus(local, *sizes)
        if self.kind == "capsule":
            return shapes.capsule(local, (0.0, 0.0, 0.0), (0.0, 0.0, sizes[0]), sizes[1])
        if self.kind == "sphere":
            return shapes.sphere(local, sizes[0])
        assert self.kind == "box", self.kind
        return shapes.box(local, sizes[:3], sizes[3])

    def distance(self, points: Tensor) -> Tensor:
        """The same with relief: f = (d - a w(x)) / (1 + slope), w the mean of the waves, or d -+ a where that bounds it better."""
        d = self.plain_distance(points)
        if self.relief is None:
            return d
        amplitude, waves = self.relief.amplitude, points.new_tensor(self.relief.waves)
        height = amplitude * torch.sin(points @ waves[:, :3].T + waves[:, 3]).mean(dim=-1)
        near = (d - height) / (1.0 + self.relief.slope)
        return torch.where(d > 0.0, torch.maximum(near, d - amplitude), torch.minimum(near, d + amplitude))

    def bound(self) -> tuple[Triple, float]:
        """Centre, scene frame, and radius of a sphere that holds it."""
        middle, radius = (0.0, 0.0, 0.0), 0.0
        if self.kind in ("revolution", "prism"):
            radius, middle = self._bound_of_corners()
        elif self.kind == "torus":
            radius = self.sizes[0] + self.sizes[1]
        elif self.kind == "capsule":
            middle, radius = (0.0, 0.0, self.sizes[0] / 2), self.sizes[0] / 2 + self.sizes[1]
        else:
            radius = self.sizes[0] if self.kind == "sphere" else math.hypot(*self.sizes[:3])
        center = transform_points(invert(self.to_local), torch.tensor(middle, dtype=torch.float64))
        return tuple(center.tolist()), radius + (self.relief.amplitude if self.relief else 0.0)

    def _bound_of_corners(self) -> tuple[float, Triple]:
        first, second = zip(*self.corners, strict=True)
        low, high = min(second), max(second)
        if self.kind == "revolution":
            middle = (low + high) / 2
            return max(math.hypot(x, y - middle) for x, y in self.corners), (0.0, 0.0, middle)
        x, y = (min(first) + max(first)) / 2, (low + high) / 2
        return max(math.hypot(a - x, b - y, self.sizes[0]) for a, b in self.corners), (x, y, 0.0)


@dataclass(frozen=True, eq=False)
class Body:
    """A body.

    Attributes:
        solids: it is the union of.
        radius: no part of it lies farther from the scene's centre.
        n_parts: of its solids.
    """

    solids: tuple[Solid, ...]
    radius: float

    @property
    def n_parts(self) -> int:
        """How many parts it has."""
        return 1 + max(solid.part for solid in self.solids)

    @property
    def is_distance(self) -> bool:
        """Whether its values are distances; with relief they are bounds."""
        return all(solid.relief is None for solid in self.solids)

    def part_distances(self, points: Tensor) -> Tensor:
        """Signed distances (..., parts) of points (..., 3), scene frame."""
        distances = [solid.distance(points) for solid in self.solids]
        parts = [[d for d, s in zip(distances, self.solids, strict=True) if s.part == k] for k in range(self.n_parts)]
        return torch.stack([shapes.union(*part) for part in parts], dim=-1)

    def sdf(self, points: Tensor) -> Tensor:
        """Signed distance (...) of points (..., 3) to the body."""
        return self.part_distances(points).amin(dim=-1)


def placed(center: Sequence[float], *turns: Sequence[float]) -> Tensor:
    """(4, 4) from the scene to a solid at `center`, turned by rotation vectors, each about its own axes so far."""
    rotation = torch.eye(3, dtype=torch.float64)
    for turn in turns:
        rotation = rotation @ rotation_from_vector(torch.tensor(turn, dtype=torch.float64))
    return invert(similarity(1.0, torch.tensor(center, dtype=torch.float64), rotation))


def rod(start: Sequence[float], end: Sequence[float], radius: float, part: int = 0) -> Solid:
    """All points within `radius` of the segment from start to end."""
    start, end = (torch.tensor(point, dtype=torch.float64) for point in (start, end))
    axis = end - start
    length = float(axis.norm())
    # The turn that takes z to the axis: about z x axis, by the angle between them.
    angle = math.acos(max(-1.0, min(1.0, float(axis[2]) / length)))
    across = torch.tensor([-float(axis[1]), float(axis[0]), 0.0], dtype=torch.float64)
    across = across / across.norm() if float(across.norm()) > 0.0 else torch.tensor([1.0, 0.0, 0.0]).double()
    return Solid("capsule", (length, radius), to_local=placed(start.tolist(), (angle * across).tolist()), part=part)


def block(
    center: Sequence[float], half_sides: Sequence[float], rounding: float = 0.0, part: int = 0, turn: float = 0.0
) -> Solid:
    """A box, turned about z by so many radians."""
    return Solid("box", (*half_sides, rounding), to_local=placed(center, (0.0, 0.0, turn)), part=part)
