"""The colour network of NeuS: radiance from point, normal, viewing direction and the surface's features."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from neus.fields.activations import color_sigmoid
from neus.fields.encoding import MAX_OCTAVES, encode_frequencies, frequency_width
from neus.fields.mlp import chunked, default_linear, layers_of
from neus.settings import at_least, between, one_of

COLOR_MODES = ("idr", "no_view_dir", "no_normal")


@dataclass(frozen=True)
class ColorNetworkConfig:
    """Config section `model.rendering_network`, with NeuS's keys.

    Attributes:
        d_feature: features taken from the signed distance network.
        mode: `idr` (all inputs), `no_view_dir` or `no_normal`.
        d_in: coordinates of the inputs without features: 9 for idr, 6 otherwise.
        d_out: colour channels.
        d_hidden: width of the hidden layers.
        n_layers: number of hidden layers.
        weight_norm: normalise weights.
        multires_view: octaves of the encoding of the viewing direction.
        squeeze_out: end with a sigmoid.
    """

    d_feature: int = at_least(1, default=256)
    mode: str = one_of(COLOR_MODES, default="idr")
    d_in: int = at_least(6, default=9)
    d_out: int = at_least(3, default=3)
    d_hidden: int = at_least(1, default=256)
    n_layers: int = at_least(1, default=4)
    weight_norm: bool = True
    multires_view: int = between(0, MAX_OCTAVES, default=4)
    squeeze_out: bool = True


class ColorNetwork(nn.Module):
    """c(x, n, v, features): IDR's rendering network (Yariv et al. 2020, eq. 8); layers `lin0` ... as published.

    Attributes:
        chunk_size: points evaluated at a time, to suit the device's caches; None is all at once.
    """

    chunk_size: int | None = None

    def __init__(self, config: ColorNetworkConfig) -> None:
        super().__init__()
        self.config = config
        n_in = config.d_in + config.d_feature
        if config.mode != "no_view_dir":
            n_in += frequency_width(3, config.multires_view) - 3
        widths = [n_in] + [config.d_hidden] * config.n_layers + [config.d_out]
        self.n_linear = len(widths) - 1
        for i in range(self.n_linear):
            setattr(self, f"lin{i}", default_linear(widths[i], widths[i + 1], config.weight_norm))

    def forward(self, points: Tensor, normals: Tensor, directions: Tensor, features: Tensor) -> Tensor:
        """RGB (..., 3) in [0, 1] (with `squeeze_out`).

        Args:
            points: (..., 3), scene frame.
            normals: (..., 3), the raw gradient of the signed distance.
            directions: (..., 3), unit, from the camera.
            features: (..., d_feature).
        """
        inputs = (points, normals, directions, features)
        (rgb,) = chunked(self._color_of_rows, self.chunk_size, *(x.reshape(-1, x.shape[-1]) for x in inputs))
        return rgb.reshape(*points.shape[:-1], rgb.shape[-1])

    def _color_of_rows(self, points: Tensor, normals: Tensor, directions: Tensor, features: Tensor) -> tuple[Tensor]:
        views = encode_frequencies(directions, self.config.multires_view)
        inputs = {
            "idr": [points, views, normals, features],
            "no_view_dir": [points, normals, features],
            "no_normal": [points, views, features],
        }[self.config.mode]
        x = torch.cat(inputs, dim=-1)
        for i, layer in enumerate(layers_of(self, self.n_linear)):
            x = layer(x if i == 0 else torch.relu(x))
        return (color_sigmoid(x) if self.config.squeeze_out else x,)
