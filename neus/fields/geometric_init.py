"""Initial weights that make an MLP the signed distance to a sphere (SAL, Atzmon & Lipman 2020, theorem 1)."""

import math

import torch
from torch import Tensor

# Spread of the last layer about its mean: small, so that the start is a sphere and yet no two channels are equal.
LAST_LAYER_SPREAD = 1e-4


def hidden_weight(n_in: int, n_out: int, n_live: int | None = None, first_live: int = 0) -> Tensor:
    """(n_out, n_in) normal weights of deviation sqrt(2 / n_out); only `n_live` inputs from `first_live` on are not zero.

    Frequencies other than the coordinates start switched off, at the first layer and where they enter again by the skip.
    """
    weight = torch.randn(n_out, n_in) * math.sqrt(2.0 / n_out)
    if n_live is not None:
        weight[:, :first_live] = 0.0
        weight[:, first_live + n_live :] = 0.0
    return weight


def last_weight_and_bias(n_in: int, n_out: int, radius: float, inside_outside: bool) -> tuple[Tensor, Tensor]:
    """Last layer for which the network is |x| - radius, or its negative for scenes seen from inside.

    Args:
        n_in, n_out: widths.
        radius: of the initial sphere (`bias` in the configs), in the network's input units.
        inside_outside: negative outside instead: the camera is within the object, a room.
    """
    sign = -1.0 if inside_outside else 1.0
    weight = torch.randn(n_out, n_in) * LAST_LAYER_SPREAD + sign * math.sqrt(math.pi / n_in)
    return weight, torch.full((n_out,), -sign * radius)
