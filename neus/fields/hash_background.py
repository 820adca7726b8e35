"""The background of hash models: a hash grid over contracted space."""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu, pad, softplus

from neus.fields.activations import color_sigmoid
from neus.fields.encoding import MAX_OCTAVES, collapsed, encode_frequencies, frequency_width
from neus.fields.hash_grid import HashGrid, HashGridConfig
from neus.geometry.contraction import contracted_ball, inverted_sphere
from neus.kernels.dispatch import fast_kernels
from neus.kernels.hash_background.arguments import EXTRA_ROWS, LEAK, WIDTH, Layers
from neus.settings import at_least, between

# A float for each cell is kept in checkpoints: 8 MB of them at most.
MAX_DENSITY_RESOLUTION = 128
# How far one batch moves the known density of a cell: some ten batches that meet it replace what was known.
OBSERVATION_WEIGHT = 0.2
# Opacities up to this have a density that float32 can tell from others; shorter intervals than TINY have none.
MOST_OPAQUE, TINY = 0.9999, 1e-6


@dataclass(frozen=True)
class HashBackgroundConfig:
    """Config section `model.hash_background`, used where `model.background` is `hash`.

    Attributes:
        grid: levels, features, table; its box holds all of contracted space.
        d_hidden: width of both hidden layers.
        multires_view: octaves of the encoding of the direction.
        density_resolution: cells along each axis of a grid of the densities found so far, by which rays place their samples
            (`rendering.background_intervals`), where `near_far` is `sphere`; 0 places them evenly in inverse distance.
    """

    grid: HashGridConfig = field(
        default_factory=lambda: HashGridConfig(
            n_levels=6, n_features=4, base_resolution=8, finest_resolution=256, log2_table_size=15
        )
    )
    d_hidden: int = at_least(2, default=32)
    multires_view: int = between(0, MAX_OCTAVES, default=2)
    density_resolution: int = between(0, MAX_DENSITY_RESOLUTION, default=0)


class HashBackground(nn.Module):
    """Density and colour outside the unit sphere, from hash-grid features in contracted space (mip-NeRF 360, eq. 10).

    Hidden units are leaky, so that no step, however large, can silence them for good.
    """

    def __init__(self, config: HashBackgroundConfig) -> None:
        super().__init__()
        self.config = config
        self.grid = HashGrid(config.grid)
        self.hidden = nn.Linear(3 + self.grid.n_channels, config.d_hidden)
        self.density = nn.Linear(config.d_hidden, 1)
        self.of_features = nn.Linear(config.d_hidden, config.d_hidden)
        self.of_views = nn.Linear(frequency_width(3, config.multires_view), config.d_hidden, bias=False)
        self.rgb = nn.Linear(config.d_hidden, 3)
        if config.density_resolution > 0:
            self.register_buffer("densities", torch.zeros(config.density_resolution**3))

    def forward(self, points: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
        """Density and colour at inverted-sphere points.

        Args:
            points: (..., 4), from `inverted_sphere`.
            directions: (..., 3), unit, from the camera; along axes that they are expanded over, they are encoded once.

        Returns:
            density (...) >= 0 per scene unit, and RGB (..., 3) in [0, 1].
        """
        contracted = contracted_ball(points).to(self.grid.table.dtype)
        features = self.grid(contracted.reshape(-1, 3)).view(*contracted.shape[:-1], -1)
        hidden = leaky_relu(self.hidden(torch.cat([contracted, features], dim=-1)), LEAK)
        density = softplus(self.density(hidden)).squeeze(-1)
        codes = encode_frequencies(collapsed(directions).to(contracted), self.config.multires_view)
        colors = color_sigmoid(self.rgb(leaky_relu(self.of_features(hidden) + self.of_views(codes), LEAK)))
        return density.to(points.dtype), colors.to(points.dtype)

    @property
    def places_samples(self) -> bool:
        """Whether it knows where along a ray there is something."""
        return self.config.density_resolution > 0

    def known_densities(self, points: Tensor) -> Tensor:
        """(...) density per scene unit in the cells of points (..., 3) outside the unit sphere, as samples have shown it; 0 at first."""
        return self.densities[self._cells(points)]

    @torch.no_grad()
    def observe(self, points: Tensor, alphas: Tensor, deltas: Tensor) -> None:
        """Moves the known densities towards those of samples, averaged over each cell.

        Args:
            points: (..., 3), scene units.
            alphas, deltas: (...), opacities and lengths of the samples' intervals.
        """
        found = -torch.log1p(-alphas.clamp(0.0, MOST_OPAQUE)) / deltas.clamp_min(TINY)
        cells, found = self._cells(points).flatten(), torch.nan_to_num(found).flatten().to(self.densities)
        sums = torch.zeros_like(self.densities).index_add_(0, cells, found)
        counts = torch.zeros_like(self.densities).index_add_(0, cells, torch.ones_like(found))
        means = sums / counts.clamp_min(1.0)
        self.densities.lerp_(means.where(counts > 0.0, self.densities), OBSERVATION_WEIGHT)

    def _cells(self, points: Tensor) -> Tensor:
        """(...) int64 number of the cell that holds each point, in contracted space."""
        n = self.config.density_resolution
        places = contracted_ball(inverted_sphere(points))
        x, y, z = ((places + 1.0) * (n / 2.0)).long().clamp(0, n - 1).unbind(-1)
        return (x * n + y) * n + z

    def fused_samples(
        self, origins: Tensor, directions: Tensor, t: Tensor, deltas: Tensor
    ) -> tuple[Tensor, Tensor] | None:
        """`rendering.behind.background_samples` by a compiled kernel; None where there is none, or it is not enough.

        It computes in float32, and its gradients are those of the parameters alone.
        """
        tensors = origins, directions, t, deltas
        kernels = fast_kernels("hash_background", self.grid.table.device)
        is_known = all(x.dtype == torch.float32 and not x.requires_grad for x in tensors)
        if kernels is None or not is_known or self.grid.table.dtype != torch.float32:
            return None
        codes = encode_frequencies(directions, self.config.multires_view)
        grid = self.grid.table, self.grid.layout, int(self.grid.n_active)
        return kernels.alphas_and_colors(*tensors, codes, *grid, self._layers())

    def _layers(self) -> Layers:
        """The layers as kernels take them; differentiable."""
        width, n_codes = _up(self.config.d_hidden), _up(self.of_views.in_features)
        first = _padded(self.hidden.weight, width, _up(self.hidden.in_features)), _padded(self.hidden.bias, width)
        features = _padded(self.of_features.weight, width, width), _padded(self.of_views.weight, width, n_codes)
        density = _padded(self.density.weight, EXTRA_ROWS, width + n_codes)
        second_b = _padded(self.of_features.bias, width), _padded(self.density.bias, EXTRA_ROWS)
        last = _padded(self.rgb.weight, EXTRA_ROWS, width), _padded(self.rgb.bias, EXTRA_ROWS)
        return Layers(*first, torch.cat([torch.cat(features, dim=1), density]), torch.cat(second_b), *last)


def _up(width: int) -> int:
    return -(-width // WIDTH) * WIDTH


def _padded(parameter: Tensor, *shape: int) -> Tensor:
    """The parameter with zeros beyond its own entries."""
    missing = [n - own for n, own in zip(shape, parameter.shape, strict=True)]
    return pad(parameter, [amount for missed in reversed(missing) for amount in (0, missed)])
