"""A field on a regular lattice, one block at a time, without the space that cannot hold any surface.

A field f whose slope nowhere exceeds L keeps its sign within |f(c)| / L of a point c. So a box around c with
|f(c)| > L * (half its diagonal) holds no surface. Blocks are tested this way at their centre, then halved and tested
again down to boxes of LEAF cells; only what is left is evaluated at every lattice point. The cost grows with the area
of the surface, not with the volume, and nothing larger than one block and a layer of block faces is ever held.

Guarantee: if L is at least the field's true greatest slope, every lattice cell whose corners differ in sign has exact
values at all its corners, as if the whole lattice had been evaluated, however thin the part it belongs to. L is
estimated from samples. Where it was too small and a surface was found to run into space that had been passed over,
`BoundTooSmall` is raised, so that blocks yielded to the end always fit together without cracks; only a part that lies
wholly in space passed over by too small an L can be lost.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from neus.errors import InputError

ScalarField = Callable[[Tensor], Tensor]
VectorField = Callable[[Tensor], Tensor]

# Boxes of 2 cells: smaller ones would cost more centres than they save lattice points.
LEAF = 2
# The greatest slope found among samples is a little less than the true one.
BOUND_MARGIN = 1.25
BOUND_SAMPLES = 4096
# Samples are moved to the surface by as many Newton steps: fields are often steepest there.
NEWTON_STEPS = 3
# Slopes are differences over this part of the box's diagonal, if the lattice is not finer: above float32's rounding.
SLOPE_STEP = 1e-3

_CORNERS = np.stack(np.meshgrid([0, 1], [0, 1], [0, 1], indexing="ij"), axis=-1).reshape(-1, 3)


class BoundTooSmall(Exception):
    """A surface runs into space that was passed over: the bound on the slope was too small."""


@dataclass(frozen=True)
class Lattice:
    """`resolution` points along each axis of a box, from corner to corner as in NeuS, in blocks.

    Attributes:
        box: (2, 3), lower and upper corner, scene units; points are made on its device.
        resolution: points along each axis, at least 2.
        block: cells along each side of a block, a power of two.
    """

    box: Tensor
    resolution: int
    block: int = 64

    @property
    def spacing(self) -> np.ndarray:
        """(3,) distances between neighbouring points, scene units."""
        return np.diff(self.box.double().cpu().numpy(), axis=0)[0] / (self.resolution - 1)

    def positions(self, indices: np.ndarray) -> np.ndarray:
        """(..., 3) float64 scene positions of lattice coordinates (..., 3), which may be fractions.

        >>> Lattice(torch.tensor([[-1.0, -1.0, -1.0], [1.0, 1.0, 1.0]]), 5).positions(np.array([0.0, 2.0, 4.0]))
        array([-1.,  0.,  1.])
        """
        return self.box[0].double().cpu().numpy() + indices * self.spacing

    def block_starts(self) -> np.ndarray:
        """(n, 3) lattice coordinates of the blocks' lower corners, the last axis fastest."""
        starts = np.arange(0, self.resolution - 1, self.block)
        return np.stack(np.meshgrid(starts, starts, starts, indexing="ij"), axis=-1).reshape(-1, 3)


