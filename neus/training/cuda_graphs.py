"""Training steps recorded as CUDA graphs: their hundreds of launches are given once and replayed by one since.

For that all that changes from step to step comes in tensors, and gradients are results like others.
"""

import warnings
from collections.abc import Callable, Hashable
from typing import Any, Protocol

import torch
from torch import Generator, Tensor

from neus.errors import InputWarning
from neus.rendering.model import Model
from neus.training.config import TrainConfig
from neus.training.pixels import RayBatch

# Runs before a recording, in which kernels are compiled and libraries make their plans and take their memory.
WARM_UPS = 3


class GraphCapture(Protocol):
    """What records."""

    def record(self, function: Callable[[], Any]) -> tuple[Any, Callable[[], None]]:
        """The results of a function, whose values are still to come, and what computes them, again and again in the same memory.

        Raises:
            RuntimeError: the function does what cannot be recorded.
        """
        ...


class CudaGraphs:
    """CUDA graphs of a device. What waits for the device, or copies from the memory of the CPU, cannot be recorded."""

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def record(self, function: Callable[[], Any]) -> tuple[Any, Callable[[], None]]:
        """See `Recorder`."""
        with torch.cuda.device(self.device):
            stream = torch.cuda.current_stream()
            beside, graph = torch.cuda.Stream(), torch.cuda.CUDAGraph()
            beside.wait_stream(stream)
            with torch.cuda.stream(beside):
                for _ in range(WARM_UPS):
                    function()
            stream.wait_stream(beside)
            try:
                # What other threads do with the device is not forbidden meanwhile.
                with torch.cuda.graph(graph, capture_error_mode="thread_local"):
                    results = function()
            finally:
                torch.cuda.set_stream(stream)  # a recording that failed leaves its own
        return results, graph.replay


class CapturedGraph:
    """A function of tensors that is recorded when it is first called, and anew for tensors of other shapes.

    It must do the same each time: it may leave nothing behind that it finds again, and on numbers that the CPU knows and that
    change it may depend only by their name in `variant`. Excepted are the known densities of a hash background, a running mean on the
    device, which the runs before a recording move as well. What it returns stays in the same memory, until the next call. Where it
    cannot be recorded a warning says so, and it is called as it is.
    """

    def __init__(self, function: Callable[..., Any], capture: GraphCapture) -> None:
        self.function, self.capture, self.is_given_up = function, capture, False
        self._forget()

    def __call__(self, *inputs: Tensor, key: Hashable = None) -> Any:
        """What the function gives for these inputs; for another variant it is recorded anew."""
        kind = key, *((x.shape, x.dtype, x.device) for x in inputs)
        if not self.is_given_up and kind != self._kind:
            self._record(inputs)
            self._kind = kind
        if self.is_given_up:
            return self.function(*inputs)
        for memory, value in zip(self._inputs, inputs, strict=True):
            memory.copy_(value)
        self._replay()
        return self._results

    def _record(self, inputs: tuple[Tensor, ...]) -> None:
        self._forget()  # first, for its memory
        copies = [value.clone() for value in inputs]
        try:
            self._results, self._replay = self.capture.record(lambda: self.function(*copies))
        except RuntimeError as error:
            # Want of memory within a recording spoils it, and its end then raises an error of its own.
            if any(isinstance(e, torch.OutOfMemoryError) for e in (error, error.__context__)):
                raise torch.OutOfMemoryError(str(error)) from error
            self.is_given_up = True
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            warnings.warn(
                InputWarning(f"the step cannot be recorded ({reason[:80]}); training continues without."), stacklevel=4
            )
        else:
            self._inputs = copies

    def _forget(self) -> None:
        self._kind, self._inputs = None, []
        self._results, self._replay = None, None


def why_not_captured(model: Model) -> str:
    """What keeps the steps of a model from being recorded, for a message; empty if nothing does."""
    if model.device.type != "cuda":
        return f"the model is on {model.device}, and only CUDA devices record"
    return ""


def captured_if_enabled(
    function: Callable[..., Any], model: Model, config: TrainConfig, reason: str = ""
) -> CapturedGraph | None:
    """The function captured as a CUDA graph, if the config requests it; a warning names what prevents that."""
    reason = reason or why_not_captured(model)
    if config.cuda_graphs and reason:
        warnings.warn(InputWarning(f"train.cuda_graphs has no effect: {reason}."), stacklevel=5)
    return CapturedGraph(function, CudaGraphs(model.device)) if config.cuda_graphs and not reason else None


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
