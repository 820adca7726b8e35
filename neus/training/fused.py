"""The training step of a hash surface by the fused kernel: the function of `step.py`, faster."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import smooth_l1_loss

from neus.fields.hash_sdf import HashSdf
from neus.kernels.fused_step.arguments import (
    SUM_COLOR,
    SUM_CURVATURE,
    SUM_EIKONAL,
    SUM_MASK,
    SUM_SHARPNESS,
    SUM_SQUARE,
    Rays,
)
from neus.rendering.fused import (
    FusedModel,
    color_bias,
    fused_kernels,
    handed_to,
    put_gradients,
    scales_of,
    takes_tensors,
)
from neus.rendering.model import Model
from neus.rendering.sampling import Randomness
from neus.rendering.sdf_grid import SdfSamples
from neus.training.losses import CURVATURE_EDGE, CURVATURE_STEP, OPACITY_MARGIN, TINY, curvature_offsets
from neus.training.pixels import RayBatch, rays_of
from neus.training.step import LossWeights, StepTerms

# The kernels' names of `PRECISIONS`.
IN_KERNELS = {"float32": "ieee", "tf32": "tf32", "bfloat16": "bfloat16"}


def fused_training_step(
    model: Model,
    batch: RayBatch,
    weights: LossWeights,
    cos_anneal: float | Tensor,
    edges: Tensor,
    generator: Randomness | None = None,
    precision: str = "float32",
    is_hidden: Tensor | None = None,
) -> tuple[StepTerms, SdfSamples]:
    """`training_step` of rays cut into intervals and its backward pass at once: sets `grad` of every parameter of a hash model.

    The gradient of the table is added to the one that is there. Nothing waits for a GPU: the terms are tensors on it.

    Args:
        model, batch, weights, cos_anneal, edges, generator: as in `training_step`; edges within the unit sphere.
            On a GPU rays with a mask below zero are left out, as if they were not in the batch.
            Rays that miss the sphere, whose edges are all alike, teach the background network alone.
        is_hidden: (N,) bool, rays whose surface is known to hide the background: it is not evaluated for them, and their own colours
            stand in for it; None evaluates all.
        precision: of products, one of `PRECISIONS`; kernels for a CPU know float32 alone.

    Returns:
        The terms, without gradient, and what the samples showed of the surface.
    """
    kernels = fused_kernels(model)
    model.color_network.zero_grad()
    model.nerf.zero_grad()
    all_behind = _behind(model, batch, generator, is_hidden)
    behind = all_behind
    masks = batch.masks if weights.mask > 0.0 else edges.new_ones(len(edges))
    meets = edges[:, -1] > edges[:, 0]
    offsets = curvature_offsets(len(edges), edges.device) if weights.curvature > 0.0 else edges.new_zeros(0, 3)
    missed = _missed(behind, batch, masks, meets, weights.huber)
    if takes_tensors(kernels):  # a GPU would have to tell how many there are
        met, masks = None, masks.where(meets, -1.0)
    else:
        met = meets.nonzero().squeeze(-1)
        behind = behind[met] if behind is not None and behind.dim() > 1 else behind
        batch, edges, masks = rays_of(batch, met), edges[met], masks[met]
        offsets = offsets[met] if len(offsets) else offsets
    n_intervals = edges.shape[1] - 1
    bias = color_bias(model, batch.directions)
    sharpness = model.sharpness()
    counts = _counts(masks, n_intervals)
    counts["color"] = counts["color"] + missed.n_rays
    scales = scales_of(
        kernels,
        sharpness,
        cos_anneal=cos_anneal,
        opacity_margin=OPACITY_MARGIN,
        huber=weights.huber,
        color=1.0 / counts["color"],
        eikonal=weights.eikonal / counts["eikonal"],
        mask=weights.mask / counts["mask"],
        curvature=weights.curvature / counts["mask"],
        curvature_reach=CURVATURE_STEP,
        curvature_edge=CURVATURE_EDGE,
    )
    packed, surface = FusedModel.of(model), model.sdf_network
    pixels, samples, gradients = kernels.train_rays(
        packed.grid,
        packed.color_grid,
        packed.surface,
        packed.color,
        handed_to(kernels, _rays(batch, edges, masks, bias, behind, offsets)),
        scales,
        *handed_to(kernels, _kept_gradients(surface)),
        **({"precision": IN_KERNELS[precision]} if takes_tensors(kernels) else {}),
    )
    bias.backward(torch.as_tensor(pixels.grad_color_bias))
    if all_behind is not None and all_behind.requires_grad:
        of_met = torch.as_tensor(pixels.grad_background)
        of_met = of_met if met is None else torch.zeros_like(all_behind).index_copy_(0, met, of_met)
        torch.autograd.backward([all_behind, missed.color], [of_met, (1.0 / counts["color"]).to(missed.color)])
    put_gradients(model, gradients)
    model.sharpness.variance.grad = None
    sums = torch.as_tensor(gradients.sums).clone()
    sums[SUM_COLOR] += missed.color.detach()
    sums[SUM_SQUARE] += missed.square
    sharpness.backward(sums[SUM_SHARPNESS].to(sharpness))
    takes_part = masks >= 0.0
    recorded_samples = (torch.as_tensor(x) for x in (samples.points, samples.sdf, samples.normals))
    # As the samples: those of each ray, then one beside it for the curvature.
    counts_of = torch.cat([takes_part.repeat_interleave(n_intervals), takes_part[: len(offsets)]])
    seen = SdfSamples(*recorded_samples, counts_of if takes_tensors(kernels) else None)
    top = (torch.as_tensor(pixels.weight_max) * takes_part).sum()
    return _terms(sums, top, weights, counts), seen


def _behind(model: Model, batch: RayBatch, generator: Randomness | None, is_hidden: Tensor | None) -> Tensor | None:
    """(N, 3) or (3,) colours behind the surface, see `Model.behind`; None is black."""
    if is_hidden is None or model.config.neus_renderer.n_outside == 0:
        return model.behind(batch.origins, batch.directions, generator).rgb
    shows = (~is_hidden).nonzero().squeeze(-1)
    rgb = model.behind(batch.origins[shows], batch.directions[shows], generator).rgb
    return batch.colors.index_copy(0, shows, rgb)


class _Missed(NamedTuple):
    """Of rays that miss the unit sphere: the summed colour term of what is behind, differentiable; summed squares; how many."""

    color: Tensor
    square: Tensor
    n_rays: Tensor


def _missed(behind: Tensor | None, batch: RayBatch, masks: Tensor, meets: Tensor, huber: float) -> _Missed:
    if behind is None or not behind.requires_grad:  # nothing that could be taught
        return _Missed(*meets.new_zeros(3, dtype=batch.colors.dtype))
    counts = (~meets & (masks >= 0.0)).to(batch.colors)
    color = (smooth_l1_loss(behind, batch.colors, reduction="none", beta=huber).sum(-1) * counts).sum()
    square = ((behind.detach() - batch.colors).square().sum(-1) * counts).sum()
    return _Missed(color, square, counts.sum())


def _counts(masks: Tensor, n_intervals: int) -> dict[str, Tensor]:
    """What the sums of each term are divided by, () float64 each: rays in the mask, samples, rays."""
    n_rays = (masks >= 0.0).sum().double()
    n_samples = n_rays * n_intervals + TINY
    n_colored = (masks.clamp_min(0.0).sum() + TINY).double()
    return {"color": n_colored, "eikonal": n_samples, "mask": n_rays.clamp_min(1.0)}


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
    batch: RayBatch,
    edges: Tensor,
    masks: Tensor,
    bias: Tensor,
    behind: Tensor | None,
    offsets: Tensor,
) -> Rays:
    if behind is None:
        behind = edges.new_zeros(3)
    tensors = (
        batch.origins,
        batch.directions,
        edges,
        batch.colors,
        masks,
        bias,
        behind.expand(len(edges), 3),
        offsets,
    )
    return Rays(*(tensor.detach().contiguous() for tensor in tensors))


def _terms(sums: Tensor, top: Tensor, weights: LossWeights, counts: dict[str, Tensor]) -> StepTerms:
    """Terms where the sums are, which may be a GPU that has yet to add them up."""
    color, eikonal = sums[SUM_COLOR] / counts["color"], sums[SUM_EIKONAL] / counts["eikonal"]
    mask = sums[SUM_MASK] / counts["mask"]
    curvature = sums[SUM_CURVATURE] / counts["mask"]
    geometry = weights.eikonal * eikonal + weights.curvature * curvature
    mean_square = sums[SUM_SQUARE] / (3.0 * counts["color"])
    terms = {
        "total": color + geometry + weights.mask * mask,
        "color": color,
        "eikonal": eikonal,
        "mask": mask,
        "points": torch.zeros_like(color),
        "curvature": curvature,
        "psnr": -10.0 * mean_square.clamp_min(1e-12).log10(),
        "weight_max": top / counts["mask"],
    }
    return StepTerms(**{name: value.float() for name, value in terms.items()})
