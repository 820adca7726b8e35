"""Which form of an operation runs: by device, or as the environment variable NEUS_KERNELS says."""

import functools
import importlib
import os
import warnings
from pathlib import Path
from types import ModuleType

import torch

from neus.errors import InputError, InputWarning

# `reference` is torch on any device; `cpu` is numba, for tensors on a CPU; `gpu` is Triton, for CUDA devices, and for tensors
# on a CPU where Triton interprets its kernels (TRITON_INTERPRET=1): slowly, but with the same numbers.
VARIABLE = "NEUS_KERNELS"
CHOICES = ("reference", "cpu", "gpu")
# Triton's own switch.
INTERPRET = "TRITON_INTERPRET"
# Triton compiles for GPUs from this compute capability on (Volta).
OLDEST_CAPABILITY = (7, 0)


def kernels_for(operation: str, device: torch.device) -> ModuleType:
    """The module with an operation's functions: its `.cpu` for a CPU, its `.gpu` for a CUDA device, else its `.reference`.

    `NEUS_KERNELS=reference` forces the reference everywhere. Without numba or Triton, and on GPUs too old for Triton, the
    reference is used, with one warning.

    Raises:
        InputError: NEUS_KERNELS is something else, or requests what cannot run on the device.

    >>> kernels_for("hash_encode", torch.device("meta")).__name__
    'neus.kernels.hash_encode.reference'
    """
    return fast_kernels(operation, device) or importlib.import_module(f"neus.kernels.{operation}.reference")


def fast_kernels(operation: str, device: torch.device) -> ModuleType | None:
    """The compiled form of an operation for a device, or None: for operations whose specification is elsewhere."""
    choice = os.environ.get(VARIABLE, "")
    if choice and choice not in CHOICES:
        raise InputError(f"{VARIABLE}={choice}: expected one of {', '.join(CHOICES)}; unset it to choose by device.")
    if choice == "gpu" and device.type == "cpu" and os.environ.get(INTERPRET, "0") != "1":
        raise InputError(
            f"{VARIABLE}=gpu: the model is on a CPU, where only Triton's interpreter runs; set {INTERPRET}=1, or --device cuda."
        )
    if device.type == "cuda" and choice in ("", "gpu"):
        return written_for_gpu(operation) if _is_young_enough(device) else None
    if device.type == "cpu" and choice != "reference":
        return written_for_gpu(operation) if choice == "gpu" else compiled(operation)
    return None


def runs_compiled(operation: str, device: torch.device) -> bool:
    """Whether an operation has a compiled form on a device."""
    return fast_kernels(operation, device) is not None


@functools.cache
def written_for_gpu(operation: str) -> ModuleType | None:
    """The Triton form of an operation, or None where there is none, with a warning the first time, where Triton is missing."""
    folder = Path(__file__).parent / operation
    if not ((folder / "gpu.py").exists() or (folder / "gpu").is_dir()) or not _has_triton():
        return None
    return importlib.import_module(f"neus.kernels.{operation}.gpu")


@functools.cache
def _has_triton() -> bool:
    # Otherwise Triton 3.9 asks, whenever it compiles, which of the two is meant; on is what it has always done.
    os.environ.setdefault("TRITON_DEFAULT_FP_FUSION", "1")
    try:
        importlib.import_module("triton")
    except (ImportError, RuntimeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        _warn(f"Triton does not work here ({reason[:80]}); the slower torch kernels are used. pip install triton")
        return False
    return True


@functools.cache
def _is_young_enough(device: torch.device) -> bool:
    if not torch.cuda.is_available():  # a device that is not there
        return True
    capability = torch.cuda.get_device_capability(device)
    if capability < OLDEST_CAPABILITY:
        _warn(
            f"the GPU's compute capability {capability[0]}.{capability[1]} is below Triton's 7.0; torch kernels are used."
        )
    return capability >= OLDEST_CAPABILITY


def _warn(message: str) -> None:
    warnings.warn(InputWarning(message), stacklevel=2)


@functools.cache
def compiled(operation: str) -> ModuleType | None:
    """The numba form of an operation, or None, with a warning the first time, where numba does not work."""
    try:
        _forget_stale()
        return importlib.import_module(f"neus.kernels.{operation}.cpu")
    except (ImportError, RuntimeError) as error:  # the latter where numba finds no folder for its cache
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        _warn(f"numba does not work here ({reason[:80]}); the slower torch kernels are used. pip install numba")
        return None


@functools.cache
def _forget_stale() -> None:
    """Removes cached machine code that is older than any kernel's file.

    numba checks only the file of the function itself, not those of the functions it calls.
    """
    kernels = Path(__file__).parent
    newest = max(path.stat().st_mtime for path in kernels.rglob("*.py"))
    for index in kernels.rglob("*.nbi"):
        try:
            if index.stat().st_mtime < newest:
                index.unlink()
        except OSError:  # another process was faster, or the folder is read-only and numba keeps its cache elsewhere
            continue
