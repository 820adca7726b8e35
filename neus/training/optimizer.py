"""The optimiser: Adam, its learning rate set before each step."""

import torch

from neus.rendering.model import Model


def build_optimizer(model: Model, learning_rate: float) -> torch.optim.Adam:
    """Adam with torch's default moments over all parameters, in the order of published optimiser states."""
    return torch.optim.Adam(model.parameter_list(), lr=learning_rate)


def set_learning_rate(optimizer: torch.optim.Optimizer, learning_rate: float) -> None:
    """Makes the next step use `learning_rate`."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate


def gradients_are_finite(optimizer: torch.optim.Optimizer) -> bool:
    """Whether no gradient holds NaN or infinity."""
    gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
    # The greatest element, not the sum of squares, which overflows while every element is still finite.
    norms = torch._foreach_norm(gradients, float("inf"))
    return bool(torch.stack([n.float() for n in norms]).isfinite().all())
