"""Output activations whose gradients survive saturation."""

from typing import Any

import torch
from torch import Tensor

from neus.kernels.logistic.reference import color_slope


class _ColorSigmoid(torch.autograd.Function):
    """See `color_sigmoid`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        """The logistic sigmoid."""
        y = torch.sigmoid(x)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        """The gradient times `color_slope`."""
        (y,) = ctx.saved_tensors
        return grad * color_slope(y, grad)


def color_sigmoid(x: Tensor) -> Tensor:
    """Colours in [0, 1] of any shape: the logistic sigmoid, whose derivative survives saturation (`color_slope`).

    >>> x = torch.tensor([-30.0], requires_grad=True)
    >>> (color_sigmoid(x) - 0.5).square().sum().backward()
    >>> round(float(x.grad), 4)
    -0.0039
    """
    return _ColorSigmoid.apply(x)
