"""One training step of NeuS, for a reader with the paper open: render rays, compare, sum the terms (sec. 3.4)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from neus.rendering.behind import Behind
from neus.rendering.model import Model
from neus.rendering.renderer import RenderedRays, render_intervals
from neus.rendering.sampling import Randomness
from neus.rendering.weights import WEIGHT_THRESHOLD
from neus.training.config import TrainConfig
from neus.training.losses import (
    CURVATURE_STEP,
    color_loss,
    curvature_loss,
    curvature_offsets,
    eikonal_loss,
    mask_loss,
    psnr_of,
)
from neus.training.pixels import RayBatch, rays_of


@dataclass(frozen=True)
class LossWeights:
    """Weights of the terms beside the colour term: `igr_weight` (lambda), `mask_weight` (beta) and `curvature_weight`.

    `huber` is the width of the colour term's square.
    """

    eikonal: float = 0.1
    mask: float = 0.0
    huber: float = 0.0
    curvature: float = 0.0

    @classmethod
    def of(cls, config: TrainConfig) -> "LossWeights":
        """As a config gives them."""
        return cls(config.igr_weight, config.mask_weight, config.color_huber, config.curvature_weight)


@dataclass(frozen=True)
class StepTerms:
    """The loss and its parts, () each; `total` carries the gradient. `points` is the term of `SurfaceTeacher`, 0 without."""

    total: Tensor
    color: Tensor
    eikonal: Tensor
    mask: Tensor
    psnr: Tensor
    weight_max: Tensor
    points: Tensor
    curvature: Tensor

    def detached(self) -> "StepTerms":
        """The same without gradient."""
        return StepTerms(**{name: value.detach() for name, value in vars(self).items()})

    def named(self) -> dict[str, float]:
        """The terms as numbers, by name."""
        return {name: float(value.detach()) for name, value in vars(self).items()}


def training_step(
    model: Model,
    batch: RayBatch,
    weights: LossWeights,
    cos_anneal: float | Tensor,
    generator: Randomness | None = None,
    edges: Tensor | None = None,
) -> StepTerms:
    """L = L_color + lambda L_eikonal + beta L_mask of one batch of rays (NeuS eq. 14).

    Args:
        model: whose parameters the loss is differentiable in.
        batch: N rays with colours, and masks if `weights.mask` > 0.
        weights: lambda and beta.
        cos_anneal: 0 at the start of annealing, 1 at its end.
        generator: source of the jitter of the samples.
        edges: (N, K + 1), ends of the intervals that the rays are cut into; None places them as NeuS does. Rays that miss the unit
            sphere, whose edges are all alike, teach the background network alone.
    """
    every, missed, offsets = batch, None, curvature_offsets(len(batch.origins), batch.origins.device)
    if edges is None:
        rendered = model.render(
            batch.origins, batch.directions, perturb=True, cos_anneal=cos_anneal, generator=generator
        )
    else:
        behind = model.behind(batch.origins, batch.directions, generator)
        meets = edges[:, -1] > edges[:, 0]
        if behind.opacity is not None:
            missed = behind.rgb[~meets]
            behind = Behind(behind.rgb[meets], behind.opacity[meets])
        batch, edges, offsets = rays_of(batch, meets), edges[meets], offsets[meets]
        rendered = render_intervals(
            model.fields(), batch.origins, batch.directions, edges, behind, cos_anneal, WEIGHT_THRESHOLD
        )

    use_masks = weights.mask > 0.0
    mask = batch.masks if use_masks else torch.ones_like(rendered.opacity)
    rgb, colors, counted = rendered.rgb, batch.colors, mask
    if missed is not None:
        rgb, colors = torch.cat([rgb, missed]), torch.cat([colors, every.colors[~meets]])
        counted = torch.cat([mask, mask.new_ones(len(missed))])
    color = color_loss(rgb, colors, counted, weights.huber)
    eikonal = eikonal_loss(rendered.gradients, rendered.radii)
    silhouette = (
        mask_loss(rendered.opacity if edges is None else rendered.foreground, mask)
        if use_masks
        else torch.zeros_like(color)
    )
    curvature = torch.zeros_like(color)
    if weights.curvature > 0.0:
        curvature = _curvature(model, batch, rendered, offsets)
    geometry = weights.eikonal * eikonal + weights.curvature * curvature

    return StepTerms(
        total=color + geometry + weights.mask * silhouette,
        color=color,
        eikonal=eikonal,
        mask=silhouette,
        points=torch.zeros_like(color),
        curvature=curvature,
        psnr=psnr_of(rgb.detach(), colors, counted),
        weight_max=rendered.weights.detach().amax(-1).sum() / max(len(rendered.weights), 1),
    )


def _curvature(model: Model, batch: RayBatch, rendered: RenderedRays, steps: Tensor) -> Tensor:
    """How the gradient changes a step (N, 3) beside the sample of each ray that is nearest to the surface."""
    distance, nearest = rendered.sdf.detach().abs().min(dim=-1)
    rows = torch.arange(len(nearest), device=nearest.device)
    points = batch.origins + rendered.t_mids[rows, nearest].unsqueeze(-1) * batch.directions
    gradients = model.sdf_network.evaluate(points + steps.to(points)).gradients
    return curvature_loss(rendered.gradients[rows, nearest], gradients, distance < CURVATURE_STEP)
