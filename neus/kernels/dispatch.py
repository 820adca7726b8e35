"""Which form of an operation runs: by device, or as the environment variable NEUS_KERNELS says."""

import functools
import importlib
import os
import warnings
from pathlib import Path
from types import ModuleType

import torch

from neus.errors import InputError, InputWarning

# `reference` is torch on any device; `cpu` is numba, for tensors on a CPU.
VARIABLE = "NEUS_KERNELS"
CHOICES = ("reference", "cpu")


def kernels_for(operation: str, device: torch.device) -> ModuleType:
    """The module with an operation's functions: `neus.kernels.<operation>.cpu` for a CPU, else `.reference`.

    `NEUS_KERNELS=reference` forces the reference everywhere. Without numba the reference is used, with one warning.

    Raises:
        InputError: NEUS_KERNELS is something else.

    >>> kernels_for("hash_encode", torch.device("meta")).__name__
    'neus.kernels.hash_encode.reference'
    """
    choice = os.environ.get(VARIABLE, "")
    if choice and choice not in CHOICES:
        raise InputError(f"{VARIABLE}={choice}: expected one of {', '.join(CHOICES)}; unset it to choose by device.")
    fast = None
    if device.type == "cpu" and choice != "reference":
        fast = compiled(operation)
    return fast or importlib.import_module(f"neus.kernels.{operation}.reference")


@functools.cache
def compiled(operation: str) -> ModuleType | None:
    """The numba form of an operation, or None, with a warning the first time, where numba does not work."""
    try:
        _forget_stale(Path(__file__).parent / operation)
        return importlib.import_module(f"neus.kernels.{operation}.cpu")
    except (ImportError, RuntimeError) as error:  # the latter where numba finds no folder for its cache
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        warnings.warn(
            InputWarning(
                f"numba does not work here ({reason[:80]}); the slower torch kernels are used. pip install numba"
            ),
            stacklevel=2,
        )
        return None


def runs_compiled(operation: str, device: torch.device) -> bool:
    """Whether `neus.kernels.<operation>.cpu` can be used on a device: for operations whose specification stands elsewhere."""
    is_wanted = device.type == "cpu" and os.environ.get(VARIABLE, "") != "reference"
    return is_wanted and compiled(operation) is not None


def _forget_stale(folder: Path) -> None:
    """Removes an operation's cached machine code if any of its files is newer.

    numba looks at the one file a function stands in, not at those whose functions it calls.
    """
    newest = max(path.stat().st_mtime for path in folder.glob("*.py"))
    for index in (folder / "__pycache__").glob("*.nbi"):
        try:
            if index.stat().st_mtime < newest:
                index.unlink()
        except OSError:  # another process was faster, or the folder is read-only and numba keeps its cache elsewhere
            continue
