"""Linear layers, with weight normalisation under the parameter names of published NeuS checkpoints."""

from collections.abc import Callable

import torch
from torch import Tensor, nn


class WeightNormLinear(nn.Module):
    """y = W x + b with W = g v / |v|, row by row (Salimans & Kingma 2016, eq. 2).

    Parameters `bias`, `weight_g` (out, 1), `weight_v` (out, in), in the order of published checkpoints and optimisers.
    """

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.bias = nn.Parameter(bias)
        self.weight_g = nn.Parameter(weight.norm(dim=1, keepdim=True))
        self.weight_v = nn.Parameter(weight)

    @property
    def weight(self) -> Tensor:
        """(out, in) the normalised weight."""
        # torch's own fused operation: faster, and rounded as in the published code, which up-sampling amplifies.
        return torch._weight_norm(self.weight_v, self.weight_g, 0)

    def forward(self, x: Tensor) -> Tensor:
        """(..., out) from (..., in)."""
        return nn.functional.linear(x, self.weight, self.bias)


def linear(weight: Tensor, bias: Tensor, weight_norm: bool) -> nn.Module:
    """A linear layer that starts with the given weight (out, in) and bias (out,)."""
    if weight_norm:
        return WeightNormLinear(weight, bias)
    layer = nn.Linear(weight.shape[1], weight.shape[0])
    layer.weight = nn.Parameter(weight)
    layer.bias = nn.Parameter(bias)
    return layer


def default_linear(n_in: int, n_out: int, weight_norm: bool) -> nn.Module:
    """A linear layer with torch's own initial values."""
    layer = nn.Linear(n_in, n_out)
    return linear(layer.weight.detach(), layer.bias.detach(), True) if weight_norm else layer


def layers_of(network: nn.Module, n_layers: int) -> list[nn.Module]:
    """The layers `lin0`, `lin1`, ... of a network in the naming of published checkpoints."""
    return [getattr(network, f"lin{i}") for i in range(n_layers)]


def chunked(function: Callable[..., tuple[Tensor, ...]], rows: int | None, *inputs: Tensor) -> tuple[Tensor, ...]:
    """The results of a function of tensors (M, ...), evaluated `rows` rows at a time and put together; None is all at once.

    They have the type of the inputs, whatever the `precision` of the products between. Differentiable as the function is. On a
    CPU, activations of a few thousand rows stay in its caches and reuse the same memory: 65 536 samples of the published network
    take 0.6 of the time forwards and backwards. Passes of 4096 and 8192 rows gave the same bits as one pass; passes of a few
    rows may round differently.
    """
    if rows is None or len(inputs[0]) <= rows:
        return tuple(result.to(inputs[0].dtype) for result in function(*inputs))
    passes = [function(*part) for part in zip(*(x.split(rows) for x in inputs))]
    return tuple(torch.cat(parts).to(inputs[0].dtype) for parts in zip(*passes))
