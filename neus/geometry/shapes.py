"""Signed distances of simple shapes in closed form: truth for tests and for the built-in scene.

Every function takes points (..., 3) of any dtype and batch shape and returns distances (...) in the same unit: negative
inside, exact on both sides of the surface, differentiable (the gradient is zero where no nearest point is unique).
Shapes are centred at the origin; move the points into their frame to place them. Formulas after Quilez, "Distance functions".
"""

import functools
import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.linalg import vector_norm

Point = tuple[float, float]


def sphere(points: Tensor, radius: float) -> Tensor:
    """Signed distance (...) to the sphere |x| = radius.

    >>> sphere(torch.tensor([0.0, 3.0, 4.0]), 2.0)
    tensor(3.)
    """
    return vector_norm(points, dim=-1) - radius


def plane(points: Tensor, normal: Tensor, offset: float = 0.0) -> Tensor:
    """Signed distance (...) to the half-space normal . x <= offset, `normal` (3,) a unit vector out of it.

    >>> plane(torch.tensor([5.0, 0.0, 3.0]), torch.tensor([0.0, 0.0, 1.0]), offset=1.0)
    tensor(2.)
    """
    return points @ normal.to(points) - offset


def box(points: Tensor, half_sides: Sequence[float], rounding: float = 0.0) -> Tensor:
    """Signed distance (...) to the box |x_i| <= half_sides_i with edges of radius `rounding` <= min half_sides.

    >>> box(torch.tensor([[4.0, 5.0, 0.0], [0.9, 0.0, 0.0]]), (1.0, 1.0, 1.0))
    tensor([ 5.0000, -0.1000])
    """
    return _box(points, [side - rounding for side in half_sides]) - rounding


def cylinder(points: Tensor, radius: float, half_height: float) -> Tensor:
    """Signed distance (...) to the solid cylinder x^2 + y^2 <= radius^2, |z| <= half_height.

    >>> cylinder(torch.tensor([4.0, 0.0, 5.0]), radius=1.0, half_height=1.0)
    tensor(5.)
    """
    return _box(_meridian(points), [radius, half_height])


def capsule(points: Tensor, start: Sequence[float], end: Sequence[float], radius: float) -> Tensor:
    """Signed distance (...) to all points within `radius` of the segment from `start` to `end`, (3,) each.

    >>> capsule(torch.tensor([2.0, 0.0, 9.0]), (0.0, 0.0, 0.0), (0.0, 0.0, 9.0), 0.5)
    tensor(1.5000)
    """
    start, end = points.new_tensor(start), points.new_tensor(end)
    axis = end - start
    offset = points - start
    along = ((offset @ axis) / (axis @ axis)).clamp(0.0, 1.0)
    return vector_norm(offset - along.unsqueeze(-1) * axis, dim=-1) - radius


def torus(points: Tensor, ring_radius: float, tube_radius: float, half_arc: float = math.pi) -> Tensor:
    """Signed distance (...) to the torus about the z axis, or to an arc of it with round ends.

    Args:
        points: (..., 3).
        ring_radius: of the circle in the xy plane that runs inside the tube.
        tube_radius: at most `ring_radius`.
        half_arc: radians to either side of the +x axis that the arc reaches; pi for the closed ring.

    >>> torus(torch.tensor([[4.0, 0.0, 0.0], [-4.0, 0.0, 0.0]]), 4.0, 1.0, half_arc=0.5 * math.pi)
    tensor([-1.0000,  4.6569])
    """
    x, y, z = points.unbind(-1)
    y = y.abs()
    from_ring = torch.stack([vector_norm(points[..., :2], dim=-1) - ring_radius, z], dim=-1)
    from_end = torch.stack([x - ring_radius * math.cos(half_arc), y - ring_radius * math.sin(half_arc), z], dim=-1)
    # The sine of (angle of (x, y)) - half_arc: both angles lie in [0, pi], so its sign tells which is greater.
    is_past_end = y * math.cos(half_arc) - x * math.sin(half_arc) > 0
    return torch.where(is_past_end, vector_norm(from_end, dim=-1), vector_norm(from_ring, dim=-1)) - tube_radius


def polygon(points: Tensor, corners: Sequence[Point]) -> Tensor:
    """Signed distance (...) of points (..., 2) to a simple polygon, given by its corners in order, either way round.

    The square of the distance to each edge, the least of them, and its sign by the even-odd rule.

    >>> polygon(torch.tensor([[2.0, 0.5], [0.75, 0.5]]), [(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)])
    tensor([ 1.0000, -0.2500])
    """
    return _polygon(points, _edges(corners))


