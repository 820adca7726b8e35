"""A pyramid of features that has learnt a surface: from its distances at the corners, then by gradient descent."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from neus.errors import InputError
from neus.lod.field import LodLayout, LodSdf
from neus.lod.lattice import cells_of_level, positions_of_codes
from neus.lod.octree import COMPLETE_CELLS, MAX_CELLS, codes_of_cells, near_cells
from neus.lod.teacher import Teacher
from neus.rendering.sphere_tracing import lipschitz_bound

# Samples: so many for each stored corner within limits, one fifth of them anywhere (the rest in the finest cells).
SAMPLES_PER_CORNER, LEAST_SAMPLES, MOST_SAMPLES, ANYWHERE = 8, 100_000, 500_000, 0.2
# The decoder's first unit carries the distance and is never at rest: no distance in the cube is below -2.
LINEAR_OFFSET = 2.0
BATCH = 4096
SLOPE_SAMPLES = 20_000
# Errors are those of fresh points at most so far from the surface.
ERROR_SAMPLES, ERROR_BAND = 50_000, 0.05


@dataclass(frozen=True)
class DistillConfig:
    """How a pyramid is made.

    Attributes:
        n_levels: lattices; each has twice the cells along each side of the one before.
        n_channels, n_hidden: features of a corner, and width of the decoders.
        base: the coarsest lattice has 2^base cells along each side.
        steps: of Adam; 0 leaves the trilinear distances.
        learning_rate: at the start; it falls to zero along half a cosine.
        seed: of everything random.
    """

    n_levels: int = 5
    n_channels: int = 16
    n_hidden: int = 32
    base: int = 2
    steps: int = 400
    learning_rate: float = 1e-3
    seed: int = 0

    def __post_init__(self) -> None:
        finest = cells_of_level(self.base, self.n_levels - 1)
        if not (self.n_levels >= 1 and self.base >= 1 and finest <= MAX_CELLS and 2**self.base <= COMPLETE_CELLS):
            raise InputError(
                f"levels of detail: {self.n_levels} levels from {2**self.base} to {finest} cells along each side, expected 2 to "
                f"{COMPLETE_CELLS} at the coarsest and at most {MAX_CELLS} at the finest; choose fewer levels."
            )


def distilled(
    teacher: Teacher,
    config: DistillConfig,
    with_color: bool = False,
    device: torch.device | str = "cpu",
    on_progress: Callable[[int, int], None] | None = None,
) -> LodSdf:
    """A pyramid that has learnt a surface, on the CPU, as a file will hold it.

    Each corner's first feature is what its lattice adds to the trilinear distance of the coarser ones, which the decoders pass on;
    so every level begins as the trilinear interpolation of the teacher on its lattice. With the other features Adam then lowers the
    sum over the levels of (f_l(x) - s)^2 (the published loss). Colours, which have no decoder, are trilinear with the same differences.

    Raises:
        InputError: no surface in the cube, distances that are not numbers, or no colours where some are wanted.
    """
    if with_color and teacher.color is None:
        raise InputError(f"{teacher.name}: has no colours; leave out --color.")
    generator = torch.Generator().manual_seed(config.seed)
    n_finest = cells_of_level(config.base, config.n_levels - 1)
    cells = near_cells(teacher.sdf, teacher.slope(), config.base, config.n_levels)
    codes = [codes_of_cells(near, cells_of_level(config.base, k)) for k, near in enumerate(cells)]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        field = LodSdf(LodLayout(codes, config.n_channels, config.n_hidden, config.base, has_colors=with_color))
    field.scene_to_world = teacher.scene_to_world
    _start_from(field, teacher)
    n = SAMPLES_PER_CORNER * sum(len(lattice.codes) for lattice in field.lattices)
    n = min(max(n, LEAST_SAMPLES), MOST_SAMPLES)
    points = sample_points(n, cells[-1], n_finest, generator)
    if config.steps > 0:
        field.to(device)
        _train(field, points.to(device), teacher.sdf(points).to(device), config, generator, on_progress)
    field = field.cpu().requires_grad_(False)
    if with_color:
        _take_colors(field, teacher)
    round_as_stored(field)
    measure_slopes(field, points[torch.randperm(n, generator=generator)[:SLOPE_SAMPLES]])
    _measure_errors(field, teacher, sample_points(ERROR_SAMPLES, cells[-1], n_finest, generator))
    return field


def sample_points(n: int, cells: Tensor | None, n_cells: int, generator: torch.Generator, anywhere: float = ANYWHERE) -> Tensor:
    """(n, 3) points, a part of them evenly in [-1, 1]^3, the rest evenly in some cells (K, 3) of a lattice; None are all cells."""
    points = torch.rand(n, 3, generator=generator)
    is_near = torch.rand(n, generator=generator) >= (1.0 if cells is None else anywhere)
    if cells is not None:
        chosen = cells[torch.randint(len(cells), (n,), generator=generator)]
        points = torch.where(is_near.unsqueeze(1), (chosen + points) / n_cells, points)
    return 2.0 * points - 1.0


def is_half(cells: int) -> bool:
    """Whether a lattice's features are stored in half precision: those of fine ones are small differences."""
    return cells > COMPLETE_CELLS


