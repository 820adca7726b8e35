"""One step of Adam on the touched rows of a table, in plain torch: the specification that faster forms are held to."""

import functools
import math

import torch
from torch import Tensor

# Steps of a row are counted up to the first at which both corrections are 1 to double precision, and no further than int16 goes.
PRECISION, MAX_ROW_STEPS = 1e-16, 2**15 - 1
_CPU = torch.device("cpu")


@functools.lru_cache(maxsize=8)
def bias_corrections(
    betas: tuple[float, float], dtype: torch.dtype = torch.float64, device: torch.device = _CPU
) -> Tensor:
    """(2, K) factors 1 / (1 - b1^n) and 1 / sqrt(1 - b2^n) of a row's step n (Kingma and Ba 2015, alg. 1), the last for all later ones.

    >>> bias_corrections((0.9, 0.99))[:, 1]
    tensor([10.0000, 10.0000], dtype=torch.float64)
    """
    slowest = max(betas)
    n_counted = min(MAX_ROW_STEPS, math.ceil(math.log(PRECISION) / math.log(slowest))) if slowest > 0.0 else 1
    n = torch.arange(n_counted + 1, dtype=torch.float64).clamp_min(1.0)
    first, second = (1.0 - torch.tensor(beta, dtype=torch.float64) ** n for beta in betas)
    return torch.stack([1.0 / first, second.rsqrt()]).to(device, dtype)


@torch.no_grad()
def adam_rows(
    parameter: Tensor,
    gradient: Tensor,
    moment1: Tensor,
    moment2: Tensor,
    row_steps: Tensor,
    learning_rate: float,
    betas: tuple[float, float],
    epsilon: float,
) -> None:
    """One step of Adam, in place, on rows that have a gradient; those rows of the gradient are then set to zero.

        n <- n + 1,  m <- b1 m + (1 - b1) g,  v <- b2 v + (1 - b2) g^2,
        p <- p - rate m / (1 - b1^n) / (sqrt(v / (1 - b2^n)) + epsilon)

    A row whose gradient is zero throughout keeps its parameters, moments and number of steps: nothing was learnt of it, and
    momentum would carry it on (Mueller et al. 2022, sec. 4 on sparse updates). Each row has its own n, so that one that is touched
    for the first time late, as all of a level that is switched on then, starts as with a fresh Adam. Afterwards the whole gradient
    is zero, ready to be added to.

    Args:
        parameter, gradient, moment1, moment2: (R, F), contiguous.
        row_steps: (R,) int16, steps of each row so far; counted up to where the corrections are 1 (`bias_corrections`).
        learning_rate, betas, epsilon: rate, (b1, b2) and epsilon.

    >>> table, gradient = torch.zeros(2, 1), torch.tensor([[3.0], [0.0]])
    >>> moments, row_steps = (torch.zeros(2, 1), torch.zeros(2, 1)), torch.zeros(2, dtype=torch.int16)
    >>> adam_rows(table, gradient, *moments, row_steps, 0.1, (0.9, 0.99), 1e-15)
    >>> table.squeeze(), gradient.squeeze(), row_steps
    (tensor([-0.1000,  0.0000]), tensor([0., 0.]), tensor([1, 0], dtype=torch.int16))
    """
    corrections = bias_corrections(betas, parameter.dtype, parameter.device)
    rows = (gradient != 0.0).any(dim=1).nonzero().squeeze(1)
    change = gradient[rows]
    first = betas[0] * moment1[rows] + (1.0 - betas[0]) * change
    second = betas[1] * moment2[rows] + (1.0 - betas[1]) * change.square()
    steps = (row_steps[rows].long() + 1).clamp(1, corrections.shape[1] - 1)
    correction1, correction2 = corrections[:, steps].unsqueeze(-1)
    moment1[rows], moment2[rows], row_steps[rows] = first, second, steps.to(row_steps)
    parameter[rows] -= learning_rate * correction1 * first / (second.sqrt() * correction2 + epsilon)
    gradient[rows] = 0.0
