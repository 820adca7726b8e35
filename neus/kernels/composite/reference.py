"""Compositing in plain torch: the specification that faster forms are held to. Differentiable to any order."""

import torch
from torch import Tensor

# Keeps the transmittance from becoming exactly zero, where its gradient would vanish (the published NeuS's value).
TRANSMITTANCE_FLOOR = 1e-7


def composite(alphas: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """Weights of the intervals of each ray, and the sums of their values so weighted (NeuS eq. 2 and 11, discretised).

    Args:
        alphas: (N, S) in [0, 1], front to back.
        values: (N, S, C).

    Returns:
        weights (N, S) and sums (N, C); both differentiable in alphas, the sums in values too.

    >>> weights, sums = composite(torch.tensor([[0.5, 0.5]]), torch.tensor([[[8.0], [4.0]]]))
    >>> weights, sums
    (tensor([[0.5000, 0.2500]]), tensor([[5.]]))
    """
    weights = weights_from_alphas(alphas)
    return weights, weighted_sums(weights, values)


def weights_from_alphas(alphas: Tensor) -> Tensor:
    """w_i = alpha_i T_i with T_i = prod_{j<i} (1 - alpha_j): the fraction of each interval in the pixel (NeuS eq. 11).

    Args:
        alphas: (..., S) in [0, 1], front to back.

    Returns:
        (..., S); sums to 1 - prod (1 - alpha_j).

    >>> weights_from_alphas(torch.tensor([0.5, 0.5, 1.0]))
    tensor([0.5000, 0.2500, 0.2500])
    """
    return alphas * transmittance_from_alphas(alphas)[..., :-1]


def transmittance_from_alphas(alphas: Tensor) -> Tensor:
    """(..., S + 1): transmittance up to each interval, and last that of all of them.

    >>> transmittance_from_alphas(torch.tensor([0.5, 0.5]))
    tensor([1.0000, 0.5000, 0.2500])
    """
    passing = torch.cat([torch.ones_like(alphas[..., :1]), 1.0 - alphas + TRANSMITTANCE_FLOOR], dim=-1)
    return torch.cumprod(passing, dim=-1)


def weighted_sums(weights: Tensor, values: Tensor) -> Tensor:
    """(..., C): weighted sum of values (..., S, C) of the intervals of each ray (NeuS eq. 2, discretised)."""
    return (weights.unsqueeze(-1) * values).sum(-2)
