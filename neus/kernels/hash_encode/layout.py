"""Where each level of a multiresolution grid keeps its vertices in the one table."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

# Factors of the spatial hash (Mueller et al. 2022, eq. 4); the first coordinate has factor one.
HASH_FACTORS = (2654435761, 805459861)


@dataclass(frozen=True)
class GridLayout:
    """Levels of a grid over the box [-1, 1]^3.

    Attributes:
        resolutions: (L,) cells per axis of each level.
        offsets: (L + 1,) first row of each level in the table, and the number of rows in all.
        is_dense: (L,) whether each vertex has its own row; others use common rows by hashing.
        hash_size: rows of a hashed level, a power of two.
    """

    resolutions: tuple[int, ...]
    offsets: tuple[int, ...]
    is_dense: tuple[bool, ...]
    hash_size: int

    @property
    def n_levels(self) -> int:
        """L."""
        return len(self.resolutions)

    @property
    def n_rows(self) -> int:
        """Rows of the table."""
        return self.offsets[-1]


class Grid(NamedTuple):
    """Levels of a grid as kernels take them: table (rows, F), and per level resolution, first row, is it dense; hashed rows - 1."""

    table: np.ndarray
    resolutions: np.ndarray
    offsets: np.ndarray
    is_dense: np.ndarray
    hash_mask: np.uint32


def grid_layout(n_levels: int, base_resolution: int, finest_resolution: int, log2_table_size: int) -> GridLayout:
    """Levels whose resolutions grow geometrically from `base_resolution` to `finest_resolution`.

    A level is dense where its (N + 1)^3 vertices fit 2^log2_table_size rows, hashed to that many otherwise.

    >>> grid_layout(3, 2, 8, 6)
    GridLayout(resolutions=(2, 4, 8), offsets=(0, 27, 91, 155), is_dense=(True, False, False), hash_size=64)
    """
    growth = (finest_resolution / base_resolution) ** (1.0 / max(1, n_levels - 1))
    resolutions = tuple(round(base_resolution * growth**level) for level in range(n_levels))
    hash_size = 2**log2_table_size
    is_dense = tuple((n + 1) ** 3 <= hash_size for n in resolutions)
    offsets = [0]
    for n, dense in zip(resolutions, is_dense):
        offsets.append(offsets[-1] + ((n + 1) ** 3 if dense else hash_size))
    return GridLayout(resolutions, tuple(offsets), is_dense, hash_size)
