"""Training with intervals from a grid of distances: from an initial shape, in fused steps, with surface points to the end."""

import math
import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Generator, Tensor

from neus.errors import InputError, InputWarning
from neus.kernels.async_copy import to_device_async
from neus.kernels.dispatch import runs_compiled
from neus.kernels.seeds import generator_on
from neus.rendering.fused import fused_kernels, fused_sdf, takes_tensors, why_not_fused
from neus.rendering.model import Model
from neus.rendering.renderer import noise_shapes
from neus.rendering.sampling import Noise, Randomness
from neus.rendering.sdf_grid import EMPTY_RAY_MARGIN, SdfGrid, SdfSamples
from neus.scenes.scene import Scene
from neus.training.common_exposure import CommonExposure, common_exposure
from neus.training.config import TrainConfig
from neus.training.cuda_graphs import batch_of, captured_if_enabled, drawn, parts_of, put_gradients
from neus.training.fused import fused_training_step
from neus.training.initial_surface import start_from_images
from neus.training.patches import PatchSampler
from neus.training.pixels import RayBatch, rays_of
from neus.training.schedules import interval_schedule
from neus.training.step import LossWeights, StepTerms, training_step
from neus.training.surface_teacher import SurfaceTeacher

ITERATIONS_BETWEEN_REFRESHES = 4
# The weight of the surface points falls to this fraction before it ends.
PRIOR_DECAY = 0.3
# A ray whose distance falls to -5.3 / s is opaque to 0.995: the opacities of its intervals telescope to 1 - Phi(s f). Of such rays
# this fraction evaluates the background all the same, so that a misplaced surface can be detected.
OPAQUE_LOGIT, EXPLORED_FRACTION = 5.3, 0.1


