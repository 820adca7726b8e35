"""The learned sharpness of the surface."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from neus.settings import between

# Beyond these the logistic density is flat over the scene, or a step even in float64.
SHARPNESS_RANGE = (1e-6, 1e6)


@dataclass(frozen=True)
class SharpnessConfig:
    """Config section `model.variance_network`.

    Attributes:
        init_val: initial v; the sharpness is exp(10 v), about 20 for 0.3. Beyond 1.38 either way it is held and would not learn.
    """

    init_val: float = between(-1.38, 1.38, default=0.3)


class Sharpness(nn.Module):
    """s = exp(10 v), the paper's s: one over the width of the surface (NeuS sec. 3.1; `inv_s` in its code)."""

    def __init__(self, config: SharpnessConfig) -> None:
        super().__init__()
        self.variance = nn.Parameter(torch.tensor(config.init_val))

    def forward(self) -> Tensor:
        """() the sharpness, per scene unit."""
        # The exponent is held in range, not the power: where that overflows, its gradient would be zero times infinity.
        lowest, highest = (math.log(limit) / 10.0 for limit in SHARPNESS_RANGE)
        return torch.exp(10.0 * self.variance.clamp(lowest, highest))

    @torch.no_grad()
    def start_at(self, sharpness: float) -> None:
        """Makes the surface at least as sharp as `sharpness`, per scene unit."""
        self.variance.clamp_(min=math.log(sharpness) / 10.0)
