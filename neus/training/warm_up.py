"""The compilation of kernels, once and before anything is timed."""

import torch

from neus.datasets.pixels import random_rays
from neus.datasets.scene import Scene
from neus.rendering.model import Model
from neus.training.step import LossWeights, training_step

# Rays of the step that is thrown away: kernels are compiled for the kinds of their arguments, not for their sizes.
N_RAYS = 16


def warm_up_kernels(model: Model, scene: Scene, weights: LossWeights) -> None:
    """Runs every kernel of a training step, forwards and backwards, and of a mesh once; the model stays as it is."""
    generator = torch.Generator().manual_seed(0)
    batch = random_rays(scene, 0, N_RAYS, generator).to(model.device)
    training_step(model, batch, weights, 1.0, generator).total.backward()
    model.zero_grad(set_to_none=True)
    points = torch.zeros(1, 3, device=model.device)
    with torch.no_grad():
        model.sdf(points)
        model.gradient(points)
