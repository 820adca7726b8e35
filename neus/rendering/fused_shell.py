"""The shell of a hash model's surface, walked and coloured by the fused kernels: see `shell` for what is done."""

import numpy as np
import torch
from torch import Tensor

from neus.geometry.intervals import WEIGHT_FLOOR
from neus.kernels.dispatch import compiled
from neus.kernels.fused_step.arguments import Places, ShellRays, ShellScales
from neus.rendering.density import LogisticDensity
from neus.rendering.distance_cache import DistanceCache
from neus.rendering.fused import FusedModel, color_bias, fused_sdf
from neus.rendering.model import Model
from neus.rendering.shell import LEAST_SLOPE, MAX_SHELLS, OVER_RELAXATION, TRACE_TOLERANCE, ShellConfig, ShellPlaces
from neus.rendering.sphere_tracing import MAX_STEPS, REFUTED_BEYOND, SLOPE_MARGIN

# Vertices per axis of the lattice by which rays skip empty space: looked at once, in a quarter of a second.
LATTICE = 96


class FusedShell:
    """A hash model as it was when this was made."""

    def __init__(self, model: Model, view: FusedModel) -> None:
        self.model, self.view = model, view
        self._lattice: DistanceCache | None = None

    @torch.no_grad()
    def places(
        self,
        origins: Tensor,
        directions: Tensor,
        near: Tensor,
        far: Tensor,
        sharpness: float,
        density: LogisticDensity,
        lipschitz: float,
        config: ShellConfig,
    ) -> ShellPlaces:
        """Where rays take their colours; arguments as of `walk_shells`."""
        start = self.starts(origins, directions, near, far, lipschitz, config.half_width / sharpness)
        rays = ShellRays(*(x.float().contiguous().numpy() for x in (origins, directions, start, far)))
        scales = _scales(sharpness, density, lipschitz, config)
        seen, n = compiled("fused_step").walk(self.view.grid, self.view.surface, rays, scales, config.n_colors)
        return ShellPlaces(*(torch.from_numpy(x) for x in seen), evaluations=n)

    def starts(
        self, origins: Tensor, directions: Tensor, near: Tensor, far: Tensor, lipschitz: float, margin: float
    ) -> Tensor:
        """(N,) distances before which f > margin, by a lattice that is evaluated once, the first time."""
        if self._lattice is None:
            self._lattice = DistanceCache.of(lambda points: fused_sdf(self.model, points, self.view), LATTICE)
        return self._lattice.starts(origins, directions, near, far, lipschitz, margin)

    @torch.no_grad()
    def means(self, origins: Tensor, directions: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """Mean colours (N, 3) and gradients (N, 3) of places t (N, K) on rays (N, 3), (N, 3)."""
        tensors = origins, directions, t, color_bias(self.model, directions)
        places = Places(*(x.float().contiguous().numpy() for x in tensors))
        view = self.view
        rgb, normals = compiled("fused_step").shade(view.grid, view.color_grid, view.surface, view.color, places)
        return torch.from_numpy(rgb), torch.from_numpy(normals)


def _scales(sharpness: float, density: LogisticDensity, lipschitz: float, config: ShellConfig) -> ShellScales:
    """Numbers of a walk in the kernel's order and precision."""
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
    limits = {"max_looks": config.max_looks, "max_shells": MAX_SHELLS, "max_steps": MAX_STEPS}
    return ShellScales(**{name: np.float32(value) for name, value in numbers.items()}, **limits)
