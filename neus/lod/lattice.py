"""The corners of a lattice over [-1, 1]^3 of which only some are stored, and the weights of the eight around a point."""

import torch
from torch import Tensor, nn

# Offsets of a cell's corners along x, y, z; x fastest, as in the published volumes (1, C, z, y, x).
CORNERS = torch.tensor([(i & 1, i >> 1 & 1, i >> 2) for i in range(8)])


def cells_of_level(base: int, level: int) -> int:
    """Cells along each side of a level's lattice.

    >>> [cells_of_level(2, level) for level in range(3)]
    [4, 8, 16]
    """
    return 2 ** (base + level)


def complete_codes(cells: int) -> Tensor:
    """((cells + 1)^3,) the numbers of all corners."""
    return torch.arange((cells + 1) ** 3)


def codes_of_corners(corners: Tensor, cells: int) -> Tensor:
    """(...) the numbers of corners (..., 3), whole coordinates x, y, z: (z (n + 1) + y) (n + 1) + x.

    >>> codes_of_corners(torch.tensor([1, 0, 2]), 2)
    tensor(19)
    """
    x, y, z = corners.unbind(-1)
    return (z * (cells + 1) + y) * (cells + 1) + x


def corners_of_codes(codes: Tensor, cells: int) -> Tensor:
    """(..., 3) the whole coordinates of corners with numbers (...)."""
    n = cells + 1
    return torch.stack([codes % n, codes // n % n, codes // (n * n)], dim=-1)


def positions_of_codes(codes: Tensor, cells: int) -> Tensor:
    """(..., 3) float32 positions in [-1, 1]^3 of corners with numbers (...)."""
    return corners_of_codes(codes, cells).float() * (2.0 / cells) - 1.0


class FeatureLattice(nn.Module):
    """Which corners of a lattice are stored, and in which row.

    Attributes:
        cells: along each side.
        codes: (R,) numbers of the stored corners, ascending: row i is that of corner codes[i].
        rows: ((cells + 1)^3,) int32, the row of each corner; R for those that are not stored.
    """

    def __init__(self, cells: int, codes: Tensor) -> None:
        super().__init__()
        self.cells = cells
        rows = torch.full(((cells + 1) ** 3,), len(codes), dtype=torch.int32)
        rows[codes] = torch.arange(len(codes), dtype=torch.int32)
        self.register_buffer("codes", codes, persistent=False)
        self.register_buffer("rows", rows, persistent=False)

    @property
    def is_complete(self) -> bool:
        """Whether all corners are stored."""
        return len(self.codes) == len(self.rows)

    def corners(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Rows (M, 8) of the corners around points (M, 3) and their trilinear weights (M, 8)."""
        first, fractions, _ = self._cell(points)
        x, y, z = self._pairs(fractions)
        return self._rows_of(first), (z[:, :, None, None] * y[:, None, :, None] * x[:, None, None, :]).flatten(1)

    def corners_and_slopes(self, points: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The same, and the derivatives (M, 8, 3) of the weights in the points; zero along axes where a point is beyond the cube."""
        first, fractions, is_within = self._cell(points)
        pairs = self._pairs(fractions)
        rise = torch.tensor([-0.5, 0.5], device=points.device, dtype=points.dtype) * self.cells
        weights, slopes = [], []
        for axis in (None, 0, 1, 2):
            factors = list(pairs)
            if axis is not None:
                factors[axis] = rise * is_within[:, axis : axis + 1]
            x, y, z = factors
            product = (z[:, :, None, None] * y[:, None, :, None] * x[:, None, None, :]).flatten(1)
            (weights if axis is None else slopes).append(product)
        return self._rows_of(first), weights[0], torch.stack(slopes, dim=-1)

    def _cell(self, points: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        within = points.clamp(-1.0, 1.0)
        scaled = (within + 1.0) * (0.5 * self.cells)
        first = scaled.detach().floor().clamp(0, self.cells - 1)
        return first.long(), scaled - first, (within == points).to(points.dtype)

    @staticmethod
    def _pairs(fractions: Tensor) -> list[Tensor]:
        """Of each axis (M, 2) the weights of the lower and the upper corner."""
        return [torch.stack([1.0 - f, f], dim=1) for f in fractions.unbind(1)]

    def _rows_of(self, first: Tensor) -> Tensor:
        codes = codes_of_corners(first[:, None, :] + CORNERS.to(first), self.cells)
        return self.rows[codes].long()
