"""Densities: the opacity of an interval of a ray, from the signed distance at both of its ends.

All families have one signature, so the rest of the renderer does not depend on which is in use:

    alphas(sdf_starts, sdf_ends, deltas, sharpness) -> (..., S) in [0, 1]

Only the logistic one is unbiased: its weight peaks on the surface whatever the angle (docs/rendering.md).
"""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from neus.kernels.logistic import reference as logistic

# The published code adds this to both sides of the ratio of sigmoids. It is a fog of about 1e-5 per interval.
PUBLISHED_EPSILON = 1e-5


class Density(Protocol):
    """A family of densities around the zero level set."""

    def alphas(self, sdf_starts: Tensor, sdf_ends: Tensor, deltas: Tensor, sharpness: Tensor) -> Tensor:
        """Opacity (..., S) of intervals.

        Args:
            sdf_starts, sdf_ends: (..., S), scene units, positive outside.
            deltas: (..., S), lengths of the intervals.
            sharpness: (), > 0, one over the width of the surface.
        """
        ...


@dataclass(frozen=True)
class LogisticDensity:
    """NeuS: alpha = max(1 - Phi(s f_end) / Phi(s f_start), 0), Phi the logistic sigmoid (eq. 13).

    The products of (1 - alpha) telescope, so the opacity of a crossing does not depend on the number of intervals.

    Attributes:
        epsilon: guard of the ratio: (Phi_start - Phi_end + eps) / (Phi_start + eps), as in the published code. Zero
            is exact instead, however deep both ends lie inside.

    >>> LogisticDensity().alphas(torch.tensor([0.1]), torch.tensor([-0.1]), torch.ones(1), torch.tensor(10.0))
    tensor([0.6321])
    """

    epsilon: float = PUBLISHED_EPSILON

    def alphas(self, sdf_starts: Tensor, sdf_ends: Tensor, deltas: Tensor, sharpness: Tensor) -> Tensor:
        """See `Density.alphas`; `deltas` do not matter."""
        if self.epsilon == 0.0:
            return logistic.exact_alpha(sdf_starts, sdf_ends, sharpness)
        return logistic.alpha(sdf_starts, sdf_ends, sharpness, self.epsilon)


@dataclass(frozen=True)
class LaplaceDensity:
    """VolSDF: density Psi(-f) / beta with Laplace's cumulative distribution, beta = 1 / s (Yariv et al. 2021, eq. 2-3).

    The angle between ray and surface does not enter, so oblique surfaces are rendered too near.

    >>> LaplaceDensity().alphas(torch.tensor([-1.0]), torch.tensor([-1.0]), torch.tensor([0.1]), torch.tensor(10.0))
    tensor([0.6321])
    """

    def alphas(self, sdf_starts: Tensor, sdf_ends: Tensor, deltas: Tensor, sharpness: Tensor) -> Tensor:
        """See `Density.alphas`."""
        sdf = (sdf_starts + sdf_ends) / 2
        occupied = 0.5 - 0.5 * sdf.sign() * -torch.expm1(-sdf.abs() * sharpness)
        return -torch.expm1(-deltas * sharpness * occupied)


@dataclass(frozen=True)
class OccupancyDensity:
    """UNISURF: alpha = sigmoid(-s f), an occupancy without regard to the interval's length (Oechsle et al. 2021, eq. 4).

    >>> OccupancyDensity().alphas(torch.tensor([0.0]), torch.tensor([0.0]), torch.ones(1), torch.tensor(10.0))
    tensor([0.5000])
    """

    def alphas(self, sdf_starts: Tensor, sdf_ends: Tensor, deltas: Tensor, sharpness: Tensor) -> Tensor:
        """See `Density.alphas`; `deltas` do not matter."""
        return torch.sigmoid(-sharpness * (sdf_starts + sdf_ends) / 2)


DENSITIES = {"logistic": LogisticDensity, "laplace": LaplaceDensity, "occupancy": OccupancyDensity}
