"""Starting a Triton kernel, and what all Triton kernels agree on."""

import os
from typing import Any

import torch
from torch import Tensor

# Triton's interpreter runs programs one after another, and each takes as long whatever its size: there few large ones are better.
IS_INTERPRETED = os.environ.get("TRITON_INTERPRET", "0") == "1"
INTERPRETED_SIZE = 1024


def program_size(size: int, interpreted: int = INTERPRETED_SIZE) -> int:
    """How much of the work one program takes: `size` on a GPU, more under the interpreter."""
    return max(size, interpreted) if IS_INTERPRETED else size


def launch(kernel: Any, programs: tuple[int, ...], first: Tensor, *arguments: Any, **constants: Any) -> None:
    """Runs a kernel in so many programs on the device of its first argument; nothing is done for no programs."""
    if min(programs) > 0:
        with torch.cuda.device_of(first):
            kernel[programs](first, *arguments, **constants)


def blocks(n: int, size: int) -> int:
    """How many blocks of `size` hold n.

    >>> blocks(5, 2), blocks(0, 2)
    (3, 0)
    """
    return -(-n // size)


def power_of_two(n: int, least: int = 1) -> int:
    """The smallest power of two that is neither below n nor below `least`, itself one: tiles have no other sides.

    >>> power_of_two(5), power_of_two(5, 16), power_of_two(0)
    (8, 16, 1)
    """
    return max(least, 1 << max(n - 1, 0).bit_length())
