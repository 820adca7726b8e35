"""Logistic opacities in plain torch, which differentiates them: the specification of the compiled forms."""

import torch
from torch import Tensor

# The derivative of a colour's sigmoid falls no further than this: one grey level of an 8-bit image.
LEAST_SLOPE = 1.0 / 255.0


def alpha(sdf_starts: Tensor, sdf_ends: Tensor, sharpness: Tensor, epsilon: float) -> Tensor:
    """(...) clamp((Phi(s f_start) - Phi(s f_end) + eps) / (Phi(s f_start) + eps), 0, 1): NeuS eq. 13, guarded as in its code.

    Args:
        sdf_starts, sdf_ends: (...), signed distances at the ends of intervals, scene units, positive outside.
        sharpness: (), s > 0.
        epsilon: > 0; without it the ratio of the two sigmoids would be 0 / 0 deep inside, see `exact_alpha`.

    >>> alpha(torch.tensor([0.1]), torch.tensor([-0.1]), torch.tensor(10.0), 1e-5)
    tensor([0.6321])
    """
    at_start, at_end = torch.sigmoid(sdf_starts * sharpness), torch.sigmoid(sdf_ends * sharpness)
    return ((at_start - at_end + epsilon) / (at_start + epsilon)).clamp(0.0, 1.0)


def exact_alpha(sdf_starts: Tensor, sdf_ends: Tensor, sharpness: float | Tensor) -> Tensor:
    """(...) max(1 - Phi(s f_end) / Phi(s f_start), 0), as (1 - exp(s (f_end - f_start))) Phi(-s f_end).

    Nothing of that overflows or cancels, in value or gradient, however deep inside both ends lie.

    >>> exact_alpha(torch.tensor([-9.9]), torch.tensor([-10.1]), torch.tensor(1e3))
    tensor([1.])
    """
    drops = (sdf_starts - sdf_ends).clamp_min(0.0)
    return -torch.expm1(-sharpness * drops) * torch.sigmoid(-sharpness * sdf_ends)


def color_slope(y: Tensor, grad: Tensor) -> Tensor:
    """(...) the derivative y (1 - y) of a sigmoid with outputs y (...), changed where it is below `LEAST_SLOPE`.

    There it is `LEAST_SLOPE` where a step against `grad` (...), the derivative of the loss in y, leads out of saturation, and 0 where it
    leads further in. Adam divides by the size of past gradients, so that however small, they push on at the full rate, and none lead
    back: a dark region that overshoots would stay black for good.

    >>> color_slope(torch.tensor([0.5, 1e-6, 1e-6]), torch.tensor([1.0, 1.0, -1.0]))
    tensor([0.2500, 0.0000, 0.0039])
    """
    slope = y * (1.0 - y)
    leads_out = (grad < 0.0) == (y < 0.5)
    return torch.where(slope >= LEAST_SLOPE, slope, leads_out.to(slope) * LEAST_SLOPE)
