"""The optimiser: Adam, its learning rates set before each step."""

import torch

from neus.rendering.model import Model

# For the table of a hash grid (Mueller et al. 2022, sec. 4): rows are touched rarely and their gradients are tiny.
TABLE_BETAS, TABLE_EPSILON = (0.9, 0.99), 1e-15


def build_optimizer(model: Model, learning_rate: float, learning_rate_table: float | None = None) -> torch.optim.Adam:
    """Adam with torch's default moments over all parameters, in the order of published optimiser states.

    The table of a hash surface is a second group, with its own learning rate (that of the others if None), moments and epsilon.
    """
    parameters = model.parameter_list()
    if model.config.surface != "hash":
        return torch.optim.Adam(parameters, lr=learning_rate)
    table = model.sdf_network.grid.table
    others = {"params": [p for p in parameters if p is not table]}
    rate = learning_rate if learning_rate_table is None else learning_rate_table
    # Fused: one pass over a table of millions of numbers instead of about ten.
    of_table = {"params": [table], "lr": rate, "betas": TABLE_BETAS, "eps": TABLE_EPSILON, "fused": True}
    return torch.optim.Adam([others, of_table], lr=learning_rate)


def set_learning_rate(
    optimizer: torch.optim.Optimizer, learning_rate: float, learning_rate_table: float | None = None
) -> None:
    """Makes the next step use `learning_rate`, and `learning_rate_table`, if given, for the table of a hash surface."""
    for group in optimizer.param_groups:
        is_table = group["eps"] == TABLE_EPSILON
        group["lr"] = learning_rate_table if is_table and learning_rate_table is not None else learning_rate


def gradients_are_finite(optimizer: torch.optim.Optimizer) -> bool:
    """Whether no gradient holds NaN or infinity."""
    gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
    # The greatest element, not the sum of squares, which overflows while every element is still finite.
    norms = torch._foreach_norm(gradients, float("inf"))
    return bool(torch.stack([n.float() for n in norms]).isfinite().all())
