"""Opacities of intervals to weights of their colours."""

import torch
from torch import Tensor

from neus.kernels.composite import reference
from neus.kernels.composite.reference import TRANSMITTANCE_FLOOR, transmittance_from_alphas, weights_from_alphas
from neus.kernels.composite.reference import weighted_sums as composite
from neus.kernels.dispatch import kernels_for

# Weight < threshold: colour not evaluated, where that saves time.
WEIGHT_THRESHOLD = 1e-3

__all__ = [
    "WEIGHT_THRESHOLD",
    "TRANSMITTANCE_FLOOR",
    "composite",
    "composite_alphas",
    "transmittance_from_alphas",
    "weights_from_alphas",
]


def composite_alphas(alphas: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """Weights (N, S) of alphas (N, S), and the sums (N, C) of values (N, S, C) with them, by the fastest kernel there is.

    Double precision is for checking derivatives, so there it is the reference, which has them to any order.

    >>> composite_alphas(torch.tensor([[1.0]]), torch.tensor([[[2.0, 3.0]]]))
    (tensor([[1.]]), tensor([[2., 3.]]))
    """
    is_single = alphas.dtype == values.dtype == torch.float32
    kernels = kernels_for("composite", alphas.device) if is_single else reference
    return kernels.composite(alphas, values)
