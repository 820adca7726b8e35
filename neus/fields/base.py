"""What the renderer needs from a field. Networks, grids and closed forms that obey these protocols are rendered alike."""

from typing import NamedTuple, Protocol

from torch import Tensor


class SurfaceSample(NamedTuple):
    """A signed distance field at some points.

    Attributes:
        sdf: (...), scene units, negative inside.
        features: (..., F), what the colour field receives about the point.
        gradients: (..., 3), of the signed distance; close to unit length, not normalised.
    """

    sdf: Tensor
    features: Tensor
    gradients: Tensor


class SurfaceField(Protocol):
    """A signed distance field whose zero level set is the surface."""

    def sdf(self, points: Tensor) -> Tensor:
        """(...) signed distances at points (..., 3)."""
        ...

    def evaluate(self, points: Tensor) -> SurfaceSample:
        """Distance, features and gradient at points (..., 3) in one pass, differentiable in the field's parameters."""
        ...


class ColorField(Protocol):
    """Radiance leaving the surface."""

    def __call__(self, points: Tensor, normals: Tensor, directions: Tensor, features: Tensor) -> Tensor:
        """(..., 3) RGB at points (..., 3) with normals (..., 3), seen along directions (..., 3)."""
        ...


class BackgroundField(Protocol):
    """Volume density and radiance of everything outside the unit sphere."""

    def __call__(self, points: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
        """Density (...) >= 0 and RGB (..., 3) at inverted-sphere points (..., 4), seen along directions (..., 3)."""
        ...
