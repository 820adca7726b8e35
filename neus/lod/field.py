"""A signed distance field as a pyramid of features: one tiny decoder for each level of detail."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from neus.errors import InputError
from neus.fields.base import SurfaceSample
from neus.lod.lattice import FeatureLattice, cells_of_level, complete_codes

# Deviation of features at the start, as published.
FEATURE_SPREAD = 0.01
# Points evaluated together: features of all corners of all levels stay in the caches.
CHUNK = 2**15


@dataclass(frozen=True)
class LodLayout:
    """What a pyramid is made of.

    Attributes:
        codes: of each level the numbers (R_l,) of its stored corners, ascending; None stores all.
        n_channels: features of a corner, C.
        n_hidden: width of the decoders, H.
        base: level l has 2^(l + base) cells along each side of [-1, 1]^3.
        has_joint_decoder: one decoder for all levels.
        takes_position: whether decoders receive the point beside its features.
        has_colors: three more numbers for each corner.
    """

    codes: Sequence[Tensor | None]
    n_channels: int = 16
    n_hidden: int = 32
    base: int = 2
    has_joint_decoder: bool = False
    takes_position: bool = True
    has_colors: bool = False


class LodSdf(nn.Module):
    """f_l(x) = W2_l relu(W1_l [x, sum_{k <= l} F_k(x)] + b1_l) + b2_l (Takikawa et al. 2021, eq. 3-4).

    F_k is trilinear between the corners of a lattice of 2^(k + base) cells along each side of [-1, 1]^3. Corners that are not stored
    count as zero, so the field is continuous and has a sign everywhere, however few are stored. Between levels distances are
    blended: f = (1 - a) f_l + a f_{l+1} at level l + a.

    Attributes:
        layout: what it is made of.
        features: of each level (R_l + 1, C); the last row is zero, for all corners that are not stored.
        colors: of each level (R_l + 1, 3) likewise, empty without colours: RGB is their sum over the levels.
        slopes: (L,) the greatest slope of each level, for tracing.
        errors: (L,) mean distance error of each level near the surface, scene units; NaN if it was not measured.
        scene_to_world: (4, 4), from [-1, 1]^3 to the unit of its source.
    """

    def __init__(self, layout: LodLayout) -> None:
        super().__init__()
        self.layout = layout
        every = [
            complete_codes(cells_of_level(layout.base, k)) if codes is None else codes
            for k, codes in enumerate(layout.codes)
        ]
        self.lattices = nn.ModuleList(
            FeatureLattice(cells_of_level(layout.base, k), codes) for k, codes in enumerate(every)
        )
        self.features = nn.ParameterList(_rows(len(codes), layout.n_channels, FEATURE_SPREAD) for codes in every)
        widths = [3] * layout.has_colors
        self.colors = nn.ParameterList(_rows(len(codes), width, 0.0) for codes in every for width in widths)
        n_decoders = 1 if layout.has_joint_decoder else len(every)
        d_in = layout.n_channels + 3 * layout.takes_position
        self.decoders = nn.ModuleList(
            nn.Sequential(nn.Linear(d_in, layout.n_hidden), nn.ReLU(), nn.Linear(layout.n_hidden, 1))
            for _ in range(n_decoders)
        )
        self.register_buffer("slopes", torch.ones(len(every)))
        self.errors = torch.full((len(every),), torch.nan)
        self.scene_to_world = torch.eye(4, dtype=torch.float64)

    @property
    def n_levels(self) -> int:
        """Levels, L."""
        return len(self.lattices)

    @property
    def finest(self) -> float:
        """The number of the finest level, L - 1."""
        return float(self.n_levels - 1)

    def decoder(self, level: int) -> nn.Sequential:
        """The decoder of a level."""
        return self.decoders[min(level, len(self.decoders) - 1)]

    def at(self, level: float | None = None) -> "LodLevel":
        """The surface at a level in [0, L - 1], the finest if None; raises InputError for another one."""
        return LodLevel(self, self.checked_level(self.finest if level is None else level))

    def checked_level(self, level: float) -> float:
        """The same level; InputError if the pyramid does not reach it."""
        if not 0.0 <= level <= self.finest:
            raise InputError(f"level {level:g}: the levels of detail are 0 to {self.finest:g}, fractions allowed; choose one of them.")
        return float(level)

    def feature(self, points: Tensor, level: int) -> Tensor:
        """(M, C) features F_l of one level alone at points (M, 3); beyond the cube those of the nearest point of its faces."""
        rows, weights = self.lattices[level].corners(points)
        return _weighted(rows, weights, self.features[level])

    def all_sdf(self, points: Tensor) -> Tensor:
        """(L, M) distances at points (M, 3) at every level, differentiable in all parameters, as published also beyond the cube."""
        total, found = points.new_zeros(len(points), self.layout.n_channels), []
        for level in range(self.n_levels):
            total = total + self.feature(points, level)
            found.append(self._decoded(points, total, level))
        return torch.stack(found)

    def published_sdf(self, points: Tensor, level: int) -> Tensor:
        """(M,) distances at points (M, 3) of a whole level; beyond the cube of no meaning, but those of the published program."""
        total = sum(self.feature(points, k) for k in range(level + 1))
        return self._decoded(points, total, level)

    def sdf_and_gradient(self, points: Tensor, level: int) -> tuple[Tensor, Tensor]:
        """Distances (M,) and gradients (M, 3) at points (M, 3) of a whole level: grad f = W1x^T c + J^T W1f^T c, c = W2 [z > 0]."""
        total, jacobian = points.new_zeros(len(points), self.layout.n_channels), 0.0
        for k in range(level + 1):
            rows, weights, slopes = self.lattices[k].corners_and_slopes(points)
            total = total + _weighted(rows, weights, self.features[k])
            parts = [_weighted(rows, slopes[..., axis].contiguous(), self.features[k]) for axis in range(3)]
            jacobian = jacobian + torch.stack(parts, dim=-1)
        first, _, last = self.decoder(level)
        before = first(torch.cat([points, total], dim=1) if self.layout.takes_position else total)
        pulled = (last.weight[0] * (before > 0.0)) @ first.weight
        of_features = pulled[:, -self.layout.n_channels :]
        gradients = torch.einsum("mca,mc->ma", jacobian, of_features)
        if self.layout.takes_position:
            gradients = gradients + pulled[:, :3]
        return last(before.relu()).squeeze(1), gradients

    def rgb(self, points: Tensor, level: float) -> Tensor:
        """(M, 3) RGB in [0, 1] at points (M, 3), blended as the distances are; InputError without colours."""
        if not self.layout.has_colors:
            raise InputError("levels of detail: this model has its shape only; bake it again with --color.")
        lower, fraction = split_level(level)
        total, levels = points.new_zeros(len(points), 3), lower + 1 + (fraction > 0.0)
        for k in range(levels):
            rows, weights = self.lattices[k].corners(points)
            weight = fraction if k > lower else 1.0
            total = total + weight * _weighted(rows, weights, self.colors[k])
        return total.clamp(0.0, 1.0)

    def _decoded(self, points: Tensor, features: Tensor, level: int) -> Tensor:
        inputs = torch.cat([points, features], dim=1) if self.layout.takes_position else features
        return self.decoder(level)(inputs).squeeze(1)


@dataclass(frozen=True)
class LodLevel:
    """A `SurfaceField`: a pyramid at one level, which may lie between two.

    Beyond the cube [-1, 1]^3 the distance is that of the nearest point of the cube and the way there, an upper bound. The features
    are the baked RGB (..., 3), or nothing (..., 0).
    """

    field: LodSdf
    level: float

    def sdf(self, points: Tensor) -> Tensor:
        """(...) signed distances at points (..., 3)."""
        rows = points.reshape(-1, 3)
        inside = rows.clamp(-1.0, 1.0)
        lower, fraction = split_level(self.level)
        parts = [_blend(self.field, part, lower, fraction) for part in inside.split(CHUNK)]
        found = torch.cat(parts) if parts else rows[:, 0]
        return (found + (rows - inside).norm(dim=1)).reshape(points.shape[:-1])

    def evaluate(self, points: Tensor) -> SurfaceSample:
        """Distance, colour and gradient at points (..., 3) in one pass, differentiable in the field's parameters."""
        rows = points.reshape(-1, 3)
        inside = rows.clamp(-1.0, 1.0)
        lower, fraction = split_level(self.level)
        sdf, gradients = self.field.sdf_and_gradient(inside, lower)
        if fraction > 0.0:
            finer = self.field.sdf_and_gradient(inside, lower + 1)
            sdf, gradients = (torch.lerp(a, b, fraction) for a, b in zip((sdf, gradients), finer, strict=True))
        way = rows - inside
        length = way.norm(dim=1, keepdim=True)
        # The nearest point of the cube moves along with the point, but for the axes along which it is beyond.
        gradients = torch.where(way == 0.0, gradients, way / length.clamp_min(torch.finfo(way.dtype).tiny))
        features = self.field.rgb(inside, self.level) if self.field.layout.has_colors else rows[:, :0]
        batch = points.shape[:-1]
        return SurfaceSample(
            (sdf + length.squeeze(1)).reshape(batch), features.reshape(*batch, -1 if len(rows) else 0), gradients.reshape(*batch, 3)
        )

    @property
    def slope(self) -> float:
        """The greatest slope of the field at this level."""
        lower, fraction = split_level(self.level)
        slopes = self.field.slopes[lower : lower + 1 + (fraction > 0.0)]
        return float(slopes.max())


def baked_color(points: Tensor, normals: Tensor, directions: Tensor, features: Tensor) -> Tensor:
    """A `ColorField`: the RGB (..., 3) that `LodLevel.evaluate` gives as features."""
    return features


def split_level(level: float) -> tuple[int, float]:
    """A whole level, and the fraction of the way to the next.

    >>> split_level(2.25), split_level(3.0)
    ((2, 0.25), (3, 0.0))
    """
    lower = math.floor(level)
    return lower, level - lower


def _blend(field: LodSdf, points: Tensor, lower: int, fraction: float) -> Tensor:
    found = field.published_sdf(points, lower)
    return found if fraction == 0.0 else torch.lerp(found, field.published_sdf(points, lower + 1), fraction)


def _weighted(rows: Tensor, weights: Tensor, table: Tensor) -> Tensor:
    """(M, C) sums of the rows (M, 8) of a table by weights (M, 8); its last row is nothing."""
    return functional.embedding_bag(rows, table, per_sample_weights=weights, mode="sum", padding_idx=len(table) - 1)


def _rows(n: int, width: int, spread: float) -> nn.Parameter:
    values = torch.randn(n + 1, width) * spread
    values[n] = 0.0
    return nn.Parameter(values)
