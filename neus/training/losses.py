"""The terms of NeuS's loss (sec. 3.4)."""

import functools

import torch
from torch import Tensor
from torch.nn.functional import smooth_l1_loss

from neus.fields.hash_sdf import fibonacci_directions

# Within this distance of the centre the field is held to be a distance; slightly more than the unit sphere.
EIKONAL_RADIUS = 1.2
# Opacity is kept off 0 and 1, where the logarithm of the cross entropy has no bound.
OPACITY_MARGIN = 1e-3
TINY = 1e-5
# How far apart gradients are compared to tell how the surface bends, and from how far off it, scene units: less than a cell of the
# coarse levels, whose faces are creases. Gradients that differ by more than the edge are an edge of the object.
CURVATURE_STEP, CURVATURE_EDGE = 0.02, 0.5
# Directions in which gradients are compared, one after another.
N_STEPS = 1009


def color_loss(rgb: Tensor, target: Tensor, mask: Tensor, huber: float = 0.0) -> Tensor:
    """Mean over the masked rays of the absolute difference, summed over channels (NeuS eq. 15, as published).

    Args:
        rgb, target: (N, 3).
        mask: (N,) in [0, 1].
        huber: differences below this count as their square, scaled to go on smoothly (Huber 1964); 0 is without.

    >>> color_loss(torch.zeros(2, 3), torch.ones(2, 3), torch.tensor([1.0, 0.0]))
    tensor(3.0000)
    """
    difference = smooth_l1_loss(rgb, target, reduction="none", beta=huber)
    return (difference * mask.unsqueeze(-1)).sum() / (mask.sum() + TINY)


def eikonal_loss(gradients: Tensor, radii: Tensor) -> Tensor:
    """Mean of (|grad f| - 1)^2 over samples near the scene: f is to be a distance (NeuS eq. 16; Gropp et al. 2020).

    Args:
        gradients: (N, S, 3).
        radii: (N, S), distances of the samples from the centre.

    >>> eikonal_loss(torch.tensor([[[0.0, 0.0, 3.0]]]), torch.tensor([[0.5]]))
    tensor(4.0000)
    """
    near = (radii < EIKONAL_RADIUS).to(gradients)
    return (near * (gradients.norm(dim=-1) - 1.0).square()).sum() / (near.sum() + TINY)


def mask_loss(opacity: Tensor, mask: Tensor) -> Tensor:
    """Mean binary cross entropy between opacity and mask, (N,) each (NeuS eq. 17); zero of no ray."""
    opacity = opacity.clamp(OPACITY_MARGIN, 1.0 - OPACITY_MARGIN)
    # Written out: torch's own refuses NaN with an error of its own, before training can name it and recover.
    log_likelihood = mask * opacity.log() + (1.0 - mask) * (1.0 - opacity).log()
    return -log_likelihood.sum() / max(len(mask), 1)


@functools.lru_cache(maxsize=4)
def _steps(device: torch.device) -> Tensor:
    return CURVATURE_STEP * fibonacci_directions(N_STEPS).to(device)


def curvature_offsets(n: int, device: torch.device) -> Tensor:
    """(n, 3) steps of length `CURVATURE_STEP` for n rays, which are in no order: one direction after another, spread evenly."""
    steps = _steps(device)
    return steps.repeat(-(-n // len(steps)), 1)[:n]


def curvature_loss(gradients: Tensor, offset_gradients: Tensor, is_near: Tensor) -> Tensor:
    """Mean over rays of d^2 / (1 + d^2 / edge^2), d the difference of gradients a step apart where that is near the surface.

    For the squared difference see PermutoSDF (Rosu and Behnke 2023, eq. 11), for the easing Geman and McClure (1985): creases
    between the cells of a grid are flattened, edges of the object are not.

    Args:
        gradients, offset_gradients: (N, 3) raw gradients of the distance at a sample and a step away from it.
        is_near: (N,) bool; other rays count with zero.

    >>> round(float(curvature_loss(torch.tensor([[0.0, 0.0, 1.0]]), torch.tensor([[0.0, 0.5, 1.0]]), torch.tensor([True]))), 3)
    0.125
    """
    square = (gradients - offset_gradients).square().sum(-1)
    return (is_near * square / (1.0 + square / CURVATURE_EDGE**2)).sum() / max(len(square), 1)


def psnr_of(rgb: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """() decibels: peak signal to noise ratio over the masked rays; a figure to watch, not a loss."""
    mean_square = ((rgb - target).square() * mask.unsqueeze(-1)).sum() / ((mask.sum() + TINY) * 3.0)
    return -10.0 * torch.log10(mean_square.clamp_min(1e-12))
