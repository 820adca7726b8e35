"""Logistic opacities in plain torch, which differentiates them: the specification of the compiled forms."""

import torch
from torch import Tensor


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
