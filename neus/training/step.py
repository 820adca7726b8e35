"""One training step of NeuS, for a reader with the paper open: render rays, compare, sum the terms (sec. 3.4)."""

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from neus.datasets.pixels import RayBatch
from neus.rendering.model import Model
from neus.training.losses import color_loss, eikonal_loss, mask_loss, psnr_of


@dataclass(frozen=True)
class LossWeights:
    """Weights of the terms beside the colour term: `igr_weight` (lambda) and `mask_weight` (beta) of the confs."""

    eikonal: float = 0.1
    mask: float = 0.0


@dataclass(frozen=True)
class StepTerms:
    """The loss and its parts, () each; `total` carries the gradient."""

    total: Tensor
    color: Tensor
    eikonal: Tensor
    mask: Tensor
    psnr: Tensor
    weight_max: Tensor

    def named(self) -> dict[str, float]:
        """The terms as numbers, by name."""
        return {name: float(value.detach()) for name, value in vars(self).items()}


def training_step(
    model: Model,
    batch: RayBatch,
    weights: LossWeights,
    cos_anneal: float,
    generator: Generator | None = None,
) -> StepTerms:
    """L = L_color + lambda L_eikonal + beta L_mask of one batch of rays (NeuS eq. 14).

    Args:
        model: whose parameters the loss is differentiable in.
        batch: N rays with colours, and masks if `weights.mask` > 0.
        weights: lambda and beta.
        cos_anneal: 0 at the start of annealing, 1 at its end.
        generator: source of the jitter of the samples.
    """
    rendered = model.render(batch.origins, batch.directions, perturb=True, cos_anneal=cos_anneal, generator=generator)

    use_masks = weights.mask > 0.0
    mask = batch.masks if use_masks else torch.ones_like(rendered.opacity)
    color = color_loss(rendered.rgb, batch.colors, mask)
    eikonal = eikonal_loss(rendered.gradients, rendered.radii)
    silhouette = mask_loss(rendered.opacity, mask) if use_masks else torch.zeros_like(color)

    return StepTerms(
        total=color + weights.eikonal * eikonal + weights.mask * silhouette,
        color=color,
        eikonal=eikonal,
        mask=silhouette,
        psnr=psnr_of(rendered.rgb.detach(), batch.colors, mask),
        weight_max=rendered.weights.detach().amax(-1).mean(),
    )
