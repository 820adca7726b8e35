"""What a pyramid is distilled from: any signed distance in [-1, 1]^3, with colours if there are any."""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from neus.errors import InputError
from neus.meshing.lattice import Lattice, slope_bound
from neus.rendering.model import in_chunks

# Points of one call: as many as keep a network's activations below 100 MB.
CHUNK = 2**15
# Points at which the slope is estimated are as far apart as those of so many a side.
SLOPE_RESOLUTION = 64


@dataclass(frozen=True)
class Teacher:
    """A surface to distil.

    Attributes:
        function: points (M, 3) in [-1, 1]^3 to signed distances (M,), negative inside.
        color: points (M, 3) to RGB (M, 3) in [0, 1] of the surface near them; None without colours.
        scene_to_world: (4, 4), from [-1, 1]^3 to the unit of the source.
        device: where the function takes its points.
        name: for messages.
    """

    function: Callable[[Tensor], Tensor]
    color: Callable[[Tensor], Tensor] | None = None
    scene_to_world: Tensor = field(default_factory=lambda: torch.eye(4, dtype=torch.float64))
    device: torch.device = torch.device("cpu")
    name: str = "field"

    def sdf(self, points: Tensor) -> Tensor:
        """(M,) signed distances at points (M, 3), on the CPU.

        Raises:
            InputError: a distance that is not a number.
        """
        found = in_chunks(self.function, CHUNK)(points.to(self.device)).detach().float().cpu()
        if not found.isfinite().all():
            raise InputError(f"{self.name}: some signed distances are NaN or infinite, expected numbers; train or export it again.")
        return found

    def near_color(self, points: Tensor) -> Tensor:
        """(M, 3) RGB of the surface near points (M, 3), on the CPU; there must be colours."""
        assert self.color is not None
        return in_chunks(self.color, CHUNK)(points.to(self.device)).detach().float().cpu().clamp(0.0, 1.0)

    def slope(self) -> float:
        """A bound on the slope, from samples."""
        box = torch.tensor([[-1.0] * 3, [1.0] * 3])
        return slope_bound(lambda points: self.sdf(points).to(points), Lattice(box, SLOPE_RESOLUTION))
