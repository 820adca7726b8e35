"""Trilinear values in plain torch: the specification of the compiled forms, which read one point or a block of points."""

import torch
from torch import Tensor


def trilinear(values: Tensor, points: Tensor) -> Tensor:
    """(M,) trilinear values at points (M, 3) of (P, P, P) values at linspace(-1, 1, P) along x, y, z; outside that box its nearest point's.

    >>> trilinear(torch.arange(8.0).view(2, 2, 2), torch.tensor([[1.0, -1.0, 0.0]]))
    tensor([4.5000])
    """
    n, flat = len(values) - 1, values.reshape(-1)
    positions = ((points + 1.0) * (0.5 * n)).clamp(0.0, n)
    # Clamped again as whole numbers: the far face belongs to the last cell, and NaN must not become an address.
    cells = positions.detach().long().clamp(0, n - 1)
    u, v, w = (positions - cells).unbind(-1)
    x, y, z = cells.unbind(-1)
    first = (x * (n + 1) + y) * (n + 1) + z

    def along_z(start: Tensor) -> Tensor:
        return torch.lerp(flat[start].to(w), flat[start + 1].to(w), w)

    lower = torch.lerp(along_z(first), along_z(first + n + 1), v)
    first = first + (n + 1) ** 2
    return torch.lerp(lower, torch.lerp(along_z(first), along_z(first + n + 1), v), u)
