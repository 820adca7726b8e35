"""Signed distances at the ends of an interval, extrapolated from its middle, and how far the extrapolation is valid."""

import torch
from torch import Tensor

# How far the slope of a distance is valid around a point, scene units: as far as surfaces are flat, or as the width 1 / s reaches.
MAX_LINEAR_EXTENT, LINEAR_EXTENT_IN_WIDTHS = 0.04, 4.0


def sdf_at_interval_ends(
    sdf: Tensor, gradients: Tensor, directions: Tensor, deltas: Tensor, cos_anneal: float | Tensor
) -> tuple[Tensor, Tensor]:
    """Signed distances at both ends of intervals, by the slope of the field at their middles.

    f -/+ cos(theta) delta / 2 with cos(theta) = d . grad f, clamped at zero: where a ray leaves a surface nothing is rendered. Early in
    training the cosine is mixed with (cos - 1) / 2, which is negative for every ray, so that surfaces may turn towards it
    (published code; `cos_anneal` is its `cos_anneal_ratio`).

    Args:
        sdf, deltas: (..., S), at the middles.
        gradients, directions: (..., S, 3).
        cos_anneal: in [0, 1].

    Returns:
        sdf_starts, sdf_ends: (..., S).
    """
    cosines = (directions * gradients).sum(-1)
    early, late = torch.relu(0.5 - 0.5 * cosines), torch.relu(-cosines)
    half_drops = (early * (1.0 - cos_anneal) + late * cos_anneal) * deltas / 2
    return sdf + half_drops, sdf - half_drops


def max_linear_extent(sharpness: Tensor) -> Tensor:
    """(), the length that intervals of `render_intervals` count for at most, scene units; without gradient.

    Intervals may be long where nothing is expected. There the slope at the middle is not valid up to the ends: for a ray that
    approaches a surface the extrapolated distance is negative long before the surface, and a high sharpness turns that into a
    wall in free space. At low sharpness the width 1 / s sets the length.

    >>> max_linear_extent(torch.tensor([20.0, 1000.0]))
    tensor([0.2000, 0.0400])
    """
    return (LINEAR_EXTENT_IN_WIDTHS / sharpness.detach()).clamp_min(MAX_LINEAR_EXTENT)
