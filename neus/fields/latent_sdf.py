"""One signed distance network for a family of shapes, one code per shape: the decoder of DeepSDF (Park et al., CVPR 2019).

Layers, options and parameter names are those of the published program's `networks/deep_sdf_decoder`. Distances are negative inside.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from neus.fields.base import SurfaceSample
from neus.fields.geometric_init import hidden_weight, last_weight_and_bias
from neus.fields.mlp import default_linear, layers_of, linear

# Part of the code that `latent_dropout` drops in training, as published.
LATENT_DROPOUT = 0.2
# At the start the shapes of a family should differ, but little: code columns are this part of what coordinates have.
CODE_COLUMNS = 0.3
START_RADIUS = 0.5


@dataclass(frozen=True)
class LatentSdfConfig:
    """`NetworkSpecs` of the published program, and the length of a code.

    Attributes:
        dims: widths of the hidden layers.
        code_length: L; 0 makes it the network of a single shape.
        latent_in: layers that see code and point again, beside the last activations, which are narrower by L + 3.
        norm_layers: layers that are normalised: by weights, or by LayerNorm where `weight_norm` is off.
        weight_norm: which of both.
        xyz_in_all: every layer but the first sees the point again.
        use_tanh: a second tanh at the end; one is always there.
        dropout, dropout_prob: layers whose activations are dropped in training, and how many.
        latent_dropout: a fifth of the code is dropped at the first layer in training.
        softplus_beta: softplus of that sharpness in place of ReLU, smooth normals; 0 is ReLU. Not in published specs.
    """

    dims: tuple[int, ...] = (128, 128, 128, 128)
    code_length: int = 16
    latent_in: tuple[int, ...] = (2,)
    norm_layers: tuple[int, ...] = (0, 1, 2, 3)
    weight_norm: bool = True
    xyz_in_all: bool = False
    use_tanh: bool = False
    dropout: tuple[int, ...] = ()
    dropout_prob: float = 0.0
    latent_dropout: bool = False
    softplus_beta: float = 0.0

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """(inputs, outputs) of every layer."""
        n_input = self.code_length + 3
        sizes, width = [], n_input
        for layer, dim in enumerate((*self.dims, 1)):
            is_last = layer == len(self.dims)
            if layer in self.latent_in:
                width += n_input
            elif self.xyz_in_all and layer > 0:
                width += 3
            out = dim
            if layer + 1 in self.latent_in:
                out -= n_input
            elif self.xyz_in_all and not is_last:
                out -= 3
            sizes.append((width, out))
            width = out
        return sizes


class LatentSdf(nn.Module):
    """f(z, x): the signed distance of point x to the shape whose code is z, truncated: of slope 1 near the surface only.

    h_0 = [z, x];  h_{i+1} = relu(W_i h_i + b_i);  f = tanh(W_n h_n + b_n). State-dict keys are the published ones without `module.`.
    """

    def __init__(self, config: LatentSdfConfig, sphere_start: bool = False) -> None:
        """Layers with torch's own random values, or such that every code starts as a sphere of radius 0.5."""
        super().__init__()
        self.config = config
        for layer, (n_in, n_out) in enumerate(config.sizes):
            is_normed = layer in config.norm_layers
            by_weights = is_normed and config.weight_norm
            made = self._sphere_layer(layer, n_in, n_out, by_weights) if sphere_start else default_linear(n_in, n_out, by_weights)
            self.add_module(f"lin{layer}", made)
            if is_normed and not config.weight_norm:
                self.add_module(f"bn{layer}", nn.LayerNorm(n_out))
        self.activation = nn.Softplus(config.softplus_beta) if config.softplus_beta > 0.0 else nn.ReLU()

    def _sphere_layer(self, layer: int, n_in: int, n_out: int, weight_norm: bool) -> nn.Module:
        """The initial sphere of SAL (`geometric_init`), with weak code columns."""
        length = self.config.code_length
        if layer == len(self.config.dims):
            return linear(*last_weight_and_bias(n_in, n_out, START_RADIUS, False), weight_norm)
        weight = hidden_weight(n_in, n_out)
        if layer in (0, *self.config.latent_in):
            weight[:, n_in - length - 3 : n_in - 3] *= CODE_COLUMNS
        if layer in self.config.latent_in:
            weight = weight / math.sqrt(2.0)  # the point enters twice: the activations keep their size
        return linear(weight, torch.zeros(n_out), weight_norm)

    def forward(self, codes: Tensor, points: Tensor) -> Tensor:
        """(...) signed distances of points (..., 3) to the shapes of codes (..., L) or (L,); differentiable in both."""
        config = self.config
        codes = codes.expand(*points.shape[:-1], config.code_length)
        given = torch.cat([codes, points], dim=-1)
        h = given
        if config.latent_dropout:
            h = torch.cat([nn.functional.dropout(codes, LATENT_DROPOUT, self.training), points], dim=-1)
        layers = layers_of(self, len(config.sizes))
        for i, layer in enumerate(layers):
            if i in config.latent_in:
                h = torch.cat([h, given], dim=-1)
            elif i > 0 and config.xyz_in_all:
                h = torch.cat([h, points], dim=-1)
            h = layer(h)
            if i < len(layers) - 1:
                h = self._activated(h, i)
        h = h.squeeze(-1)
        return torch.tanh(torch.tanh(h) if config.use_tanh else h)

    def _activated(self, h: Tensor, i: int) -> Tensor:
        if i in self.config.norm_layers and not self.config.weight_norm:
            h = getattr(self, f"bn{i}")(h)
        h = self.activation(h)
        if i in self.config.dropout:
            h = nn.functional.dropout(h, self.config.dropout_prob, self.training)
        return h


