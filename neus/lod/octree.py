"""Which corners of each level are worth storing: all of coarse lattices, and those near the surface of fine ones."""

import itertools
from collections.abc import Callable

import torch
from torch import Tensor

from neus.lod.lattice import CORNERS, cells_of_level, codes_of_corners

Sdf = Callable[[Tensor], Tensor]

# Lattices of so many cells a side are stored whole: 5000 corners, which carry the field everywhere.
COMPLETE_CELLS = 16
# The finest lattice: its table of rows takes 68 MB.
MAX_CELLS = 256
_RING = torch.tensor(list(itertools.product((-1, 0, 1), repeat=3)))
_HALF_DIAGONAL = 3.0**0.5  # of a cell of side 2


def near_cells(sdf: Sdf, slope: float, base: int, n_levels: int) -> list[Tensor | None]:
    """Of each level the cells (K_l, 3) that may hold surface, and one ring of cells around them; None for levels stored whole.

    A cell with |f(centre)| > slope x (half its diagonal) holds no surface where nothing is steeper than `slope`. Only children of
    cells of the level before are looked at; what is found is closed under parents.

    Args:
        sdf: points (M, 3) in [-1, 1]^3 to signed distances (M,).
        slope: the greatest one of `sdf`.
        base, n_levels: level l has 2^(l + base) cells along each side.
    """
    found: list[Tensor | None] = []
    candidates = None
    for level in range(n_levels):
        cells = cells_of_level(base, level)
        if cells <= COMPLETE_CELLS:
            found.append(None)
            continue
        if candidates is None:
            candidates = torch.cartesian_prod(*[torch.arange(cells)] * 3)
        centers = (candidates.float() + 0.5) * (2.0 / cells) - 1.0
        is_near = sdf(centers).abs() <= slope * _HALF_DIAGONAL / cells
        ring = candidates[is_near][:, None, :] + _RING
        ring = _unique(ring.flatten(0, 1).clamp(0, cells - 1), cells)
        found.append(ring)
        candidates = (2 * ring[:, None, :] + CORNERS).flatten(0, 1)
    return found


def codes_of_cells(cells: Tensor | None, n: int) -> Tensor | None:
    """(R,) ascending numbers of the corners of cells (K, 3) of a lattice with n cells along each side; None stays None."""
    if cells is None:
        return None
    corners = codes_of_corners(cells[:, None, :] + CORNERS, n)
    return torch.unique(corners)


def _unique(cells: Tensor, n: int) -> Tensor:
    numbers = torch.unique((cells[:, 0] * n + cells[:, 1]) * n + cells[:, 2])
    return torch.stack([numbers // (n * n), numbers // n % n, numbers % n], dim=-1)