class GridGuidedTraining:
    """Pixels of all views, cut into few intervals where a grid of distances sees the surface; fused where it can be.

    The surface starts as images alone show it (`start_from_images`), and points that views agree about go on teaching it
    (`TrainConfig.guided_sampling`): texture that is not learnt yet would move it away.
    """

    def __init__(self, model: Model, scene: Scene, config: TrainConfig, generator: Generator) -> None:
        guided = config.guided_sampling
        if config.mask_weight == 0.0:
            # Training without masks uses none, whether the scene has them or not.
            scene = replace(scene, masks=None, alphas=None)
        self.model, self.scene, self.config, self.generator = model, scene, config, generator
        reason = why_not_fused(model)
        self.is_fused = not reason and runs_compiled("fused_step", model.device)
        if self.is_fused and not takes_tensors(fused_kernels(model)) and config.precision != "float32":
            raise InputError(
                f"train.precision = {config.precision}: the fused step of a CPU computes in float32 alone; use float32."
            )
        # Where rays are drawn and their intervals placed: beside the model if the fused step takes them there, else on the CPU.
        self.device = model.device if self.is_fused else torch.device("cpu")
        self.sampler = PatchSampler(scene, guided.patch, guided.inside_fraction, guided.near_fraction).to(self.device)
        self.teacher: SurfaceTeacher | None = None
        self.sdf_grid: SdfGrid | None = None
        self.exposure: CommonExposure | None = None
        self.round_seconds: float | None = None
        self.n_rays, self.batch_size = 0, config.batch_size
        self.captured = captured_if_enabled(
            self._of_tensors, model, config, "" if self.is_fused else "the step is not fused"
        )
        if not self.is_fused:
            reason = reason or "compiled kernels are off"
            warnings.warn(InputWarning(f"training takes the slower, plain step: {reason}."), stacklevel=3)

    def begin(self, on_message: Callable[[str], None], seconds: float = math.inf) -> None:
        """Makes the surface the initial shape of the scene; or fills the grid from the surface as it is."""
        if self.config.guided_sampling.initial_shape:
            rest = self.device, self.generator, on_message, seconds
            self.sdf_grid, self.teacher, shape = start_from_images(self.model, self.scene, *rest)
            self.round_seconds = shape.round_seconds
            self._level(common_exposure(self.scene, shape, self.config.exposure, on_message))
            return
        self.sdf_grid = SdfGrid.of(self._sdf, device=self.device)

    def _level(self, exposure: CommonExposure | None) -> None:
        self.exposure = exposure
        if exposure is not None:
            self.sampler.level(exposure.gains, exposure.offsets)

    def __call__(self, iteration: int, progress: float, cos_anneal: float) -> StepTerms:
        """One batch, sampled; what its samples showed updates the grid."""
        guided = self.config.guided_sampling
        n_rays = self.batch_size * (guided.batch_growth if progress >= guided.batch_growth_at else 1)
        generator = generator_on(self.device, self.generator)
        batch = self.sampler.draw(n_rays, generator)
        self.n_rays += n_rays
        sharpness = self.model.sharpness().detach().to(self.device)
        rays = batch.origins, batch.directions
        start = guided.n_intervals_start, guided.uniform_fraction_start
        placing = interval_schedule(
            progress, guided.wide_sampling_until, start, (guided.n_intervals, guided.uniform_fraction)
        )
        edges, min_sdf = self.sdf_grid.intervals(*rays, placing[0], sharpness, placing[1], generator)
        is_hidden = self._hides_background(min_sdf, sharpness, generator)
        if self.config.mask_weight > 0.0:
            kept = is_informative(batch, edges, min_sdf)
            # A GPU would have to tell how many there are; it leaves the others out itself.
            if self.is_fused and takes_tensors(fused_kernels(self.model)):
                batch = replace(batch, masks=batch.masks.where(kept, -1.0))
            else:
                batch, edges = rays_of(batch, kept), edges[kept]
                is_hidden = None if is_hidden is None else is_hidden[kept]
        weights = LossWeights.of(self.config)
        if self.is_fused:
            terms, samples = self._fused_step(batch, weights, cos_anneal, edges, generator, is_hidden)
            # Without the fused step the grid lives on what is refreshed alone.
            self.sdf_grid.update(samples)
        else:
            terms = self._plain_step(batch, weights, cos_anneal, edges)
        terms = self._taught(terms, progress)
        if iteration % ITERATIONS_BETWEEN_REFRESHES == 0:
            self.sdf_grid.refresh(self._sdf)
        return terms

    def _hides_background(self, min_sdf: Tensor, sharpness: Tensor, generator: Generator) -> Tensor | None:
        """(N,) whether rays are opaque by the grid's least distance along them; a part of those counts as clear all the same.

        None where nothing is saved: without a background network, and on a GPU, which would wait for their number.
        """
        if self.model.config.neus_renderer.n_outside == 0:
            return None
        is_explored = torch.rand(len(min_sdf), generator=generator, device=min_sdf.device) < EXPLORED_FRACTION
        if self.is_fused and takes_tensors(fused_kernels(self.model)):
            return None
        return (min_sdf * sharpness < -OPAQUE_LOGIT) & ~is_explored

    def _fused_step(
        self,
        batch: RayBatch,
        weights: LossWeights,
        cos_anneal: float | Tensor,
        edges: Tensor,
        generator: Randomness,
        is_hidden: Tensor | None = None,
    ) -> tuple[StepTerms, SdfSamples]:
        if self.captured is None or isinstance(generator, Noise):
            rest = edges, generator, self.config.precision, is_hidden
            return fused_training_step(self.model, batch, weights, cos_anneal, *rest)
        annealing = to_device_async(torch.tensor(cos_anneal), self.device)
        noise = drawn(self._noise_shapes(len(edges)), generator)
        key = self.model.active_levels
        terms, samples, gradients = self.captured(annealing, edges, *noise, *parts_of(batch), key=key)
        put_gradients(self.model, gradients)
        return terms, samples

    def _noise_shapes(self, n_rays: int) -> list[tuple[int, int]]:
        return noise_shapes(self.model.config.neus_renderer, n_rays)[1:]  # of the background alone

    def _of_tensors(
        self, cos_anneal: Tensor, edges: Tensor, *tensors: Tensor
    ) -> tuple[StepTerms, SdfSamples, list[Tensor | None]]:
        """The fused step as a GPU can record it; see `HierarchicalTraining._of_tensors`."""
        n, config = len(self._noise_shapes(len(edges))), self.config
        # Tables too begin without gradient, lest that of one run be added to that of the last.
        self.model.zero_grad(set_to_none=True)
        terms, samples = self._fused_step(
            batch_of(tensors[n:]), LossWeights.of(config), cos_anneal, edges, Noise(*tensors[:n])
        )
        return terms, samples, [parameter.grad for parameter in self.model.parameters()]

    def _plain_step(self, batch: RayBatch, weights: LossWeights, cos_anneal: float, edges: Tensor) -> StepTerms:
        self.model.zero_grad(set_to_none=True)
        device = self.model.device
        terms = training_step(self.model, batch.to(device), weights, cos_anneal, self.generator, edges.to(device))
        terms.total.backward()
        return terms

    def _taught(self, terms: StepTerms, progress: float) -> StepTerms:
        """The terms with that of the surface points, whose gradients are added."""
        guided = self.config.guided_sampling
        if self.teacher is None or guided.prior_weight == 0.0 or progress >= guided.prior_until:
            return terms
        weight = guided.prior_weight * PRIOR_DECAY ** (progress / guided.prior_until)
        points = self.teacher.add_gradients(self.model, weight, self.generator)
        return replace(terms, total=terms.total.detach() + weight * points, points=points)

    def _sdf(self, points: Tensor) -> Tensor:
        if self.is_fused:
            return fused_sdf(self.model, points)
        with torch.no_grad():
            return self.model.sdf(points.to(self.model.device)).cpu()

    def state(self) -> dict[str, Any]:
        """The grid of distances, the surface points, the exposures, and what a sweep takes."""
        teacher, exposure = (None if part is None else part.state() for part in (self.teacher, self.exposure))
        grid = {"sdf_grid": self.sdf_grid.values, "slab": self.sdf_grid.slab}
        return {**grid, "teacher": teacher, "exposure": exposure, "round_seconds": self.round_seconds}

    def load_state(self, state: dict[str, Any]) -> None:
        """Inverse of `state`; of earlier versions' checkpoints, which held a lattice of the initial shape, the grid is read."""
        values = state.get("sdf_grid", state.get("cache"))
        if values is None:
            raise InputError("the checkpoint was trained with train.guided_sampling.n_intervals = 0; resume with that.")
        self.sdf_grid = SdfGrid(values.clone().to(self.device))
        self.sdf_grid.slab = int(state["slab"])
        teacher = state.get("teacher")
        self.teacher = None if teacher is None else SurfaceTeacher(**teacher)
        self.round_seconds = state.get("round_seconds")
        exposure = state.get("exposure")
        self._level(None if exposure is None else CommonExposure(**exposure))


def is_informative(batch: RayBatch, edges: Tensor, min_sdf: Tensor) -> Tensor:
    """(N,) whether rays have something to teach: those in the masks, if they meet the sphere, and those near the surface."""
    meets_sphere = edges[:, -1] > edges[:, 0]
    return meets_sphere & ((batch.masks > 0.0) | (min_sdf < EMPTY_RAY_MARGIN))
