"""A multiresolution hash grid (Mueller et al. 2022) whose finer levels can be switched off for a start."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from neus.kernels.dispatch import kernels_for
from neus.kernels.hash_encode.layout import grid_layout
from neus.settings import at_least, between

# Spread of the initial features: far below the distances they are added to (Mueller et al. 2022, sec. 4).
INITIAL_FEATURE = 1e-4
# Finer cells are too few steps of float32 wide to interpolate in.
MAX_RESOLUTION = 2**16
# A table of so many rows for each level fills 2 GiB with two features and 16 levels.
MAX_LOG2_TABLE_SIZE = 24


@dataclass(frozen=True)
class HashGridConfig:
    """A multiresolution hash grid: `model.hash_sdf.grid`, `model.hash_sdf.color_grid`, `model.hash_background.grid`.

    Attributes:
        n_levels: levels, L; 0 where a grid is optional.
        n_features: features of each level, F.
        base_resolution: cells per axis of the coarsest level, over the box [-1, 1]^3.
        finest_resolution: cells per axis of the finest level; those between grow geometrically.
        cells_per_pixel: above zero, the finest level has at most this many cells along an axis for each pixel that an image has across
            the sphere: finer ones would learn the images' noise. 0: no such limit.
        log2_table_size: a level whose vertices do not fit 2^this rows is hashed into that many.
    """

    n_levels: int = between(0, 32, default=8)
    n_features: int = between(1, 16, default=2)
    base_resolution: int = between(1, MAX_RESOLUTION, default=16)
    finest_resolution: int = between(1, MAX_RESOLUTION, default=640)
    cells_per_pixel: float = at_least(0.0, default=0.0)
    log2_table_size: int = between(1, MAX_LOG2_TABLE_SIZE, default=18)


class HashGrid(nn.Module):
    """Features of points in the box [-1, 1]^3; outside it, those of the nearest point of the box.

    Attributes:
        layout: levels and where they are in the table.
        table: (rows, F), all levels.
        n_active: () how many levels are on, from the coarsest; the others give zeros. Part of the state, always on the CPU.
    """

    def __init__(self, config: HashGridConfig) -> None:
        super().__init__()
        self.config = config
        self.layout = grid_layout(
            config.n_levels, config.base_resolution, config.finest_resolution, config.log2_table_size
        )
        table = torch.empty(self.layout.n_rows, config.n_features).uniform_(-INITIAL_FEATURE, INITIAL_FEATURE)
        self.table = nn.Parameter(table)
        self.register_buffer("n_active", torch.tensor(config.n_levels))

    def _apply(self, *arguments: Any, **options: Any) -> "HashGrid":
        """Moves all but the number of levels: each step reads it, and would wait for the device."""
        super()._apply(*arguments, **options)
        self.n_active = self.n_active.cpu()
        return self

    @property
    def n_channels(self) -> int:
        """L F, the width of the features."""
        return self.config.n_levels * self.config.n_features

    def set_active_levels(self, n_levels: int) -> None:
        """Switches on the coarsest `n_levels` and the others off."""
        self.n_active.fill_(min(max(n_levels, 1), self.config.n_levels))

    def forward(self, points: Tensor) -> Tensor:
        """Features (M, L F) at points (M, 3)."""
        kernels = kernels_for("hash_encode", points.device)
        return kernels.encode(points, self.table, self.layout, int(self.n_active))

    def with_jacobian(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Features (M, L F) at points (M, 3), and their Jacobian (M, L F, 3), for `vjp`."""
        kernels = kernels_for("hash_encode", points.device)
        return kernels.encode_with_jacobian(points, self.table, self.layout, int(self.n_active))
