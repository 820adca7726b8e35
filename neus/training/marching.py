"""Training steps whose rays are cut into few sections, placed by a cache of distances; in one fused kernel where it can."""

from dataclasses import replace

import torch
from torch import Generator

from neus.datasets.patches import PatchSampler
from neus.datasets.pixels import RayBatch
from neus.rendering.distance_cache import DistanceCache
from neus.rendering.fused import SurfaceNotes, fused_sdf
from neus.rendering.model import Model
from neus.training.fused import fused_training_step
from neus.training.step import LossWeights, StepTerms

# Rays outside the masks that keep this far from the surface, scene units, are right already.
CLEAR = 0.06
ITERATIONS_BETWEEN_REFRESHES = 4


class MarchedSteps:
    def __init__(self, model: Model, scene, weights: LossWeights, values, generator: Generator, **kw) -> None:
        self.model, self.weights, self.generator = model, weights, generator
        self.sampler = PatchSampler(scene, **kw)
        self.cache = DistanceCache(values)
        self.iteration = 0
        self.first_shape = values.clone()

    def __call__(self, n_rays: int, n_sections: int, share: float, cos_anneal: float = 1.0) -> StepTerms:
        batch = self.sampler.draw(n_rays, self.generator)
        edges, clearance = self.cache.sections(
            batch.origins, batch.directions, n_sections, float(self.model.sharpness()), share, self.generator
        )
        if self.weights.mask > 0.0:
            batch, edges = without_clear_rays(batch, edges, clearance)
        terms, samples = fused_training_step(self.model, batch, self.weights, cos_anneal, edges, self.generator, self.first_shape)
        self.cache.note(
            SurfaceNotes(
                torch.from_numpy(samples.points), torch.from_numpy(samples.sdf), torch.from_numpy(samples.normals)
            )
        )
        self.iteration += 1
        if self.iteration % ITERATIONS_BETWEEN_REFRESHES == 0:
            self.cache.refresh(lambda points: fused_sdf(self.model, points))
        return terms


def without_clear_rays(batch: RayBatch, edges, clearance):
    """The rays of a batch that have something to teach: those in the masks, and those that come near the surface."""
    kept = (batch.masks > 0.0) & (clearance < 1e9) | (clearance < CLEAR)
    parts = (batch.origins[kept], batch.directions[kept], batch.colors[kept], batch.masks[kept])
    return RayBatch(*parts), edges[kept]