@dataclass
class Sampler:
    """The values of a field at lattice coordinates, in chunks; it remembers the range of the values it saw.

    Attributes:
        sdf: (M, 3) points to (M,) signed distances, scene frame.
        lattice: where.
        offset: added to every value.
        chunk: points in one call of `sdf`.
    """

    sdf: ScalarField
    lattice: Lattice
    offset: float = 0.0
    chunk: int = 2**16
    seen: list[float] = field(default_factory=lambda: [np.inf, -np.inf])

    def __call__(self, indices: np.ndarray) -> np.ndarray:
        """(M,) float32 values at lattice coordinates (M, 3).

        Raises:
            InputError: the field is not a number somewhere.
        """
        values = np.empty(len(indices), np.float32)
        for first in range(0, len(indices), self.chunk):
            part = slice(first, first + self.chunk)
            points = torch.from_numpy(self.lattice.positions(indices[part]).astype(np.float32))
            with torch.no_grad():
                sampled = self.sdf(points.to(self.lattice.box.device))
            assert sampled.shape == (len(points),), f"sdf gave {tuple(sampled.shape)} for {len(points)} points"
            values[part] = sampled.cpu().numpy() + self.offset
        if not np.isfinite(values).all():
            worst = self.lattice.positions(indices[np.argmin(np.isfinite(values))])
            raise InputError(
                f"mesh extraction: the signed distance at {np.round(worst, 3).tolist()} is NaN or infinite, expected "
                "a number; the training diverged: go back to an earlier checkpoint, or lower the learning rate."
            )
        if len(values):
            self.seen = [min(self.seen[0], float(values.min())), max(self.seen[1], float(values.max()))]
        return values


@dataclass(frozen=True)
class Block:
    """Lattice values of one block, with the points common to it and its neighbours.

    Attributes:
        start: (3,) lattice coordinates of the first value.
        values: (nx, ny, nz) float32; exact where known, elsewhere only the sign counts.
        is_known: (nx, ny, nz) bool.
    """

    start: np.ndarray
    values: np.ndarray
    is_known: np.ndarray


def slope_bound(
    sdf: ScalarField,
    lattice: Lattice,
    gradient: VectorField | None = None,
    n_samples: int = BOUND_SAMPLES,
    seed: int = 0,
) -> float:
    """An estimate of the field's greatest slope in the box, BOUND_MARGIN above the greatest one among samples.

    Samples are spread over the box and then moved to the surface. Without `gradient`, differences are taken.

    Returns:
        L >= 0, change of the field per scene unit.
    """
    low, high = lattice.box.float()
    generator = torch.Generator().manual_seed(seed)
    points = torch.rand(n_samples, 3, generator=generator).to(low) * (high - low) + low
    diagonal = float((high - low).norm())
    step = min(float(lattice.spacing.min()), SLOPE_STEP * diagonal)
    steepest = 0.0
    for _ in range(1 + NEWTON_STEPS):
        with torch.no_grad():
            values = sdf(points)
            slopes = _differences(sdf, points, values, step) if gradient is None else None
        # Outside no_grad: a gradient may be made by differentiating the field.
        slopes = gradient(points).detach() if gradient is not None else slopes
        squared = slopes.square().sum(-1)
        # A field of steps has no slope at any sample; the range of its values still tells of one.
        mean_slope = float(torch.nan_to_num(values.max() - values.min())) / diagonal
        steepest = max(steepest, mean_slope, float(torch.nan_to_num(squared.sqrt()).max()))
        moved = points - (values / squared.clamp_min(1e-12)).unsqueeze(-1) * slopes
        points = torch.minimum(torch.maximum(torch.nan_to_num(moved), low), high)
    return BOUND_MARGIN * steepest


def _differences(sdf: ScalarField, points: Tensor, values: Tensor, step: float) -> Tensor:
    """(M, 3) slopes along the axes by forward differences."""
    steps = step * torch.eye(3).to(points)
    return torch.stack([sdf(points + s) - values for s in steps], dim=-1) / step


