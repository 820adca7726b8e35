"""Where the rays of a step come from and how its gradients come about: as NeuS does, or marched through a cache of distances."""

import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol

import torch
from torch import Generator, Tensor

from neus.errors import InputError, InputWarning
from neus.kernels.dispatch import runs_compiled
from neus.kernels.seeds import generator_on
from neus.kernels.transfer import sent
from neus.rendering.distance_cache import NOWHERE_NEAR, RESOLUTION, DistanceCache, SurfaceNotes
from neus.rendering.fused import fused_kernels, fused_sdf, takes_tensors, why_not_fused
from neus.rendering.model import Model
from neus.rendering.renderer import noise_shapes
from neus.rendering.sampling import Noise, Randomness
from neus.scenes.scene import Scene
from neus.stereo.initial_shape import first_shape
from neus.training.config import TrainConfig
from neus.training.cuda_graphs import batch_of, drawn, parts_of, put_gradients, recorded_if_asked
from neus.training.first_shape import fit_distances
from neus.training.fused import fused_training_step
from neus.training.patches import PatchSampler
from neus.training.pixels import RayBatch, ViewOrder, random_rays, rays_of
from neus.training.schedules import section_schedule
from neus.training.step import LossWeights, StepTerms, training_step

ITERATIONS_BETWEEN_REFRESHES = 4
# The pull towards the first shape falls to this share before it ends.
ANCHOR_DECAY = 0.02


class Steps(Protocol):
    """A way to train: gradients of one batch after another.

    Attributes:
        n_rays: rays drawn so far.
        batch_size: rays of a step; fewer than the conf says where those do not fit into memory.
    """

    n_rays: int
    batch_size: int

    def begin(self, on_message: Callable[[str], None]) -> None:
        """What is done once, before the first iteration of a run that is not resumed."""
        ...

    def __call__(self, iteration: int, progress: float, cos_anneal: float) -> StepTerms:
        """Terms of a batch; every parameter's `grad` is its gradient afterwards."""
        ...

    def state(self) -> dict[str, Any]:
        """What a checkpoint needs, and what recovery goes back to, beside the generator's state."""
        ...

    def load_state(self, state: dict[str, Any]) -> None:
        """Inverse of `state`."""
        ...


class SampledSteps:
    """NeuS's steps: rays of one view at a time, sampled evenly and near the surface."""

    def __init__(self, model: Model, scene: Scene, config: TrainConfig, generator: Generator) -> None:
        self.model, self.scene, self.config, self.generator = model, scene, config, generator
        self.view_order = ViewOrder(len(scene), generator)
        self.weights = _loss_weights(config)
        self.n_rays, self.batch_size = 0, config.batch_size
        self.recorded = recorded_if_asked(self._of_tensors, model, config)

    def begin(self, on_message: Callable[[str], None]) -> None:
        """Nothing."""

    def __call__(self, iteration: int, progress: float, cos_anneal: float) -> StepTerms:
        """One batch of the next view, differentiated by torch."""
        view = self.view_order.view_at(iteration)
        batch = random_rays(self.scene, view, self.batch_size, self.generator).to(self.model.device)
        self.n_rays += self.batch_size
        if self.recorded is None:
            return self._differentiated(batch, cos_anneal, self.generator)
        numbers = torch.tensor(cos_anneal), *drawn(self._noise_shapes(), self.generator)
        on_device = (sent(number, self.model.device) for number in numbers)
        terms, gradients = self.recorded(*on_device, *parts_of(batch), variant=self.model.active_levels)
        put_gradients(self.model, gradients)
        return terms

    def _differentiated(self, batch: RayBatch, cos_anneal: float | Tensor, generator: Randomness) -> StepTerms:
        self.model.zero_grad(set_to_none=True)
        terms = training_step(self.model, batch, self.weights, cos_anneal, generator)
        terms.total.backward()
        return terms

    def _noise_shapes(self) -> list[tuple[int, int]]:
        return noise_shapes(self.model.config.neus_renderer, self.batch_size)

    def _of_tensors(self, cos_anneal: Tensor, *tensors: Tensor) -> tuple[StepTerms, list[Tensor | None]]:
        """A step as a GPU can record it: all that changes is in tensors, and gradients are results like others."""
        n = len(self._noise_shapes())
        terms = self._differentiated(batch_of(tensors[n:]), cos_anneal, Noise(*tensors[:n]))
        return terms.detached(), [parameter.grad for parameter in self.model.parameters()]

    def state(self) -> dict[str, Any]:
        """The order of the views."""
        return {"view_order": self.view_order.views}

    def load_state(self, state: dict[str, Any]) -> None:
        """Inverse of `state`."""
        self.view_order.views = state["view_order"]


