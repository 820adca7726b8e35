"""What a decoder is trained by: the clamped difference of distances, and the size of codes."""

import torch
from torch import Tensor

# Epochs in which the weight of the codes' size rises to its full value, as published.
REGULARIZATION_EPOCHS = 100
# What keeps torch's shortening of rows from dividing by zero.
NORM_EPSILON = 1e-7


def sample_losses(predicted: Tensor, truth: Tensor, truncation: float, unclamp_wrong_sign: bool = False) -> Tensor:
    """(...) |clamp(f, d) - clamp(s, d)| of predictions f and distances s (...): Park et al. 2019, eq. 4.

    Where f is clamped at one end and s at the other, the loss is 2 d and has no slope: nothing would ever move. With
    `unclamp_wrong_sign` f is left as it is where its sign is wrong.

    >>> sample_losses(torch.tensor([0.3, -0.3]), torch.tensor([0.2, 0.05]), 0.1)
    tensor([0.0000, 0.1500])
    """
    clamped = predicted.clamp(-truncation, truncation)
    if unclamp_wrong_sign:
        clamped = torch.where(predicted * truth < 0.0, predicted, clamped)
    return (clamped - truth.clamp(-truncation, truncation)).abs()


def code_penalty(codes: Tensor, epoch: int, weight: float) -> Tensor:
    """() lambda min(1, epoch / 100) mean |z|, of the codes (B, L) of a batch with equally many samples each.

    The norm, not its square, as the published program has it (eq. 9 of the paper has the square).
    """
    return weight * min(1.0, epoch / REGULARIZATION_EPOCHS) * codes.norm(dim=-1).mean()


@torch.no_grad()
def shorten_codes(codes: Tensor, rows: Tensor, bound: float | None) -> None:
    """Scales those of the given rows (B,) of codes (N, L) that are longer than `bound` down to it, in place; None: nothing."""
    if bound is None or codes.shape[1] == 0:
        return
    norms = codes[rows].norm(dim=-1, keepdim=True)
    codes[rows] = torch.where(norms > bound, codes[rows] * (bound / (norms + NORM_EPSILON)), codes[rows])
