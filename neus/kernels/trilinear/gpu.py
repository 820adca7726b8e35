"""Trilinear values at a block of points, for Triton's kernels; see `reference`."""

import triton
import triton.language as tl


@triton.jit
def locate(coordinate, resolution):
    """Cell, position in it from 0 to 1, and slope of that position along one axis; outside the box the slope is zero."""
    per_unit = resolution * 0.5
    position = (coordinate + 1.0) * per_unit
    slope = tl.where((position >= 0.0) & (position <= resolution), per_unit, 0.0)
    position = tl.where(position < 0.0, 0.0, tl.where(position > resolution, resolution, position))
    # What is not a number stays so in the position, but must not become an address.
    whole = tl.where(position == position, position, 0.0).to(tl.int32)
    cell = tl.minimum(whole, resolution.to(tl.int32) - 1)
    return cell, position - cell.to(position.dtype), slope


@triton.jit
def _between(at, fraction, here):
    """Between a value and the next one in memory."""
    low = tl.load(at, mask=here, other=0.0)
    return low + fraction * (tl.load(at + 1, mask=here, other=0.0) - low)


@triton.jit
def trilinear(values, x, y, z, n_cells, here):
    """Values at points (BLOCK,) of (P, P, P) values, n_cells = P - 1; zero where `here` is not."""
    size = n_cells.to(tl.float32)
    i, u, _ = locate(x, size)
    j, v, _ = locate(y, size)
    k, w, _ = locate(z, size)
    to_y, to_x = n_cells + 1, (n_cells + 1) * (n_cells + 1)
    at = values + i * to_x + j * to_y + k
    a, b = _between(at, w, here), _between(at + to_y, w, here)
    c, d = _between(at + to_x, w, here), _between(at + to_x + to_y, w, here)
    low, high = a + v * (b - a), c + v * (d - c)
    return low + u * (high - low)
