"""What the compiled walk through levels of detail needs to know of a level."""

from typing import NamedTuple

import numpy as np


class LevelTables(NamedTuple):
    """A pyramid up to one level l, prepared for its decoder: features are multiplied by the decoder's first layer beforehand.

    The first layer is linear, W1 [x, sum_k F_k] = W1x x + sum_k W1f F_k, and so is trilinear interpolation; so the corners of each
    lattice can hold W1f F_k (`own`). What the coarser lattices add is trilinear in each of a finer one's cells, so corners can hold
    that as well (`summed`): a cell with all its corners stored is the only one that has to be looked up.

    Attributes:
        cells: (K,) cells along each side of the lattices from the finest one stored whole to that of level l.
        offsets: (K,) where each lattice begins in `rows`.
        rows: row in the tables of each corner of each lattice, x fastest; -1 where none is stored.
        n_whole: corners of the first lattice, which need no `own`.
        own, summed: (R - n_whole, H), (R, H) float32.
        position: (3, H) W1x, zero where the decoder does not take the point.
        bias, out: (H,) b1 and W2.
        out_bias: b2.
    """

    cells: np.ndarray
    offsets: np.ndarray
    n_whole: int
    rows: np.ndarray
    own: np.ndarray
    summed: np.ndarray
    position: np.ndarray
    bias: np.ndarray
    out: np.ndarray
    out_bias: np.float32
