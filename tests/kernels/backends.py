"""The forms of an operation, as tests ask for them: given and giving tensors on the CPU, wherever they run."""

import importlib
import importlib.util
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor

HAS_TRITON = importlib.util.find_spec("triton") is not None
HAS_GPU = torch.cuda.is_available()
NEEDS_TRITON = pytest.mark.skipif(not HAS_TRITON, reason="Triton is not installed: pip install triton")
# For tests with the fixture `kernels`, which else takes those for a CPU.
ON_BOTH = pytest.mark.parametrize("kernels", ["cpu", pytest.param("gpu", marks=NEEDS_TRITON)], indirect=True)


def on_gpu(test: Callable[..., None]) -> Callable[..., None]:
    """Marks a test that needs Triton and a GPU for it."""
    needs_device = pytest.mark.skipif(not HAS_GPU, reason="no CUDA device here")
    return pytest.mark.gpu(NEEDS_TRITON(needs_device(test)))


class Form:
    """One form of an operation; `gpu` runs on the GPU, and without one under Triton's interpreter."""

    def __init__(self, operation: str, name: str) -> None:
        self.operation, self.name = operation, name
        self.device = torch.device("cuda" if name == "gpu" and HAS_GPU else "cpu")

    @property
    def module(self) -> ModuleType:
        """The module itself, imported when first asked for."""
        return importlib.import_module(f"neus.kernels.{self.operation}.{self.name}")

    def __getattr__(self, function: str) -> Callable[..., Any]:
        return lambda *arguments: self._call(getattr(self.module, function), arguments)

    def _call(self, function: Callable[..., Any], arguments: tuple) -> Any:
        moved = [x.to(self.device) if isinstance(x, Tensor) else x for x in arguments]
        result = function(*moved)
        for before, after in zip(arguments, moved, strict=True):
            # What was changed in place is changed for the caller too.
            if isinstance(before, Tensor) and before is not after and not before.requires_grad:
                before.copy_(after)
        if isinstance(result, Tensor):
            return result.cpu()
        return None if result is None else tuple(x.cpu() for x in result)


def forms(operation: str, *names: str) -> pytest.MarkDecorator:
    """Runs a test with `kernels` in each form; `gpu` is skipped where Triton is not installed."""
    marks = {"gpu": NEEDS_TRITON}
    return pytest.mark.parametrize(
        "kernels", [pytest.param(Form(operation, name), marks=marks.get(name, ()), id=name) for name in names]
    )
