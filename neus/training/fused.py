"""The training step of a hash surface by the fused kernel: the function of `step.py`, faster."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Generator, Tensor

from neus.datasets.pixels import RayBatch
from neus.fields.hash_sdf import HashSdf
from neus.kernels.fused_step.arguments import (
    SUM_ANCHOR,
    SUM_COLOR,
    SUM_EIKONAL,
    SUM_MASK,
    SUM_SHARPNESS,
    SUM_SQUARE,
    Pixels,
    Rays,
)
from neus.rendering.distance_cache import SurfaceNotes
from neus.rendering.fused import FusedModel, color_bias, fused_kernels, handed_to, put_gradients, scales_of
from neus.rendering.model import Model
from neus.training.losses import ANCHOR_WIDTH, OPACITY_MARGIN, TINY
from neus.training.step import LossWeights, StepTerms


def fused_training_step(
    model: Model,
    batch: RayBatch,
    weights: LossWeights,
    cos_anneal: float,
    edges: Tensor,
    generator: Generator | None = None,
    first_shape: Tensor | None = None,
) -> tuple[StepTerms, SurfaceNotes]:
    """`training_step` of rays cut into sections and its backward pass at once: sets `grad` of every parameter of a hash model.

    The gradient of the table is added to the one that is there.

    Args:
        model, batch, weights, cos_anneal, edges, generator, first_shape: as in `training_step`; edges within the unit sphere.

    Returns:
        The terms, without gradient, and what the samples showed of the surface.
    """
    kernels = fused_kernels(model)
    n, n_samples = len(edges), edges.numel() - len(edges)
    model.color_network.zero_grad()
    bias = color_bias(model, batch.directions)
    backdrop = model.backdrop(batch.origins, batch.directions, generator)
    sharpness = model.sharpness()
    masks = batch.masks if weights.mask > 0.0 else edges.new_ones(n)
    n_colored = masks.sum() + TINY
    scales = scales_of(
        sharpness=float(sharpness.detach()),
        cos_anneal=cos_anneal,
        opacity_margin=OPACITY_MARGIN,
        huber=weights.huber,
        anchor_width=ANCHOR_WIDTH,
        color=1.0 / float(n_colored),
        eikonal=weights.eikonal / (n_samples + TINY),
        mask=weights.mask / max(n, 1),
        anchor=weights.anchor / (n_samples + TINY),
    )
    view, surface = FusedModel.of(model), model.sdf_network
    pixels, samples, gradients = kernels.train_rays(
        view.grid,
        view.color_grid,
        view.surface,
        view.color,
        handed_to(kernels, _rays(batch, edges, masks, bias, backdrop, first_shape)),
        scales,
        *handed_to(kernels, _kept_gradients(surface)),
    )
    bias.backward(torch.as_tensor(pixels.grad_color_bias))
    if backdrop is not None and backdrop.requires_grad:
        backdrop.backward(torch.as_tensor(pixels.grad_backdrop))
    put_gradients(model, gradients)
    model.sharpness.variance.grad = None
    sums = torch.as_tensor(gradients.sums).cpu().numpy()
    sharpness.backward(sharpness.new_tensor(sums[SUM_SHARPNESS]))
    seen = SurfaceNotes(*(torch.as_tensor(x) for x in (samples.points, samples.sdf, samples.normals)))
    return _terms(sums, pixels, weights, float(n_colored), n_samples, n), seen


class _TableGradients(NamedTuple):
    surface: Tensor
    color: Tensor


def _kept_gradients(surface: HashSdf) -> _TableGradients:
    """The gradients of both tables, zeros at first; without a grid of colours nothing is added to its stand-in."""
    tables = [surface.grid.table] + ([surface.color_grid.table] if surface.color_grid is not None else [])
    for table in tables:
        if table.grad is None:
            table.grad = torch.zeros_like(table)
    return _TableGradients(tables[0].grad, tables[-1].grad)


def _rays(
    batch: RayBatch, edges: Tensor, masks: Tensor, bias: Tensor, backdrop: Tensor | None, first_shape: Tensor | None
) -> Rays:
    if backdrop is None:
        backdrop = edges.new_zeros(3)
    if first_shape is None:
        first_shape = edges.new_zeros(2, 2, 2)
    tensors = (
        batch.origins,
        batch.directions,
        edges,
        batch.colors,
        masks,
        bias,
        backdrop.expand(len(edges), 3),
        first_shape,
    )
    return Rays(*(tensor.detach().contiguous() for tensor in tensors))


def _terms(
    sums: np.ndarray, pixels: Pixels, weights: LossWeights, n_colored: float, n_samples: int, n_rays: int
) -> StepTerms:
    color, eikonal = sums[SUM_COLOR] / n_colored, sums[SUM_EIKONAL] / (n_samples + TINY)
    mask, anchor = sums[SUM_MASK] / max(n_rays, 1), sums[SUM_ANCHOR] / (n_samples + TINY)
    terms = {
        "total": color + weights.eikonal * eikonal + weights.mask * mask + weights.anchor * anchor,
        "color": color,
        "eikonal": eikonal,
        "mask": mask,
        "anchor": anchor,
        "psnr": -10.0 * np.log10(max(sums[SUM_SQUARE] / (3.0 * n_colored), 1e-12)),
        "weight_max": float(pixels.weight_max.sum()) / max(n_rays, 1),
    }
    return StepTerms(**{name: torch.tensor(float(value)) for name, value in terms.items()})
