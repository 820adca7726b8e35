"""The background: a NeRF on the inverted sphere, as in NeRF++."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from neus.fields.activations import color_sigmoid
from neus.fields.encoding import MAX_OCTAVES, collapsed, encode_frequencies, frequency_width
from neus.settings import at_least, between


@dataclass(frozen=True)
class NerfConfig:
    """Config section `model.nerf`, with NeuS's keys.

    Attributes:
        D: number of hidden layers.
        d_in: coordinates of the inverted sphere, 4.
        d_in_view: coordinates of the direction, 3.
        W: width.
        multires: octaves of the encoding of the point.
        multires_view: octaves of the encoding of the direction.
        output_ch: kept for old configs; without effect, since directions are always used.
        skips: layers after which the encoded point enters again.
        use_viewdirs: must be true.
    """

    D: int = at_least(1, default=8)
    d_in: int = at_least(4, default=4)
    d_in_view: int = at_least(3, default=3)
    W: int = at_least(2, default=256)
    multires: int = between(0, MAX_OCTAVES, default=10)
    multires_view: int = between(0, MAX_OCTAVES, default=4)
    output_ch: int = 4
    skips: tuple[int, ...] = at_least(0, default=(4,))
    use_viewdirs: bool = True


class Nerf(nn.Module):
    """Density and colour outside the unit sphere (NeRF, Mildenhall et al. 2020, fig. 7; NeRF++, sec. 4)."""

    def __init__(self, config: NerfConfig) -> None:
        super().__init__()
        if not config.use_viewdirs:
            raise ValueError(
                "model.nerf.use_viewdirs: false, expected true; the background always depends on the direction."
            )
        self.config = config
        n_points = frequency_width(config.d_in, config.multires)
        n_views = frequency_width(config.d_in_view, config.multires_view)
        n_in = [n_points] + [config.W + (n_points if i in config.skips else 0) for i in range(config.D - 1)]
        self.pts_linears = nn.ModuleList(nn.Linear(n, config.W) for n in n_in)
        self.views_linears = nn.ModuleList([nn.Linear(n_views + config.W, config.W // 2)])
        self.feature_linear = nn.Linear(config.W, config.W)
        self.alpha_linear = nn.Linear(config.W, 1)
        self.rgb_linear = nn.Linear(config.W // 2, 3)

    def forward(self, points: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
        """Density and colour at inverted-sphere points.

        Args:
            points: (..., 4), from `inverted_sphere`.
            directions: (..., 3), unit, from the camera; along axes that they are expanded over, they are encoded once.

        Returns:
            density (...) >= 0 per scene unit, and RGB (..., 3) in [0, 1].
        """
        encoded = encode_frequencies(points, self.config.multires)
        x = encoded
        for i, layer in enumerate(self.pts_linears):
            x = torch.relu(layer(x))
            if i in self.config.skips:
                x = torch.cat([encoded, x], dim=-1)
        density = nn.functional.softplus(self.alpha_linear(x)).squeeze(-1)
        x = torch.relu(self._of_features(x) + self._of_views(directions))
        return density.to(points.dtype), color_sigmoid(self.rgb_linear(x)).to(points.dtype)

    def _of_features(self, x: Tensor) -> Tensor:
        """(..., W / 2) what the colour layer makes of the features, without its bias.

        No activation lies between the two layers, so one product of their weights replaces two of all samples.
        """
        weight = self.views_linears[0].weight[:, : self.config.W]
        return nn.functional.linear(x, weight @ self.feature_linear.weight, weight @ self.feature_linear.bias)

    def _of_views(self, directions: Tensor) -> Tensor:
        """(..., W / 2) what the colour layer makes of the directions, its bias included; of size 1 along expanded axes."""
        directions = collapsed(directions)
        layer = self.views_linears[0]
        codes = encode_frequencies(directions, self.config.multires_view)
        return nn.functional.linear(codes, layer.weight[:, self.config.W :], layer.bias)