class MarchedSteps:
    """Pixels of all views, cut into few sections where a cache of distances sees the surface; fused where it can be.

    The surface starts as the visual hull less what photographs prove to be empty, and is held near it for a while
    (`TrainConfig.march`): texture that is not learnt yet would push it about.
    """

    def __init__(self, model: Model, scene: Scene, config: TrainConfig, generator: Generator) -> None:
        march = config.march
        if config.mask_weight == 0.0:
            # Training without masks looks at none, whether the scene has them or not.
            scene = replace(scene, masks=None, alphas=None)
        self.model, self.scene, self.config, self.generator = model, scene, config, generator
        reason = why_not_fused(model)
        self.is_fused = not reason and runs_compiled("fused_step", model.device)
        if self.is_fused and not takes_tensors(fused_kernels(model)) and config.precision != "float32":
            raise InputError(
                f"train.precision = {config.precision}: the fused step of a CPU computes in float32 alone; use float32."
            )
        # Where rays are drawn and marched: beside the model if the fused step takes them there, else on the CPU.
        self.device = model.device if self.is_fused else torch.device("cpu")
        self.sampler = PatchSampler(scene, march.patch, march.inside_share, march.near_share).to(self.device)
        self.first_shape: Tensor | None = None
        self.cache: DistanceCache | None = None
        self.n_rays, self.batch_size = 0, config.batch_size
        self.recorded = recorded_if_asked(
            self._of_tensors, model, config, "" if self.is_fused else "the step is not fused"
        )
        if not self.is_fused:
            reason = reason or "compiled kernels are off"
            warnings.warn(InputWarning(f"training takes the slower, plain step: {reason}."), stacklevel=3)

    def begin(self, on_message: Callable[[str], None]) -> None:
        """Finds the first shape and makes the surface so; or fills the cache from the surface as it is."""
        if self.config.march.first_shape:
            values, is_seen = (part.to(self.device) for part in first_shape(self.scene, RESOLUTION))
            error = fit_distances(self.model, values, self.generator)
            source = "the masks' hull" if self.scene.masks is not None else "the unit sphere"
            on_message(
                f"first shape: {source}, less what photographs show to be empty; fitted to {error:.4f} scene units"
            )
            # Where nothing was seen the surface is free: a hull has no concavities to hold on to.
            self.first_shape = values.where(is_seen, values.new_tensor(torch.nan))
            self.cache = DistanceCache(values)
            return
        self.cache = DistanceCache.of(self._sdf, device=self.device)

    def __call__(self, iteration: int, progress: float, cos_anneal: float) -> StepTerms:
        """One batch, marched; what its samples showed goes into the cache."""
        march = self.config.march
        n_rays = self.batch_size * (march.growth if progress >= march.growth_at else 1)
        generator = generator_on(self.device, self.generator)
        batch = self.sampler.draw(n_rays, generator)
        self.n_rays += n_rays
        sharpness = self.model.sharpness().detach().to(self.device)
        rays = batch.origins, batch.directions
        start = march.n_sections_start, march.uniform_share_start
        placing = section_schedule(progress, march.wide_until, start, (march.n_sections, march.uniform_share))
        edges, clearance = self.cache.sections(*rays, placing[0], sharpness, placing[1], generator)
        if self.config.mask_weight > 0.0:
            kept = _teaches(batch, edges, clearance)
            # A GPU would have to tell how many there are; it leaves the others out itself.
            if self.is_fused and takes_tensors(fused_kernels(self.model)):
                batch = replace(batch, masks=batch.masks.where(kept, -1.0))
            else:
                batch, edges = rays_of(batch, kept), edges[kept]
        weights = self._weights(progress)
        if self.is_fused:
            terms, seen = self._fused_step(batch, weights, cos_anneal, edges, generator)
            # Without the fused step the cache lives on what is refreshed alone.
            self.cache.note(seen)
        else:
            terms = self._plain_step(batch, weights, cos_anneal, edges)
        if iteration % ITERATIONS_BETWEEN_REFRESHES == 0:
            self.cache.refresh(self._sdf)
        return terms

    def _fused_step(
        self, batch: RayBatch, weights: LossWeights, cos_anneal: float | Tensor, edges: Tensor, generator: Randomness
    ) -> tuple[StepTerms, SurfaceNotes]:
        if self.recorded is None or isinstance(generator, Noise):
            rest = edges, generator, self.first_shape, self.config.precision
            return fused_training_step(self.model, batch, weights, cos_anneal, *rest)
        numbers = sent(torch.tensor([cos_anneal, weights.anchor]), self.device)
        noise = drawn(self._noise_shapes(len(edges)), generator)
        variant = self.model.active_levels, self.first_shape is None
        terms, seen, gradients = self.recorded(numbers, edges, *noise, *parts_of(batch), variant=variant)
        put_gradients(self.model, gradients)
        return terms, seen

    def _noise_shapes(self, n_rays: int) -> list[tuple[int, int]]:
        return noise_shapes(self.model.config.neus_renderer, n_rays)[1:]  # of the background alone

    def _of_tensors(
        self, numbers: Tensor, edges: Tensor, *tensors: Tensor
    ) -> tuple[StepTerms, SurfaceNotes, list[Tensor | None]]:
        """The fused step as a GPU can record it; see `SampledSteps._of_tensors`."""
        n, config = len(self._noise_shapes(len(edges))), self.config
        # Tables too begin without gradient, lest that of one run be added to that of the last.
        self.model.zero_grad(set_to_none=True)
        weights = _loss_weights(config, numbers[1])
        terms, seen = self._fused_step(batch_of(tensors[n:]), weights, numbers[0], edges, Noise(*tensors[:n]))
        return terms, seen, [parameter.grad for parameter in self.model.parameters()]

    def _plain_step(self, batch: RayBatch, weights: LossWeights, cos_anneal: float, edges: Tensor) -> StepTerms:
        self.model.zero_grad(set_to_none=True)
        device = self.model.device
        first_shape = None if self.first_shape is None else self.first_shape.to(device)
        terms = training_step(
            self.model, batch.to(device), weights, cos_anneal, self.generator, edges.to(device), first_shape
        )
        terms.total.backward()
        return terms

    def _weights(self, progress: float) -> LossWeights:
        config, march = self.config, self.config.march
        anchor = 0.0
        if self.first_shape is not None and progress < march.anchor_until:
            anchor = march.anchor_weight * ANCHOR_DECAY ** (progress / march.anchor_until)
        return _loss_weights(config, anchor)

    def _sdf(self, points: Tensor) -> Tensor:
        if self.is_fused:
            return fused_sdf(self.model, points)
        with torch.no_grad():
            return self.model.sdf(points.to(self.model.device)).cpu()

    def state(self) -> dict[str, Any]:
        """The cache and the first shape."""
        return {"cache": self.cache.values, "slab": self.cache.slab, "first_shape": self.first_shape}

    def load_state(self, state: dict[str, Any]) -> None:
        """Inverse of `state`."""
        if "cache" not in state:
            raise InputError("the checkpoint was trained with train.march.n_sections = 0; resume with that.")
        self.cache, first = DistanceCache(state["cache"].clone().to(self.device)), state["first_shape"]
        if self.first_shape is not None and first is not None:
            self.first_shape.copy_(first)  # in place, since a recorded step reads this memory
        else:
            self.first_shape = None if first is None else first.to(self.device)
        self.cache.slab = int(state["slab"])


def _loss_weights(config: TrainConfig, anchor: float | Tensor = 0.0) -> LossWeights:
    return LossWeights(config.igr_weight, config.mask_weight, config.color_huber, anchor, config.curvature_weight)


def _teaches(batch: RayBatch, edges: Tensor, clearance: Tensor) -> Tensor:
    """(N,) whether rays have something to teach: those in the masks, if they meet the sphere, and those near the surface."""
    meets_sphere = edges[:, -1] > edges[:, 0]
    return meets_sphere & ((batch.masks > 0.0) | (clearance < NOWHERE_NEAR))


def steps_for(model: Model, scene: Scene, config: TrainConfig, generator: Generator) -> Steps:
    """The steps that a conf asks for."""
    kind = MarchedSteps if config.march.n_sections > 0 else SampledSteps
    return kind(model, scene, config, generator)
