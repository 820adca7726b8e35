"""The ways to train: what each of them offers to the trainer, and which one a config describes."""

import math
from collections.abc import Callable
from typing import Any, Protocol

from torch import Generator

from neus.rendering.model import Model
from neus.scenes.scene import Scene
from neus.training.config import TrainConfig
from neus.training.guided_training import GridGuidedTraining
from neus.training.hierarchical_training import HierarchicalTraining
from neus.training.step import StepTerms


class Steps(Protocol):
    """A way to train: gradients of one batch after another.

    Attributes:
        n_rays: rays drawn so far.
        batch_size: rays of a step; fewer than the config says where those do not fit into memory.
        round_seconds: what the finest sweep of an initial shape took; None without one.
    """

    n_rays: int
    batch_size: int
    round_seconds: float | None

    def begin(self, on_message: Callable[[str], None], seconds: float = math.inf) -> None:
        """What is done once, before the first iteration of a run that is not resumed, in about so many seconds."""
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


def steps_for(model: Model, scene: Scene, config: TrainConfig, generator: Generator) -> Steps:
    """The steps that a config describes."""
    kind = GridGuidedTraining if config.guided_sampling.n_intervals > 0 else HierarchicalTraining
    return kind(model, scene, config, generator)