class LatentField(nn.Module):
    """One shape of a decoder as a `SurfaceField`: what traces, meshes, renders and measures takes it.

    Within the cube of side 2, in which decoders are trained, the value is clamp(f, -d, d): beyond its truncation d a decoder tells no
    distance, and the least that is known is d. Outside of the cube the value is max(that at the nearest point of the cube, distance
    to the cube). Both are lower bounds of the distance, since shapes lie in the unit ball; a solid that fills the cube ends at it.

    Attributes:
        code: (L,).
        truncation: d, scene units; infinite leaves the decoder's values.
    """

    def __init__(self, decoder: LatentSdf, code: Tensor, truncation: float) -> None:
        super().__init__()
        self.decoder, self.truncation = decoder, truncation
        self.register_buffer("code", code.detach().clone())

    def sdf(self, points: Tensor) -> Tensor:
        """(...) signed distances, at most d, at points (..., 3)."""
        inside = points.clamp(-1.0, 1.0)
        f = self.decoder(self.code, inside).clamp(-self.truncation, self.truncation)
        is_outside = (points.detach() != inside.detach()).any(dim=-1)
        if not bool(is_outside.any()):
            return f
        # Points within are left out of the norm, whose gradient at zero is none.
        beyond = torch.where(is_outside.unsqueeze(-1), points - inside, 1.0).norm(dim=-1)
        return torch.where(is_outside, torch.maximum(f, beyond), f)

    def evaluate(self, points: Tensor) -> SurfaceSample:
        """Distance, no features (..., 0), and gradient at points (..., 3), differentiable in the decoder's parameters."""
        is_recorded = torch.is_grad_enabled()
        with torch.enable_grad():
            points = points if points.requires_grad else points.detach().requires_grad_()
            sdf = self.sdf(points)
            (gradients,) = torch.autograd.grad(sdf.sum(), points, create_graph=is_recorded)
        sdf = sdf if is_recorded else sdf.detach()
        return SurfaceSample(sdf, sdf.new_zeros(*sdf.shape, 0), gradients)

    def gradient(self, points: Tensor) -> Tensor:
        """(..., 3) of the distance at points (..., 3)."""
        with torch.no_grad():
            return self.evaluate(points).gradients
