"""What images say a trained surface is off by: added to its signed distances where they are meshed."""

import torch
from torch import Tensor

from neus.kernels.trilinear.reference import trilinear


class DistanceCorrection:
    """Offsets of signed distances on a lattice over [-1, 1]^3, trilinear between its vertices.

    A hash grid whose cells share rows of a table cannot be everywhere as near to the images as a lattice is; the sum of both is, and
    keeps the detail between the lattice's vertices. Only meshes have it: renders are those of the field alone.

    Attributes:
        offsets: (P, P, P) float32, scene units, indexed [x, y, z]; zero where nothing is known. Rounded to half precision, as a checkpoint
            keeps them: a mesh made of that is the same to the bit.
    """

    def __init__(self, offsets: Tensor) -> None:
        self.offsets = offsets.half().float()

    def __call__(self, points: Tensor) -> Tensor:
        """(M,) offsets at points (M, 3), on their device."""
        return trilinear(self._on(points), points.float()).to(points)

    def gradient(self, points: Tensor) -> Tensor:
        """(M, 3) gradients of the offsets at points (M, 3), by central differences of one step of the lattice."""
        step = 2.0 / (len(self.offsets) - 1)
        offsets, shifts = self._on(points), step * torch.eye(3, device=points.device)
        ends = [[trilinear(offsets, points.float() + sign * shift) for sign in (1.0, -1.0)] for shift in shifts]
        return (torch.stack([upper - lower for upper, lower in ends], dim=-1) / (2.0 * step)).to(points)

    def _on(self, points: Tensor) -> Tensor:
        self.offsets = self.offsets.to(points.device)
        return self.offsets

    def state(self) -> dict[str, Tensor | int]:
        """What a checkpoint keeps: the vertices whose offset is not zero, at half precision."""
        flat = self.offsets.cpu().reshape(-1)
        places = flat.nonzero().squeeze(-1)
        return {"resolution": len(self.offsets), "places": places.int(), "values": flat[places].half()}

    @classmethod
    def of_state(cls, state: dict[str, Tensor | int]) -> "DistanceCorrection":
        """Inverse of `state`."""
        n = int(state["resolution"])
        offsets = torch.zeros(n**3)
        offsets[state["places"].long()] = state["values"].float()
        return cls(offsets.view(n, n, n))
