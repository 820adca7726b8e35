"""Distances along rays: intervals between them, and new ones sampled where the weight is."""

import torch
from torch import Tensor

# Added to every interval's weight, so that no interval is left without any chance (the published NeuS's value).
WEIGHT_FLOOR = 1e-5


def deltas_from_t(t: Tensor, last: float) -> Tensor:
    """Lengths (N, S) of the intervals that start at t (N, S); the last one, which has no end, is given as `last`.

    >>> deltas_from_t(torch.tensor([[1.0, 1.5]]), last=0.25)
    tensor([[0.5000, 0.2500]])
    """
    return torch.cat([t[..., 1:] - t[..., :-1], torch.full_like(t[..., :1], last)], dim=-1)


def sample_intervals(t: Tensor, weights: Tensor, n_samples: int) -> Tensor:
    """Distances at the mid quantiles of a piecewise constant density: inverse transform sampling without noise.

    NeuS sec. 3.2 (after NeRF, eq. 5): u_k = (k + 1/2) / n, mapped through the inverse of the cumulative weights.

    Args:
        t: (N, S + 1), ascending interval ends.
        weights: (N, S) >= 0, need not sum to one.

    Returns:
        (N, n_samples), ascending.

    >>> sample_intervals(torch.tensor([[0.0, 1.0, 2.0]]), torch.tensor([[0.0, 1.0]]), 2)
    tensor([[1.2500, 1.7500]])
    """
    weights = weights + WEIGHT_FLOOR
    cdf = torch.cumsum(weights / weights.sum(-1, keepdim=True), dim=-1)
    cdf = torch.cat([torch.zeros_like(cdf[..., :1]), cdf], dim=-1)
    u = torch.linspace(0.5 / n_samples, 1.0 - 0.5 / n_samples, n_samples, dtype=t.dtype, device=t.device)
    u = u.expand(*cdf.shape[:-1], n_samples).contiguous()
    above = torch.searchsorted(cdf, u, right=True)
    below = (above - 1).clamp_min(0)
    above = above.clamp_max(cdf.shape[-1] - 1)
    cdf_below, cdf_above = cdf.gather(-1, below), cdf.gather(-1, above)
    t_below, t_above = t.gather(-1, below), t.gather(-1, above)
    span = cdf_above - cdf_below
    # An interval without weight has no inner order: its start represents all of it.
    span = torch.where(span < WEIGHT_FLOOR, torch.ones_like(span), span)
    return t_below + (u - cdf_below) / span * (t_above - t_below)
