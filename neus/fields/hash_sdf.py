"""A signed distance field on a hash grid: one hidden layer over features and coordinates, value and gradient in one pass."""

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from neus.fields.base import SurfaceSample
from neus.fields.hash_grid import HashGrid, HashGridConfig
from neus.fields.mlp import chunked
from neus.kernels.hash_encode.reference import vjp
from neus.settings import at_least

# Squareplus (a + sqrt(a^2 + b)) / 2 with this b bends at zero as Softplus of beta 100 does, and costs a root instead of an
# exponential and a logarithm.
SQUAREPLUS_B = 4e-4
# Deviations of the initial weights of the grid's features, and of the rows of the colour network's features.
GRID_WEIGHT_SPREAD = 0.2
FEATURE_WEIGHT_SPREAD = 0.1


@dataclass(frozen=True)
class HashSdfConfig:
    """Config section `model.hash_sdf`, used where `model.surface` is `hash`.

    Attributes:
        grid: levels, features, table.
        color_grid: of a second grid whose features the colour network alone receives, after the features of the distance; none with
            0 levels. Texture then learns at its own pace and cannot shake the surface (after PermutoSDF, Rosu and Behnke 2023).
        d_hidden: width of the hidden layer.
        d_out: 1 distance + features for the colour network.
        bias: radius of the initial sphere, scene units.
        inside_outside: negative outside, for rooms.
    """

    grid: HashGridConfig = field(default_factory=HashGridConfig)
    color_grid: HashGridConfig = field(default_factory=lambda: HashGridConfig(n_levels=0))
    d_hidden: int = at_least(4, default=64)
    d_out: int = at_least(2, default=16)
    bias: float = at_least(1e-3, default=0.5)
    inside_outside: bool = False

    @property
    def n_features(self) -> int:
        """Features for the colour network: those of the distance and those of the grid of colours."""
        return self.d_out - 1 + self.color_grid.n_levels * self.color_grid.n_features


class HashSdf(nn.Module):
    """f(x) = W2 squareplus(W1 [x, grid(x)] + b1) + b2: signed distance and features.

    Starts as a sphere: hidden units look along evenly spread directions d_j, and the mean of max(d . x, 0) over all directions
    is |x| / 4.

    Attributes:
        chunk_size: points evaluated at a time, to suit the device's caches; None is all at once.
    """

    chunk_size: int | None = None

    def __init__(self, config: HashSdfConfig) -> None:
        super().__init__()
        self.config = config
        self.grid = HashGrid(config.grid)
        self.color_grid = HashGrid(config.color_grid) if config.color_grid.n_levels > 0 else None
        self.hidden = nn.Linear(3 + self.grid.n_channels, config.d_hidden)
        self.out = nn.Linear(config.d_hidden, config.d_out)
        with torch.no_grad():
            self._become_a_sphere()

    def _become_a_sphere(self) -> None:
        n, radius = self.config.d_hidden, self.config.bias
        sign = -1.0 if self.config.inside_outside else 1.0
        self.hidden.weight[:, :3] = fibonacci_directions(n)
        self.hidden.weight[:, 3:].normal_(0.0, GRID_WEIGHT_SPREAD)
        self.hidden.bias.zero_()
        self.out.weight.normal_(0.0, FEATURE_WEIGHT_SPREAD)
        self.out.weight[0] = sign * 4.0 / n
        self.out.bias.zero_()
        self.out.bias[0] = -sign * mean_squareplus_on_sphere(radius) * 4.0

    def sdf(self, points: Tensor) -> Tensor:
        """(...) signed distances at points (..., 3), without features or gradient."""
        (sdf,) = chunked(self._sdf_of_rows, self.chunk_size, points.reshape(-1, 3))
        return sdf.reshape(points.shape[:-1])

    def evaluate(self, points: Tensor) -> SurfaceSample:
        """Signed distance, features and spatial gradient at points (..., 3), from one evaluation.

        The gradient is written out as the transposed Jacobian: its derivative in all parameters is an ordinary backward pass.

        Returns:
            sdf (...), features (..., `config.n_features`), gradients (..., 3).
        """
        rows = points.reshape(-1, 3)
        # The grid in one pass: its table's gradient is then written once, whatever the number of passes.
        encoded, jacobian = self.grid.with_jacobian(rows)
        sdf, features, gradients = chunked(self._evaluate_rows, self.chunk_size, rows, encoded, jacobian)
        if self.color_grid is not None:
            features = torch.cat([features, self.color_grid(rows)], dim=1)
        batch = points.shape[:-1]
        return SurfaceSample(
            sdf.reshape(batch), features.reshape(*batch, features.shape[-1]), gradients.reshape(*batch, 3)
        )

    def set_active_levels(self, n_levels: int) -> None:
        """Coarse to fine: only the coarsest `n_levels` of the grid take part."""
        self.grid.set_active_levels(n_levels)

    def _sdf_of_rows(self, points: Tensor) -> tuple[Tensor]:
        before = self.hidden(torch.cat([points, self.grid(points)], dim=1))
        hidden = (before + (before.square() + SQUAREPLUS_B).sqrt()) / 2
        return (hidden @ self.out.weight[0] + self.out.bias[0],)

    def _evaluate_rows(self, points: Tensor, encoded: Tensor, jacobian: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        before = self.hidden(torch.cat([points, encoded], dim=1))
        root = (before.square() + SQUAREPLUS_B).sqrt()
        out = self.out((before + root) / 2)
        slopes = (1.0 + before / root) / 2
        cotangent = (self.out.weight[0] * slopes) @ self.hidden.weight
        gradients = cotangent[:, :3] + vjp(jacobian, cotangent[:, 3:])
        return out[:, 0], out[:, 1:], gradients


def fibonacci_directions(n: int) -> Tensor:
    """(n, 3) unit vectors spread evenly over the sphere, on a spiral of golden angles.

    >>> fibonacci_directions(64).mean(0).abs().max() < 0.01
    tensor(True)
    """
    heights = 1.0 - (2.0 * torch.arange(n, dtype=torch.float64) + 1.0) / n
    angles = math.pi * (1.0 + math.sqrt(5.0)) * (torch.arange(n, dtype=torch.float64) + 0.5)
    radii = (1.0 - heights.square()).sqrt()
    return torch.stack([radii * angles.cos(), radii * angles.sin(), heights], dim=-1).to(torch.get_default_dtype())


def mean_squareplus_on_sphere(radius: float) -> float:
    """Mean of squareplus(d . x) over all unit vectors d, for |x| = radius: about radius / 4, a little more near zero.

    The cosine of a random angle is uniform, so this is the integral of squareplus over [-r, r] over 2 r.

    >>> round(mean_squareplus_on_sphere(0.5), 4)
    0.1259
    """
    b = SQUAREPLUS_B
    return (radius * math.sqrt(radius**2 + b) + b * math.asinh(radius / math.sqrt(b))) / (4.0 * radius)
