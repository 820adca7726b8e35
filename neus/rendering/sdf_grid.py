"""A coarse grid of signed distances, which may follow the surface in training, and gives the intervals where rays meet it."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Generator, Tensor

from neus.geometry.rays import intersect_sphere
from neus.kernels.dispatch import kernels_for
from neus.kernels.seeds import generator_on

# Vertices per axis; a voxel is then 1/63 of the unit sphere's radius.
RESOLUTION = 128
# Intervals are placed with a low sharpness, whatever the true one: a high one would put none beside the surface.
SHARPNESS_RANGE = (40.0, 400.0)
SHARPNESS_FRACTION = 0.5
# Vertices further from the surface than this are not evaluated again: no intervals are placed there.
REFRESH_WITHIN = 0.25
# Slabs are refreshed in this order, a step without common factor with their number, so that no part waits for long.
SLAB_STRIDE = 37
# Rays that keep so far from every cached surface, scene units, pass it: some voxels, since caches lag behind.
EMPTY_RAY_MARGIN = 0.06
# Vertices evaluated at a time.
CHUNK = 2**16
_CPU = torch.device("cpu")


class SdfSamples(NamedTuple):
    """What the samples of a step give about the surface: points and raw gradients (3, M), sdf (M,), and which count, None for all."""

    points: Tensor
    sdf: Tensor
    gradients: Tensor
    counts: Tensor | None = None


class SdfGrid:
    """Signed distances at the vertices of a lattice over [-1, 1]^3: the latest values there.

    Attributes:
        values: (P, P, P), scene units, indexed [x, y, z].
        slab: number of slabs refreshed so far.
    """

    def __init__(self, values: Tensor) -> None:
        self.values = values.contiguous().float()
        self.axis = torch.linspace(-1.0, 1.0, len(values)).to(values.device)
        self.slab = 0

    @classmethod
    @torch.no_grad()
    def of(
        cls, sdf: Callable[[Tensor], Tensor], resolution: int = RESOLUTION, device: torch.device = _CPU
    ) -> "SdfGrid":
        """A cache, on a device, of distances sdf (M,) of points (M, 3) there, evaluated at every vertex."""
        axis = torch.linspace(-1.0, 1.0, resolution).to(device)
        points = torch.cartesian_prod(axis, axis, axis)
        values = torch.cat([sdf(part) for part in points.split(CHUNK)])
        return cls(values.view(resolution, resolution, resolution))

    def intervals(
        self,
        origins: Tensor,
        directions: Tensor,
        n_intervals: int,
        sharpness: float | Tensor,
        uniform_fraction: float,
        generator: Generator | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Ends (N, K + 1) of the intervals of rays (N, 3), (N, 3), and their minimum distance (N,): see `kernels.guided_sampling`.

        Args:
            n_intervals: K.
            sharpness: the model's; as a tensor () it is not waited for.
            uniform_fraction: of the intervals, spread along the rays.
            generator: of the jitter; None puts every end in the middle of its stratum.
        """
        enters, leaves, hits = intersect_sphere(origins, directions)
        far = torch.where(hits, leaves, enters)
        lowest, highest = SHARPNESS_RANGE
        sampling_sharpness = (torch.as_tensor(sharpness) * SHARPNESS_FRACTION).clamp(lowest, highest)
        shape = (len(origins), n_intervals + 1)
        jitter = torch.full(shape, 0.5, device=origins.device)
        if generator is not None:
            generator = generator_on(origins.device, generator)
            jitter = torch.rand(shape, generator=generator, device=origins.device)
        guided_intervals = kernels_for("guided_sampling", origins.device).guided_intervals
        return guided_intervals(origins, directions, enters, far, self.values, sampling_sharpness, uniform_fraction, jitter)

    def starts(
        self, origins: Tensor, directions: Tensor, near: Tensor, far: Tensor, lipschitz: float, margin: float
    ) -> Tensor:
        """(N,) distances along rays (N, 3), (N, 3), from `near` (N,) on, before which f > margin: see `kernels.skip_empty_space`."""
        kernels = kernels_for("skip_empty_space", near.device)
        return kernels.skip_empty_space(origins, directions, near, far, self.values, lipschitz, margin)

    def update(self, samples: SdfSamples) -> None:
        """Takes over what samples showed: at the vertex v nearest to a sample x, f(x) + grad f . (v - x), where that is finite.

        A step that is not finite is known for one only afterwards, and what it left here would outlive it.
        """
        last = len(self.axis) - 1
        per_unit = 0.5 * last
        cells = ((samples.points + 1.0) * per_unit).round().clamp(0, last).nan_to_num(0.0)
        offsets = cells / per_unit - 1.0 - samples.points
        values = samples.sdf + (samples.gradients * offsets).sum(0)
        x, y, z = cells.long()
        places = (x * (last + 1) + y) * (last + 1) + z
        counts = values.isfinite() if samples.counts is None else values.isfinite() & samples.counts
        if values.device.type == "cpu":
            # numpy: of several samples at one vertex the last one stays, every time.
            self.values.view(-1).numpy()[places[counts].numpy()] = values[counts].numpy()
            return
        _put_last(self.values.view(-1), places, values, counts)

    def refresh(self, sdf: Callable[[Tensor], Tensor]) -> None:
        """Evaluates the next slab anew where the surface is not far, or not known to be; keeps what is finite.

        The condition is negated since no comparison holds for NaN, which caches of old checkpoints may contain.
        """
        at = self.slab * SLAB_STRIDE % len(self.axis)
        self.slab += 1
        is_near = ~(self.values[at].abs() >= REFRESH_WITHIN)
        if is_near.device.type != "cpu":
            # The whole slab: counting the near ones would make a GPU wait longer.
            points = torch.cartesian_prod(self.axis[at : at + 1], self.axis, self.axis)
            values = sdf(points).view_as(is_near)
            self.values[at] = values.where(is_near & values.isfinite(), self.values[at])
            return
        y, z = is_near.nonzero(as_tuple=True)
        if len(y) > 0:
            points = torch.stack([self.axis[at].expand(len(y)), self.axis[y], self.axis[z]], dim=-1)
            values = sdf(points)
            self.values[at, y, z] = values.where(values.isfinite(), self.values[at, y, z])


def _put_last(memory: Tensor, places: Tensor, values: Tensor, counts: Tensor | None = None) -> None:
    """memory[places] = values; of several values for one index the last one stays, every time, on devices that keep no order.

    Where `counts` is False nothing is put.
    """
    order = torch.arange(len(places), device=places.device)
    if counts is not None:
        order = order.where(counts, -1)
    latest = order.new_full(memory.shape, -1).scatter_reduce_(0, places, order, "amax")[places]
    # All values for one index are then equal, so their order is irrelevant.
    memory[places] = torch.where(latest < 0, memory[places], values[latest])
