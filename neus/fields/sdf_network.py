"""The signed distance network of NeuS: an MLP with skip connection, value and gradient in one pass."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from neus.fields.base import SurfaceSample
from neus.fields.encoding import MAX_OCTAVES, encode_frequencies, frequency_width, vjp_of_frequencies
from neus.fields.geometric_init import hidden_weight, last_weight_and_bias
from neus.fields.mlp import chunked, default_linear, layers_of, linear
from neus.settings import at_least, between

# Softplus this sharp is nearly a ReLU, yet twice differentiable, as the Eikonal term needs.
SOFTPLUS_BETA = 100.0


@dataclass(frozen=True)
class SdfNetworkConfig:
    """Config section `model.sdf_network`, with NeuS's keys.

    Attributes:
        d_out: 1 distance + features for the colour network.
        d_in: coordinates, 3.
        d_hidden: width of the hidden layers.
        n_layers: number of hidden layers.
        skip_in: layers that see the encoded input again.
        multires: octaves of the frequency encoding.
        bias: radius of the initial sphere, in scaled units.
        scale: the network sees scale * x; > 1 gives thin structures a finer start.
        geometric_init: start as a sphere.
        weight_norm: normalise weights.
        inside_outside: negative outside, for rooms.
    """

    d_out: int = at_least(2, default=257)
    d_in: int = at_least(3, default=3)
    d_hidden: int = at_least(1, default=256)
    n_layers: int = at_least(1, default=8)
    skip_in: tuple[int, ...] = (4,)
    multires: int = between(0, MAX_OCTAVES, default=6)
    bias: float = at_least(0.0, default=0.5)
    scale: float = at_least(1e-6, default=1.0)
    geometric_init: bool = True
    weight_norm: bool = True
    inside_outside: bool = False


class SdfNetwork(nn.Module):
    """f(x): signed distance and features, NeuS sec. 3.1 and appendix; layers `lin0` ... as in published checkpoints.

    Attributes:
        chunk_size: points evaluated at a time, to suit the device's caches; None is all at once.
    """

    chunk_size: int | None = None

    def __init__(self, config: SdfNetworkConfig) -> None:
        super().__init__()
        self.config = config
        n_encoded = frequency_width(config.d_in, config.multires)
        widths = [n_encoded] + [config.d_hidden] * config.n_layers + [config.d_out]
        self.n_linear = len(widths) - 1
        for i in range(self.n_linear):
            # The layer before a skip leaves room for the encoded input that is appended to its output.
            n_out = widths[i + 1] - (n_encoded if i + 1 in config.skip_in else 0)
            setattr(self, f"lin{i}", self._layer(i, widths[i], n_out, n_encoded))

    def _layer(self, i: int, n_in: int, n_out: int, n_encoded: int) -> nn.Module:
        config = self.config
        if not config.geometric_init:
            return default_linear(n_in, n_out, config.weight_norm)
        if i == self.n_linear - 1:
            return linear(*last_weight_and_bias(n_in, n_out, config.bias, config.inside_outside), config.weight_norm)
        n_live = None
        if i == 0:
            n_live = config.d_in
        elif i in config.skip_in:
            n_live = n_in - (n_encoded - config.d_in)
        return linear(hidden_weight(n_in, n_out, n_live), torch.zeros(n_out), config.weight_norm)

    def sdf(self, points: Tensor) -> Tensor:
        """(...) signed distances at points (..., 3), without features or gradient."""
        (sdf,) = chunked(self._sdf_of_rows, self.chunk_size, points.reshape(-1, 3))
        return sdf.reshape(points.shape[:-1])

    def evaluate(self, points: Tensor) -> SurfaceSample:
        """Signed distance, features and spatial gradient at points (..., 3), from one evaluation.

        The gradient is written out layer by layer (the transposed Jacobian), so that the activations of the forward pass
        serve both, and its derivative in the parameters is an ordinary backward pass.

        Returns:
            sdf (...), features (..., d_out - 1), gradients (..., 3).
        """
        sdf, features, gradients = chunked(self._evaluate_rows, self.chunk_size, points.reshape(-1, 3))
        batch = points.shape[:-1]
        return SurfaceSample(
            sdf.reshape(batch), features.reshape(*batch, features.shape[-1]), gradients.reshape(*batch, 3)
        )

    def _sdf_of_rows(self, points: Tensor) -> tuple[Tensor]:
        hidden, _ = self._hidden(points * self.config.scale, keep_slopes=False)
        # All channels, though one is needed: the product then rounds as in `evaluate` and in the published code, and
        # up-sampling amplifies rounding (1e-7 in the distance moved single samples of 3 rays in 120).
        out = layers_of(self, self.n_linear)[-1](hidden)
        return (out[:, 0] / self.config.scale,)

    def _evaluate_rows(self, points: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x = points * self.config.scale
        hidden, slopes = self._hidden(x, keep_slopes=True)
        last = layers_of(self, self.n_linear)[-1]
        weight = last.weight
        out = nn.functional.linear(hidden, weight, last.bias)
        # The scale of the input and that of the output cancel in the gradient.
        return out[:, 0] / self.config.scale, out[:, 1:], self._vjp(x, weight[0], slopes)

    def _hidden(self, x: Tensor, keep_slopes: bool) -> tuple[Tensor, list[Tensor]]:
        """Last hidden layer (M, d_hidden) at scaled points x (M, 3), and the slope of each activation if requested."""
        encoded = encode_frequencies(x, self.config.multires)
        hidden, slopes = encoded, []
        for i, layer in enumerate(layers_of(self, self.n_linear)[:-1]):
            if i in self.config.skip_in:
                hidden = torch.cat([hidden, encoded], dim=-1) / math.sqrt(2.0)
            before = layer(hidden)
            hidden = nn.functional.softplus(before, beta=SOFTPLUS_BETA)
            if keep_slopes:
                slopes.append(torch.sigmoid(SOFTPLUS_BETA * before))
        return hidden, slopes

    def _vjp(self, x: Tensor, cotangent: Tensor, slopes: list[Tensor]) -> Tensor:
        """(M, 3): gradient in x of the output whose gradient in the last hidden layer is `cotangent` (d_hidden,)."""
        config = self.config
        encoded_cotangent = 0.0
        for i in reversed(range(self.n_linear - 1)):
            cotangent = (cotangent * slopes[i]) @ layers_of(self, self.n_linear)[i].weight
            if i in config.skip_in:
                cotangent = cotangent / math.sqrt(2.0)
                n_hidden = cotangent.shape[-1] - frequency_width(config.d_in, config.multires)
                encoded_cotangent = encoded_cotangent + cotangent[:, n_hidden:]
                cotangent = cotangent[:, :n_hidden]
        return vjp_of_frequencies(x, cotangent + encoded_cotangent, config.multires)
