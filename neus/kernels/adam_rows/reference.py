"""One step of Adam on the touched rows of a table, in plain torch: the specification that faster forms are held to."""

import torch
from torch import Tensor


@torch.no_grad()
def adam_rows(
    parameter: Tensor,
    gradient: Tensor,
    moment1: Tensor,
    moment2: Tensor,
    learning_rate: float,
    betas: tuple[float, float],
    epsilon: float,
    step: int,
) -> None:
    """One step of Adam, in place, on rows that have a gradient; those rows of the gradient are then set to zero.

        m <- b1 m + (1 - b1) g,  v <- b2 v + (1 - b2) g^2,  p <- p - rate m / (1 - b1^step) / (sqrt(v / (1 - b2^step)) + epsilon)

    A row whose gradient is zero throughout keeps its parameters and its moments: nothing was learnt of it, and momentum would
    carry it on (Mueller et al. 2022, sec. 4 on sparse updates). The step counts for all rows alike, so a row that is touched
    for the first time late starts with small steps. Afterwards the whole gradient is zero, ready to be added to.

    Args:
        parameter, gradient, moment1, moment2: (R, F), contiguous.
        learning_rate, betas, epsilon: rate, (b1, b2) and epsilon.
        step: number of this step, from 1.

    >>> table, gradient = torch.zeros(2, 1), torch.tensor([[3.0], [0.0]])
    >>> adam_rows(table, gradient, torch.zeros(2, 1), torch.zeros(2, 1), 0.1, (0.9, 0.99), 1e-15, 1)
    >>> table.squeeze(), gradient.squeeze()
    (tensor([-0.1000,  0.0000]), tensor([0., 0.]))
    """
    rows = (gradient != 0.0).any(dim=1).nonzero().squeeze(1)
    change = gradient[rows]
    first = betas[0] * moment1[rows] + (1.0 - betas[0]) * change
    second = betas[1] * moment2[rows] + (1.0 - betas[1]) * change.square()
    correction1, correction2 = 1.0 - betas[0] ** step, (1.0 - betas[1] ** step) ** 0.5
    moment1[rows], moment2[rows] = first, second
    parameter[rows] -= (learning_rate / correction1) * first / (second.sqrt() / correction2 + epsilon)
    gradient[rows] = 0.0