def sampled_blocks(
    sampler: Sampler, bound: float, on_progress: Callable[[int, int], None] | None = None
) -> Iterator[Block]:
    """All blocks of the lattice, the last axis fastest, those without any surface as constants.

    A lattice point shared by blocks is evaluated once: its value is handed on, since batches of another size may
    round differently and blocks must agree on every sign.

    Raises:
        BoundTooSmall: begin again with a greater bound.
        InputError: the field is not a number somewhere.
    """
    lattice = sampler.lattice
    starts = lattice.block_starts()
    cells = np.minimum(lattice.block, lattice.resolution - 1 - starts)
    centers = sampler(starts + cells / 2)
    seams: dict[tuple[int, ...], Block] = {}
    for done, (start, shape, center) in enumerate(zip(starts, cells, centers, strict=True)):
        inherited = {axis: seams.pop((axis, *start)) for axis in range(3) if start[axis] > 0}
        if abs(center) > bound * np.linalg.norm(shape * lattice.spacing) / 2:
            points = tuple(shape + 1)
            block = Block(start, np.broadcast_to(center, points), np.broadcast_to(False, points))
        else:
            block = _refined(sampler, start, shape, bound, inherited)
        for axis, face in inherited.items():
            if not np.array_equal(_face(block.values, axis, 0) < 0, face.values < 0):
                raise BoundTooSmall
        for axis in range(3):
            upper = start + lattice.block * (np.arange(3) == axis)
            if upper[axis] < lattice.resolution - 1:
                last = shape[axis]
                values, is_known = _face(block.values, axis, last).copy(), _face(block.is_known, axis, last).copy()
                seams[(axis, *upper)] = Block(upper, values, is_known)
        yield block
        if on_progress is not None:
            on_progress(done + 1, len(starts))


def _refined(
    sampler: Sampler, start: np.ndarray, cells: np.ndarray, bound: float, inherited: dict[int, Block]
) -> Block:
    """One block, evaluated where it may hold a surface; `inherited` holds its lower faces by axis."""
    signs, may_cross = _halved_down(sampler, start, cells, bound)
    values = np.pad(signs, (0, 1), mode="edge")
    is_known = np.zeros(values.shape, bool)
    for axis, face in inherited.items():
        lower, known = _face(values, axis, 0), _face(is_known, axis, 0)
        lower[face.is_known] = face.values[face.is_known]
        known |= face.is_known
    needed = np.zeros(values.shape, bool)
    for corner in _CORNERS:
        needed[_at(corner, cells)] |= may_cross
    needed &= ~is_known
    values[needed] = sampler(start + np.argwhere(needed))
    is_known |= needed
    is_inside = [values[_at(corner, cells)] < 0 for corner in _CORNERS]
    crosses = np.logical_or.reduce(is_inside) & ~np.logical_and.reduce(is_inside)
    if (crosses & ~may_cross).any():
        raise BoundTooSmall
    return Block(start, values, is_known)


def _halved_down(sampler: Sampler, start: np.ndarray, cells: np.ndarray, bound: float) -> tuple[np.ndarray, np.ndarray]:
    """The value at the centre of the smallest tested box around each cell, and whether that box may hold a surface.

    Returns:
        values (cells) float32 and may_cross (cells) bool.
    """
    spacing = sampler.lattice.spacing
    size = sampler.lattice.block
    values, may_cross = np.zeros((1, 1, 1), np.float32), np.ones((1, 1, 1), bool)
    while size > LEAF:
        size //= 2
        values, may_cross = _doubled(values), _doubled(may_cross)
        boxes = np.argwhere(may_cross)
        lower = boxes * size
        boxes, lower = boxes[(lower < cells).all(-1)], lower[(lower < cells).all(-1)]
        upper = np.minimum(lower + size, cells)
        centers = sampler(start + (lower + upper) / 2)
        half_diagonals = np.linalg.norm((upper - lower) * spacing, axis=-1) / 2
        values[tuple(boxes.T)] = centers
        may_cross[tuple(boxes.T)] = np.abs(centers) <= bound * half_diagonals
    for axis in range(3):
        values, may_cross = values.repeat(size, axis), may_cross.repeat(size, axis)
    inner = tuple(slice(0, n) for n in cells)
    return values[inner], may_cross[inner]


def _doubled(array: np.ndarray) -> np.ndarray:
    return array.repeat(2, 0).repeat(2, 1).repeat(2, 2)


def _face(array: np.ndarray, axis: int, index: int) -> np.ndarray:
    return array[(slice(None),) * axis + (index,)]


def _at(corner: np.ndarray, cells: np.ndarray) -> tuple[slice, ...]:
    """The slices that pick one corner of every cell out of the block's points."""
    return tuple(slice(c, c + n) for c, n in zip(corner, cells, strict=True))
