"""What the steps of `steps.py` need to be recorded by a GPU: all that changes as tensors, gradients as results."""

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Generator, Tensor

from neus.errors import InputWarning
from neus.rendering.model import Model
from neus.training.config import TrainConfig
from neus.training.pixels import RayBatch
from neus.training.recorded import CudaGraphs, Recorded


def why_not_recorded(model: Model) -> str:
    """What keeps the steps of a model from being recorded, for a message; empty if nothing does."""
    if model.device.type != "cuda":
        return f"the model is on {model.device}, and only CUDA devices record"
    return ""


def recorded_if_asked(
    function: Callable[..., Any], model: Model, config: TrainConfig, reason: str = ""
) -> Recorded | None:
    """The function as a GPU records it, if the conf asks for it; a warning says what keeps it from that."""
    reason = reason or why_not_recorded(model)
    if config.cuda_graphs and reason:
        warnings.warn(InputWarning(f"train.cuda_graphs is without effect: {reason}."), stacklevel=5)
    return Recorded(function, CudaGraphs(model.device)) if config.cuda_graphs and not reason else None


def drawn(shapes: list[tuple[int, int]], generator: Generator) -> list[Tensor]:
    """Uniform random numbers of each shape, on the generator's device."""
    return [torch.rand(shape, generator=generator, device=generator.device) for shape in shapes]


def parts_of(batch: RayBatch) -> list[Tensor]:
    """A batch as tensors; `batch_of` is the inverse."""
    parts = batch.origins, batch.directions, batch.colors, batch.masks
    return [part for part in parts if part is not None]


def batch_of(parts: tuple[Tensor, ...]) -> RayBatch:
    """The batch of some `parts_of` it; without masks there are three."""
    return RayBatch(*parts, *[None] * (4 - len(parts)))


def put_gradients(model: Model, gradients: list[Tensor | None]) -> None:
    """Makes these the gradients of the model's parameters, in their order."""
    for parameter, gradient in zip(model.parameters(), gradients, strict=True):
        parameter.grad = gradient