@torch.no_grad()
def round_as_stored(field: LodSdf) -> None:
    """Rounds the features to what a file holds, so that a field and its file are the same to the bit."""
    for tables in (field.features, field.colors):
        for lattice, table in zip(field.lattices, tables):
            if is_half(lattice.cells):
                table.copy_(table.half().float())


@torch.no_grad()
def measure_slopes(field: LodSdf, points: Tensor) -> None:
    """Sets the slopes of all levels to a bound that holds at nearly all of some points (M, 3)."""
    for level in range(field.n_levels):
        _, gradients = field.sdf_and_gradient(points, level)
        field.slopes[level] = lipschitz_bound(gradients)


@torch.no_grad()
def _start_from(field: LodSdf, teacher: Teacher) -> None:
    """Makes every level the trilinear interpolation of the teacher; InputError if that has one sign at all corners."""
    low, high = math.inf, -math.inf
    for level, lattice in enumerate(field.lattices):
        corners = positions_of_codes(lattice.codes, lattice.cells)
        known = sum((field.feature(corners, k)[:, 0] for k in range(level)), corners.new_zeros(len(corners)))
        distances = teacher.sdf(corners)
        if len(corners):
            low, high = min(low, float(distances.min())), max(high, float(distances.max()))
        field.features[level][:-1, 0] = distances - known
        first, _, last = field.decoder(level)
        first.weight[0], first.bias[0] = 0.0, LINEAR_OFFSET
        first.weight[0, 3] = 1.0
        last.weight.zero_()
        last.weight[0, 0], last.bias[0] = 1.0, -LINEAR_OFFSET
    if low >= 0.0 or high <= 0.0:
        raise InputError(
            f"{teacher.name}: no surface in [-1, 1]^3: all of its corners lie {'outside' if low >= 0.0 else 'inside'} (distances from "
            f"{low:.3g} to {high:.3g}); give a field whose surface lies within the unit sphere, or more levels for thin parts."
        )


@torch.no_grad()
def _measure_errors(field: LodSdf, teacher: Teacher, points: Tensor) -> None:
    sdf = teacher.sdf(points)
    near = (sdf.abs() < ERROR_BAND).nonzero().squeeze(1)
    field.errors = (field.all_sdf(points[near]) - sdf[near]).abs().mean(1)


def _train(
    field: LodSdf,
    points: Tensor,
    sdf: Tensor,
    config: DistillConfig,
    generator: torch.Generator,
    on_progress: Callable[[int, int], None] | None,
) -> None:
    optimizer = torch.optim.Adam([*field.features, *field.decoders.parameters()], lr=config.learning_rate)
    batches: list[Tensor] = []
    for step in range(config.steps):
        optimizer.param_groups[0]["lr"] = config.learning_rate * (1.0 + math.cos(math.pi * step / config.steps)) / 2.0
        if not batches:
            batches = list(torch.randperm(len(points), generator=generator).to(points.device).split(BATCH))
        batch = batches.pop()
        optimizer.zero_grad()
        loss = (field.all_sdf(points[batch]) - sdf[batch]).square().sum() / len(batch)
        loss.backward()
        for table in field.features:
            # The trilinear distance stays: where it moves, finer levels follow late, and their normals are rough (cup: 6 degrees, not 4).
            table.grad[:, 0] = 0.0
        optimizer.step()
        if on_progress:
            on_progress(step + 1, config.steps)


@torch.no_grad()
def _take_colors(field: LodSdf, teacher: Teacher) -> None:
    for level, lattice in enumerate(field.lattices):
        corners = positions_of_codes(lattice.codes, lattice.cells)
        known = corners.new_zeros(len(corners), 3)
        for k in range(level):
            rows, weights = field.lattices[k].corners(corners)
            known += (field.colors[k][rows] * weights.unsqueeze(-1)).sum(1)
        field.colors[level][:-1] = teacher.near_color(corners) - known
