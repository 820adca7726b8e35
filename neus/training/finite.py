"""Whether the numbers of a step are finite, and which are not."""

import torch

from neus.rendering.model import Model
from neus.training.optimizer import gradients_are_finite
from neus.training.step import StepTerms


class NotFinite(ArithmeticError):
    """A loss or a gradient of one step is NaN or infinite; the message names it."""


def check_finite(terms: StepTerms, optimizer: torch.optim.Optimizer, model: Model) -> None:
    """Raises NotFinite if the loss or a gradient is not; the one time in an iteration that the CPU waits for a GPU."""
    if not (terms.total.isfinite() & gradients_are_finite(optimizer)):
        raise NotFinite(what_is_not_finite(terms, model))


def what_is_not_finite(terms: StepTerms, model: Model) -> str:
    """The name of the first thing that is NaN or infinite."""
    if not terms.total.isfinite():
        parts = ("color", "eikonal", "mask", "points", "curvature")
        bad = [name for name in parts if not getattr(terms, name).isfinite()]
        return f"the {' and '.join(bad) or 'total'} loss"
    of_parameters = model.named_parameters()
    return f"the gradient of {next(n for n, p in of_parameters if p.grad is not None and not p.grad.isfinite().all())}"
