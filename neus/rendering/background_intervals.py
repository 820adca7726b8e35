"""Intervals of the background along rays, most of them where its densities are."""

import torch
from torch import Tensor

from neus.fields.hash_background import HashBackground
from neus.rendering.sampling import Randomness, points_along, uniform

# Bins along a ray, even in inverse distance: near the sphere half as long as the cells of a grid of 64^3.
N_BINS = 32
# This fraction of the intervals is even in any case, so that what is not known yet is found.
EVEN_FRACTION = 0.3
# Intervals end at the distance whose inverse is this part of that of the sphere.
FARTHEST = 1e-3
# Density within a cell may lie in either half: a bin shares its weight with its neighbours.
NEIGHBOUR_WEIGHT = 0.25


@torch.no_grad()
def guided_edges(
    background: HashBackground,
    origins: Tensor,
    directions: Tensor,
    start: Tensor,
    reach: Tensor,
    n_intervals: int,
    generator: Randomness | None = None,
    jitter: float = 0.0,
) -> Tensor:
    """(N, B + 1) ascending distances, ends of the intervals in which rays (N, 3), (N, 3) sample the background.

    Bins are even in u, 0 at `start` and 1 far away: t = reach / v - reach + start, v = 1 - u (1 - FARTHEST). The known densities give
    each a weight, transmittance times opacity as in volume rendering; as far as these fall short of 1, and for a fixed fraction, weights
    are even. Ends are the quantiles k / B, so that each interval holds the same weight (as proposals do in mip-NeRF 360, sec. 3).

    Args:
        start: (N,), distance at which the background begins.
        reach: (N,), above zero, as in `sampling.outside_t`.
        n_intervals: B.
        generator: of the jitter of inner ends, N x B numbers are drawn.
        jitter: 0 places the ends at the quantiles.
    """
    bins = torch.linspace(0.0, 1.0, N_BINS + 1, dtype=start.dtype, device=start.device)
    ends = _distances(bins.expand(len(start), -1), start, reach)
    middles = _distances(((bins[1:] + bins[:-1]) / 2).expand(len(start), -1), start, reach)
    weights = _weights(background.known_densities(points_along(origins, directions, middles)).to(start), ends)
    ranks = torch.linspace(0.0, 1.0, n_intervals + 1, dtype=start.dtype, device=start.device).expand(len(start), -1)
    if jitter > 0.0:
        moves = (uniform((len(start), n_intervals), start, generator) - 0.5) / n_intervals
        ranks = torch.cat([ranks[:, :1], ranks[:, 1:-1] + moves[:, 1:], ranks[:, -1:]], dim=-1)
    return _distances(_quantiles(weights, ranks), start, reach)


def _distances(u: Tensor, start: Tensor, reach: Tensor) -> Tensor:
    reach = reach.unsqueeze(-1)
    return reach / (1.0 - u * (1.0 - FARTHEST)) - reach + start.unsqueeze(-1)


def _weights(densities: Tensor, ends: Tensor) -> Tensor:
    """(N, bins) of bins with densities (N, bins) between ends (N, bins + 1), 1 in sum."""
    depths = densities * (ends[:, 1:] - ends[:, :-1])
    transmittances = torch.exp(-torch.cat([torch.zeros_like(depths[:, :1]), depths[:, :-1]], dim=-1).cumsum(-1))
    weights = transmittances * -torch.expm1(-depths)
    shared = torch.nn.functional.pad(weights, (1, 1)) * NEIGHBOUR_WEIGHT
    # What would be shared beyond the first and the last bin stays in them.
    spread = weights * (1.0 - 2.0 * NEIGHBOUR_WEIGHT) + shared[:, 2:] + shared[:, :-2]
    spread[:, 0] += weights[:, 0] * NEIGHBOUR_WEIGHT
    spread[:, -1] += weights[:, -1] * NEIGHBOUR_WEIGHT
    guided = (1.0 - EVEN_FRACTION) * spread
    return guided + (1.0 - guided.sum(-1, keepdim=True)) / weights.shape[1]


def _quantiles(weights: Tensor, ranks: Tensor) -> Tensor:
    """(N, q) places in [0, 1] below which ranks (N, q) of the weights (N, n) of n even bins lie."""
    n = weights.shape[1]
    sums = torch.nn.functional.pad(weights.cumsum(-1), (1, 0))
    sums = sums / sums[:, -1:]
    above = torch.searchsorted(sums, ranks.contiguous(), right=True).clamp(1, n)
    low, high = sums.gather(1, above - 1), sums.gather(1, above)
    return ((above - 1) + (ranks - low) / (high - low).clamp_min(1e-12)).clamp(0.0, n) / n
