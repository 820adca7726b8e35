"""What a mesh of a model will cost in seconds, and how fine a mesh fits in a time; measured on the model itself.

Extraction evaluates only what is near the surface, so points and vertices grow with the square of the resolution
(`neus/meshing/lattice.py`). They are counted on a coarse lattice, and multiplied by the measured time of one.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from neus.errors import InputError
from neus.meshing.extract import extract_mesh
from neus.meshing.lattice import BOUND_SAMPLES, NEWTON_STEPS
from neus.meshing.visibility import MOST_VIEWS
from neus.rendering.model import Model
from neus.rendering.queries import surface_functions

# Lattice on which points are counted, and points of the timed calls; gradients and colours cost several times more.
PROBE_RESOLUTION, PROBE_POINTS, PROBE_VERTICES = 64, 2**15, 2**12
# Points and vertices for each square of the resolution, of a sphere that nearly fills the box; used for no surface yet.
SPHERE_POINTS, SPHERE_VERTICES = 18.0, 3.7
# Seconds of marching cubes and file for each point, measured on two cores for spheres of 128 to 384 points 0.6e-6 to 1.9e-6; as many
# points as at the probe's resolution are not evaluated in the end, so that the middle of it was too much for real scenes (8 s for 4).
SECONDS_PER_POINT_OUTSIDE = 1e-6
# Seconds to test of a vertex with two faces whether a view sees it, measured on one core: drawing, projection, comparison.
SECONDS_PER_VERTEX_AND_VIEW = 2.5e-7
# Points that the bound on the slope takes at any resolution.
FIXED_POINTS = BOUND_SAMPLES * (1 + NEWTON_STEPS)
# How often a call is timed, unless it takes so many seconds that its first time says enough.
REPEATS, SLOW = 5, 0.2
COARSEST, STEP = 128, 32


@dataclass(frozen=True)
class MeshCost:
    """What one mesh takes.

    Attributes:
        points, vertices: evaluated distances and vertices of the mesh for each square of the resolution.
        point, gradient, color: seconds of one distance, one gradient, one colour.
        n_views: whose visibility of the mesh is tested.
    """

    points: float
    vertices: float
    point: float
    gradient: float
    color: float
    n_views: int = 0

    def seconds(self, resolution: int) -> float:
        """Of a mesh with `resolution` points along each axis, its colours and its file.

        >>> round(MeshCost(18.0, 3.7, 1e-6, 4e-6, 5e-6).seconds(256), 1)
        4.6
        """
        area = resolution**2
        fixed = FIXED_POINTS * (self.point + self.gradient)
        of_vertices = self.vertices * (self.gradient + self.color + self.n_views * SECONDS_PER_VERTEX_AND_VIEW)
        return fixed + area * (self.points * (self.point + SECONDS_PER_POINT_OUTSIDE) + of_vertices)

    def resolution_within(self, seconds: float, finest: int) -> int:
        """The finest resolution up to `finest` that takes no longer than `seconds`, but never below COARSEST.

        >>> cost = MeshCost(18.0, 3.7, 1e-6, 4e-6, 5e-6)
        >>> [cost.resolution_within(s, 384) for s in (100.0, 5.0, 0.1)]
        [384, 256, 128]
        """
        fitting = (r for r in range(finest, COARSEST, -STEP) if self.seconds(r) <= seconds)
        return next(fitting, COARSEST)


def measured_mesh_cost(
    model: Model, patience: float = float("inf"), clock: Callable[[], float] = time.monotonic, n_views: int = 0
) -> MeshCost:
    """The cost of a mesh of the model as it is now.

    Args:
        model: on its device.
        patience: seconds; if counting points would take longer, or there is no surface, a large sphere is assumed.
        clock: seconds.
        n_views: of the scene; more than MOST_VIEWS are not used.
    """
    low, high = model.box.to(model.device, torch.float32)
    points = torch.rand(PROBE_POINTS, 3, generator=torch.Generator().manual_seed(0)).to(low) * (high - low) + low
    few = points[:PROBE_VERTICES]
    sdf, of_gradient = surface_functions(model)
    point = _seconds_of(lambda: sdf(points), clock) / PROBE_POINTS
    gradient = _seconds_of(lambda: of_gradient(few), clock) / PROBE_VERTICES
    color = _seconds_of(lambda: model.surface_color(few, few), clock) / PROBE_VERTICES
    assumed = MeshCost(SPHERE_POINTS, SPHERE_VERTICES, point, gradient, color, min(n_views, MOST_VIEWS))
    if assumed.seconds(PROBE_RESOLUTION) > patience:
        return assumed
    n_points = 0

    def counted_sdf(points: torch.Tensor) -> torch.Tensor:
        nonlocal n_points
        n_points += len(points)
        return sdf(points)

    try:
        mesh = extract_mesh(
            counted_sdf,
            torch.stack([low, high]),
            PROBE_RESOLUTION,
            gradient=of_gradient,
        )
    except InputError:
        return assumed
    area = PROBE_RESOLUTION**2
    return replace(assumed, points=(n_points - FIXED_POINTS) / area, vertices=len(mesh.vertices) / area)


@torch.no_grad()
def _seconds_of(function: Callable[[], torch.Tensor], clock: Callable[[], float]) -> float:
    """Of one call: the median of REPEATS, since others may use the machine; of the first alone if that was slow."""
    seconds: list[float] = []
    while len(seconds) < REPEATS and sum(seconds) < SLOW:
        started = clock()
        function().flatten()[-1].item()  # a number on the CPU: devices have finished then
        seconds.append(clock() - started)
    return sorted(seconds)[len(seconds) // 2]
