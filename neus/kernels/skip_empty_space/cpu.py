"""Where rays first come near anything, compiled; see `reference` for signature and meaning."""

import math

import numpy as np
import torch
from numba import njit
from torch import Tensor

from neus.kernels.skip_empty_space.reference import LEAST_STEP
from neus.kernels.threads import ranges, run_tasks

_compiled = njit(cache=True, nogil=True, error_model="numpy")
_HALF, _ONE, _LEAST = (np.float32(value) for value in (0.5, 1.0, LEAST_STEP))
RAYS_PER_TASK = 8192


@torch.no_grad()
def skip_empty_space(
    origins: Tensor, directions: Tensor, near: Tensor, far: Tensor, values: Tensor, lipschitz: float, margin: float
) -> Tensor:
    """See `reference.skip_empty_space`."""
    arrays = [x.detach().float().contiguous().numpy() for x in (origins, directions, near, far, values)]
    starts = np.empty(len(near), np.float32)

    def advance(first: int, stop: int) -> None:
        _advance(*arrays, np.float32(1.0 / lipschitz), np.float32(margin), first, stop, starts)

    run_tasks(advance, ranges(len(near), RAYS_PER_TASK))
    return torch.from_numpy(starts).to(near)


@_compiled
def _nearest(coordinate, per_unit, last):
    """Vertex along one axis, and how far aside of it."""
    # Clamped as a whole number, since NaN must not become an address.
    cell = min(max(np.int64(math.floor((coordinate + _ONE) * per_unit + _HALF)), 0), last)
    return cell, coordinate - (np.float32(cell) / per_unit - _ONE)


@_compiled
def _advance(origins, directions, near, far, values, per_slope, margin, first, stop, starts):
    last = values.shape[0] - 1
    per_unit = _HALF * np.float32(last)
    for ray in range(first, stop):
        t = near[ray]
        while t <= far[ray]:
            i, x = _nearest(origins[ray, 0] + t * directions[ray, 0], per_unit, last)
            j, y = _nearest(origins[ray, 1] + t * directions[ray, 1], per_unit, last)
            k, z = _nearest(origins[ray, 2] + t * directions[ray, 2], per_unit, last)
            free = (values[i, j, k] - margin) * per_slope - math.sqrt(x * x + y * y + z * z)
            if not free >= _LEAST:
                break
            t += free
        starts[ray] = t
