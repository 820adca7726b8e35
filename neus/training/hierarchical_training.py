"""NeuS's own way to train: rays of one view at a time, hierarchical samples, gradients by torch."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Generator, Tensor

from neus.kernels.async_copy import to_device_async
from neus.rendering.model import Model
from neus.rendering.renderer import noise_shapes
from neus.rendering.sampling import Noise, Randomness
from neus.scenes.scene import Scene
from neus.training.config import TrainConfig
from neus.training.cuda_graphs import batch_of, captured_if_enabled, drawn, parts_of, put_gradients
from neus.training.pixels import RayBatch, ViewOrder, random_rays
from neus.training.step import LossWeights, StepTerms, training_step


class HierarchicalTraining:
    """NeuS's steps: rays of one view at a time, sampled evenly and near the surface."""

    def __init__(self, model: Model, scene: Scene, config: TrainConfig, generator: Generator) -> None:
        self.model, self.scene, self.config, self.generator = model, scene, config, generator
        self.view_order = ViewOrder(len(scene), generator)
        self.weights = LossWeights.of(config)
        self.n_rays, self.batch_size, self.round_seconds = 0, config.batch_size, None
        self.captured = captured_if_enabled(self._of_tensors, model, config)

    def begin(self, on_message: Callable[[str], None], seconds: float = math.inf) -> None:
        """Nothing."""

    def __call__(self, iteration: int, progress: float, cos_anneal: float) -> StepTerms:
        """One batch of the next view, differentiated by torch."""
        view = self.view_order.view_at(iteration)
        batch = random_rays(self.scene, view, self.batch_size, self.generator).to(self.model.device)
        self.n_rays += self.batch_size
        if self.captured is None:
            return self._differentiated(batch, cos_anneal, self.generator)
        numbers = torch.tensor(cos_anneal), *drawn(self._noise_shapes(), self.generator)
        on_device = (to_device_async(number, self.model.device) for number in numbers)
        terms, gradients = self.captured(*on_device, *parts_of(batch), key=self.model.active_levels)
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