def revolution(points: Tensor, corners: Sequence[Point]) -> Tensor:
    """Signed distance (...) to the solid swept by a polygon that is turned about the z axis.

    Exact: the nearest point of the surface lies in the half-plane through the axis and the point itself.

    Args:
        points: (..., 3).
        corners: (radius >= 0, z) of a simple polygon; edges on the axis lie within the solid and are no surface.

    >>> revolution(torch.tensor([0.0, 0.0, 0.25]), [(0.0, 0.0), (3.0, 0.0), (3.0, 1.0), (0.0, 1.0)])
    tensor(-0.2500)
    """
    return _polygon(_meridian(points), [edge for edge in _edges(corners) if edge[0][0] > 0.0 or edge[1][0] > 0.0])


def prism(points: Tensor, corners: Sequence[Point], half_height: float) -> Tensor:
    """Signed distance (...) to the solid swept by a polygon in the xy plane along z, from -half_height to half_height.

    >>> prism(torch.tensor([4.0, 0.5, 5.0]), [(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)], half_height=1.0)
    tensor(5.)
    """
    beyond = torch.stack([polygon(points[..., :2], corners), points[..., 2].abs() - half_height], dim=-1)
    return vector_norm(beyond.clamp_min(0.0), dim=-1) + beyond.amax(dim=-1).clamp_max(0.0)


def union(*distances: Tensor) -> Tensor:
    """Signed distance (...) to all shapes together: the least. Exact outside; inside, exact but where shapes overlap.

    A surface buried in another shape still counts, so within an overlap the depth is a lower bound.

    >>> union(torch.tensor([1.0, -0.5]), torch.tensor([2.0, -0.1]))
    tensor([ 1.0000, -0.5000])
    """
    return functools.reduce(torch.minimum, distances)


def intersection(*distances: Tensor) -> Tensor:
    """Signed distance (...) to the intersection of all shapes: the greatest. Exact inside; outside, a bound beyond its edges."""
    return functools.reduce(torch.maximum, distances)


def difference(solid: Tensor, removed: Tensor) -> Tensor:
    """Signed distance (...) to `solid` without `removed`: max(solid, -removed), a bound like `intersection`'s."""
    return torch.maximum(solid, -removed)


def _box(points: Tensor, half_sides: Sequence[float]) -> Tensor:
    beyond = points.abs() - points.new_tensor(half_sides)
    return vector_norm(beyond.clamp_min(0.0), dim=-1) + beyond.amax(dim=-1).clamp_max(0.0)


def _meridian(points: Tensor) -> Tensor:
    """(..., 2): the distance from the z axis, and z."""
    return torch.stack([vector_norm(points[..., :2], dim=-1), points[..., 2]], dim=-1)


def _edges(corners: Sequence[Point]) -> list[tuple[Point, Point]]:
    return list(zip(corners, [*corners[1:], corners[0]], strict=True))


def _polygon(points: Tensor, edges: list[tuple[Point, Point]]) -> Tensor:
    x, y = points.unbind(-1)
    nearest_squared, is_inside = torch.full_like(x, math.inf), torch.zeros_like(x, dtype=torch.bool)
    # Comparisons are the slow part, so edges reuse those of their corners.
    is_above = {height: y >= height for edge in edges for _, height in edge}
    # Edge by edge: no temporary is larger than the points, so large batches stay in the CPU's cache.
    for (start_x, start_y), (end_x, end_y) in edges:
        length = math.hypot(end_x - start_x, end_y - start_y)
        unit_x, unit_y = (end_x - start_x) / length, (end_y - start_y) / length
        from_x, from_y = x - start_x, y - start_y
        along = torch.add(from_x * unit_x, from_y, alpha=unit_y)
        across = torch.add(from_x * unit_y, from_y, alpha=-unit_x)  # positive to the right of the edge
        beyond = along - along.clamp(0.0, length)
        nearest_squared = torch.minimum(nearest_squared, torch.addcmul(across.square(), beyond, beyond))
        if start_y != end_y:
            # A ray from the point along +x crosses the edge; half-open in y, so that a corner is crossed once.
            is_left = across < 0.0 if unit_y > 0.0 else across > 0.0
            is_inside = is_inside ^ ((is_above[start_y] != is_above[end_y]) & is_left)
    # On the surface itself the root has no slope; the floor makes the gradient zero there, not NaN.
    distance = nearest_squared.clamp_min(torch.finfo(x.dtype).tiny).sqrt()
    return torch.where(is_inside, -distance, distance)
