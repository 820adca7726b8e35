"""What the kernels of a hash background take, in any of their forms."""

from typing import NamedTuple

from torch import Tensor

# Slope of hidden units below zero, and the logit from which a softplus is its argument (torch's defaults).
LEAK, SOFTPLUS_LINEAR_FROM = 0.01, 20.0
# Products run over so many channels at a time; others are filled up with zeros.
WIDTH = 4
# Rows that follow the hidden units in the second layer: the logit of the density, and zeros that fill up a block.
EXTRA_ROWS = 4

# Arguments before the table, which have no gradient.
N_CONSTANTS = 7


class Layers(NamedTuple):
    """The layers over the grid, every axis filled up with zeros to a multiple of four.

    first (H, D), first_b (H,) of point and features; second (H + 4, H + E), second_b (H + 4,) of hidden units and the encoded
    direction: hidden units, and in row H the logit of the density; last (4, H), last_b (4,): logits of colour in the first three rows.
    """

    first: Tensor
    first_b: Tensor
    second: Tensor
    second_b: Tensor
    last: Tensor
    last_b: Tensor
