"""The shell of a hash model's surface, traced and coloured by the fused kernels; `shell` is the specification."""

import numpy as np
import torch
from torch import Tensor

from neus.geometry.intervals import WEIGHT_FLOOR
from neus.kernels.dispatch import compiled
from neus.kernels.fused_step.arguments import ShellConstants, ShellRays, ShellSamplesArguments
from neus.rendering.density import LogisticDensity
from neus.rendering.fused import FusedModel, color_bias, fused_sdf
from neus.rendering.model import Model
from neus.rendering.sdf_grid import SdfGrid
from neus.rendering.shell import LEAST_SLOPE, MAX_SHELLS, OVER_RELAXATION, TRACE_TOLERANCE, ShellConfig, ShellSamples
from neus.rendering.sphere_tracing import MAX_STEPS, REFUTED_BEYOND, SLOPE_MARGIN

# Vertices per axis of the lattice by which rays skip empty space: evaluated once, in a quarter of a second.
LATTICE = 96


class FusedShell:
    """A hash model as it was when this was made."""

    def __init__(self, model: Model, packed: FusedModel) -> None:
        self.model, self.packed = model, packed
        self._lattice: SdfGrid | None = None

    @torch.no_grad()
    def sample_points(
        self,
        origins: Tensor,
        directions: Tensor,
        near: Tensor,
        far: Tensor,
        sharpness: float,
        density: LogisticDensity,
        lipschitz: float,
        config: ShellConfig,
    ) -> ShellSamples:
        """Where rays take their colours; arguments as of `trace_shells`."""
        start = self.starts(origins, directions, near, far, lipschitz, config.half_width / sharpness)
        rays = ShellRays(*(x.float().contiguous().numpy() for x in (origins, directions, start, far)))
        scales = _scales(sharpness, density, lipschitz, config)
        seen, n = compiled("fused_step").trace(self.packed.grid, self.packed.surface, rays, scales, config.n_colors)
        return ShellSamples(*(torch.from_numpy(x) for x in seen), evaluations=n)

    def starts(
        self, origins: Tensor, directions: Tensor, near: Tensor, far: Tensor, lipschitz: float, margin: float
    ) -> Tensor:
        """(N,) distances before which f > margin, by a lattice that is evaluated once, the first time."""
        if self._lattice is None:
            self._lattice = SdfGrid.of(lambda points: fused_sdf(self.model, points, self.packed), LATTICE)
        return self._lattice.starts(origins, directions, near, far, lipschitz, margin)

    @torch.no_grad()
    def means(self, origins: Tensor, directions: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """Mean colours (N, 3) and gradients (N, 3) of points t (N, K) on rays (N, 3), (N, 3)."""
        tensors = origins, directions, t, color_bias(self.model, directions)
        sample_points = ShellSamplesArguments(*(x.float().contiguous().numpy() for x in tensors))
        packed = self.packed
        rgb, normals = compiled("fused_step").shade(packed.grid, packed.color_grid, packed.surface, packed.color, sample_points)
        return torch.from_numpy(rgb), torch.from_numpy(normals)


def _scales(sharpness: float, density: LogisticDensity, lipschitz: float, config: ShellConfig) -> ShellConstants:
    """Constants of the tracing in the kernel's order and precision."""
    numbers = {
        "half": config.half_width / sharpness,
        "tolerance": TRACE_TOLERANCE * config.step / sharpness,
        "step": config.step / sharpness,
        "sharpness": sharpness,
        "epsilon": density.epsilon,
        "opaque": config.opaque,
        "clear_below": config.clear_below,
        "clear_above": config.clear_above,
        "least_slope": LEAST_SLOPE,
        "lipschitz": lipschitz,
        "over_relaxation": OVER_RELAXATION,
        "refuted_beyond": REFUTED_BEYOND,
        "slope_margin": SLOPE_MARGIN,
        "weight_floor": WEIGHT_FLOOR,
    }
    limits = {"max_queries": config.max_queries, "max_shells": MAX_SHELLS, "max_steps": MAX_STEPS}
    return ShellConstants(**{name: np.float32(value) for name, value in numbers.items()}, **limits)
