"""Hash encoding in plain torch: the specification that faster forms are held to. Differentiable to any order."""

import torch
from torch import Tensor

from neus.kernels.hash_encode.layout import HASH_FACTORS, GridLayout

# The eight corners of a cell, x fastest.
_CORNERS = [[corner >> axis & 1 for axis in range(3)] for corner in range(8)]


def encode(points: Tensor, table: Tensor, layout: GridLayout, n_active: int) -> Tensor:
    """Trilinearly interpolated features of every level (Mueller et al. 2022, sec. 3).

    Args:
        points: (M, 3) in the box [-1, 1]^3. Outside, the features are those of the nearest point of the box.
        table: (rows, F), as laid out by `layout`.
        layout: levels and where they are.
        n_active: the finer levels from this one on give zeros and have no gradient.

    Returns:
        (M, L F), level by level; differentiable in points and table.
    """
    return encode_with_jacobian(points, table, layout, n_active)[0]


def encode_with_jacobian(points: Tensor, table: Tensor, layout: GridLayout, n_active: int) -> tuple[Tensor, Tensor]:
    """What `encode` gives, and its Jacobian, from the same look-ups in the table.

    On the faces of cells, where features have a kink, the slope is that of the cell on the upper side. Outside the box the
    slope along the axes in which the point is outside is zero.

    Returns:
        features (M, L F) and jacobian (M, L F, 3) = d features / d points; both differentiable in points and table.
    """
    features, jacobians = [], []
    for level in range(layout.n_levels):
        if level < n_active:
            rows, weights, slopes = _corners(points, layout, level)
            values = table[rows]
            features.append((weights.unsqueeze(-1) * values).sum(1))
            jacobians.append((values.unsqueeze(-1) * slopes.unsqueeze(2)).sum(1))
        else:
            features.append(points.new_zeros(len(points), table.shape[1]))
            jacobians.append(points.new_zeros(len(points), table.shape[1], 3))
    return torch.cat(features, dim=1), torch.cat(jacobians, dim=1)


def vjp(jacobian: Tensor, cotangents: Tensor) -> Tensor:
    """J^T v (M, 3) of jacobian (M, C, 3) and cotangents (M, C): the gradient in the points of a function of the features.

    >>> vjp(torch.tensor([[[1.0, 2.0, 3.0], [0.0, 1.0, 0.0]]]), torch.tensor([[2.0, 1.0]]))
    tensor([[2., 5., 6.]])
    """
    return (cotangents.unsqueeze(1) @ jacobian).squeeze(1)


def _corners(points: Tensor, layout: GridLayout, level: int) -> tuple[Tensor, Tensor, Tensor]:
    """Table rows (M, 8) of the corners of the points' cells, their weights (M, 8) and the slopes of those (M, 8, 3)."""
    n = layout.resolutions[level]
    per_unit = 0.5 * n
    positions = (points + 1.0) * per_unit
    inside = ((positions >= 0.0) & (positions <= n)).to(points)
    positions = positions.clamp(0.0, n)
    # Clamped again as whole numbers: the far face belongs to the last cell, and NaN must not become an address.
    cells = positions.detach().long().clamp(0, n - 1)
    fractions = positions - cells
    corners = torch.tensor(_CORNERS, device=points.device)
    is_upper = corners == 1
    factors = torch.where(is_upper, fractions.unsqueeze(1), 1.0 - fractions.unsqueeze(1))
    signs = torch.where(is_upper, per_unit, -per_unit).to(points) * inside.unsqueeze(1)
    x, y, z = factors.unbind(-1)
    slopes = signs * torch.stack([y * z, x * z, x * y], dim=-1)
    return _rows(cells.unsqueeze(1) + corners, layout, level), x * y * z, slopes


def _rows(vertices: Tensor, layout: GridLayout, level: int) -> Tensor:
    """Rows (...) of the table that hold vertices (..., 3) of a level."""
    x, y, z = vertices.unbind(-1)
    if layout.is_dense[level]:
        per_axis = layout.resolutions[level] + 1
        return layout.offsets[level] + x + per_axis * (y + per_axis * z)
    hashed = x ^ (y * HASH_FACTORS[0]) ^ (z * HASH_FACTORS[1])
    return layout.offsets[level] + (hashed & (layout.hash_size - 1))
