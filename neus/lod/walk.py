"""A pyramid at one level as the compiled walk sees it; by torch where there is none."""

from dataclasses import dataclass
from functools import cached_property
from types import ModuleType

import numpy as np
import torch
from torch import Tensor

from neus.kernels.dispatch import fast_kernels, kernels_for
from neus.kernels.lod_walk.arguments import LevelTables
from neus.lod.field import LodSdf, split_level
from neus.lod.lattice import positions_of_codes
from neus.rendering import sphere_tracing
from neus.rendering.sphere_tracing import TraceResult

# Corners along each side of the lattice of distances by which rays pass empty space.
SKIP_CORNERS = 33
# Distance that counts as touching, scene units: a third of a pixel at 320x240 from 3 units away is 3e-3.
TOLERANCE = 1e-4
# Steps are longer than the slope bound allows until that is refuted: the greatest slope is met in few places.
OVER_RELAXATION = 1.5


@dataclass(frozen=True)
class LodWalk:
    """A pyramid at one level, on a CPU: distances, gradients and hits by the compiled walk, or by torch (NEUS_KERNELS=reference).

    The weights are copied as they are now.
    """

    field: LodSdf
    level: float

    @cached_property
    def tables(self) -> tuple[LevelTables, LevelTables, float]:
        """The tables of the two levels around `level`, and the fraction of the way between them."""
        lower, fraction = split_level(self.field.checked_level(self.level))
        below = level_tables(self.field, lower)
        return below, level_tables(self.field, lower + 1) if fraction > 0.0 else below, fraction

    @cached_property
    def slope(self) -> float:
        """The greatest slope at this level."""
        return self.field.at(self.level).slope

    @torch.no_grad()
    def sdf(self, points: Tensor) -> Tensor:
        """(M,) distances at points (M, 3); beyond the cube as `LodLevel.sdf`."""
        kernels = self._kernels()
        if kernels is None:
            return self.field.at(self.level).sdf(points)
        inside = points.clamp(-1.0, 1.0)
        found = torch.from_numpy(kernels.distances(*self.tables, inside.float().contiguous().numpy()))
        return found + (points - inside).norm(dim=1)

    @torch.no_grad()
    def gradients(self, points: Tensor) -> Tensor:
        """(M, 3) gradients at points (M, 3) in the cube."""
        kernels = self._kernels()
        if kernels is None:
            return self.field.at(self.level).evaluate(points).gradients
        return torch.from_numpy(kernels.gradients(*self.tables, points.float().contiguous().numpy()))

    @torch.no_grad()
    def trace(self, origins: Tensor, directions: Tensor, tolerance: float = TOLERANCE) -> TraceResult:
        """The first surface point along each ray (N, 3), (N, 3) within the cube [-1, 1]^3, by sphere tracing.

        Empty space is passed by a coarse lattice of distances first. `closest` and `sdf` are those where the rays ended.
        """
        near, far = cube_interval(origins, directions)
        skip = kernels_for("skip_empty_space", origins.device).skip_empty_space
        near = skip(origins, directions, near, far, self.coarse_distances, self.slope, 0.0)
        kernels = self._kernels()
        if kernels is None:
            rays = origins, directions, near, far
            return sphere_tracing.trace(self.sdf, *rays, tolerance, lipschitz=self.slope, over_relaxation=OVER_RELAXATION)
        arrays = [x.float().contiguous().numpy() for x in (origins, directions, near, far)]
        factors = (sphere_tracing.REFUTED_BEYOND, sphere_tracing.SLOPE_MARGIN, sphere_tracing.PROBE_TOLERANCES)
        limits = np.array([tolerance, self.slope, OVER_RELAXATION, *factors], np.float32)
        found = kernels.trace(*self.tables, *arrays, limits, sphere_tracing.MAX_STEPS, sphere_tracing.REFINE_STEPS)
        t, hit, undecided, evaluations = map(torch.from_numpy, found)
        nothing = torch.where(hit, torch.zeros_like(t), torch.full_like(t, torch.inf))
        return TraceResult(t, hit, nothing, nothing, undecided, evaluations)

    @cached_property
    def coarse_distances(self) -> Tensor:
        """(P, P, P) distances at linspace(-1, 1, P) along x, y, z."""
        axis = torch.linspace(-1.0, 1.0, SKIP_CORNERS)
        points = torch.cartesian_prod(axis, axis, axis)
        return self.sdf(points).reshape(SKIP_CORNERS, SKIP_CORNERS, SKIP_CORNERS)

    def _kernels(self) -> ModuleType | None:
        return fast_kernels("lod_walk", self.field.slopes.device)


def cube_interval(origins: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
    """Where rays (N, 3), (N, 3) enter and leave the cube [-1, 1]^3, not behind their origin; near (N,) > far (N,) for misses.

    >>> cube_interval(torch.tensor([[0.0, 0.0, -3.0]]), torch.tensor([[0.0, 0.0, 1.0]]))
    (tensor([2.]), tensor([4.]))
    """
    # A direction of zero along an axis gives infinities of the right signs but on the faces themselves.
    tiny = torch.finfo(directions.dtype).tiny
    inverse = 1.0 / torch.where(directions.abs() < tiny, torch.full_like(directions, tiny), directions)
    ends = torch.stack([(-1.0 - origins) * inverse, (1.0 - origins) * inverse])
    return ends.amin(0).amax(1).clamp_min(0.0), ends.amax(0).amin(1)


@torch.no_grad()
def level_tables(field: LodSdf, level: int) -> LevelTables:
    """The tables of a level: see `LevelTables`."""
    whole = max(k for k in range(level + 1) if field.lattices[k].is_complete)
    first, _, last = field.decoder(level)
    n_channels = field.layout.n_channels
    of_features = first.weight[:, -n_channels:].T
    cells, offsets, rows, own, summed, n_rows, n_corners = [], [], [], [], [], 0, 0
    for k in range(whole, level + 1):
        lattice = field.lattices[k]
        corners = positions_of_codes(lattice.codes, lattice.cells)
        sums = sum(field.feature(corners, j) for j in range(k + 1))
        summed.append(sums @ of_features)
        if k > whole:
            own.append(field.features[k][:-1] @ of_features)
        rows.append(torch.where(lattice.rows < len(lattice.codes), lattice.rows + n_rows, -1).to(torch.int32))
        cells.append(lattice.cells)
        offsets.append(n_corners)
        n_rows, n_corners = n_rows + len(lattice.codes), n_corners + len(lattice.rows)
    position = first.weight[:, :3].T if field.layout.takes_position else first.weight.new_zeros(3, len(first.weight))
    own.append(of_features[:0])
    arrays = [torch.cat(parts).contiguous().numpy() for parts in (rows, own, summed)]
    of_decoder = [x.detach().contiguous().numpy() for x in (position, first.bias, last.weight[0])]
    n_whole, out_bias = len(field.lattices[whole].codes), np.float32(last.bias.item())
    return LevelTables(np.array(cells), np.array(offsets), n_whole, *arrays, *of_decoder, out_bias)
