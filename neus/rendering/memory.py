"""Work cut into chunks that fit into a device's memory: where one does not, halves of it do."""

import warnings
from collections.abc import Callable, Iterator
from typing import TypeVar

import torch

from neus.errors import InputWarning

Result = TypeVar("Result")


def in_chunks_that_fit(
    evaluate: Callable[[int, int], Result], n: int, chunk: int, device: torch.device
) -> Iterator[tuple[int, Result]]:
    """Yields (stop, evaluate(start, stop)) for one chunk of 0 ... n after another.

    Where the device runs out of memory the chunk is halved, for the rest too, and a warning of one line says so.

    Raises:
        torch.OutOfMemoryError: a chunk of one does not fit.

    >>> [result for _, result in in_chunks_that_fit(lambda a, b: (a, b), 5, 2, torch.device("cpu"))]
    [(0, 2), (2, 4), (4, 5)]
    """
    start = 0
    while start < n:
        stop = min(start + chunk, n)
        try:
            result = evaluate(start, stop)
        except torch.OutOfMemoryError:
            if chunk == 1:
                raise
        else:
            yield stop, result
            start = stop
            continue
        # Out here, since the exception held on to what the attempt had allocated.
        release_memory()
        chunk = max(1, min(chunk, stop - start) // 2)
        text = f"out of memory on {device} with {stop - start} rays at a time; continuing with {chunk}."
        warnings.warn(InputWarning(text), stacklevel=3)


def release_memory() -> None:
    """Gives memory that torch keeps for later back to the GPU."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
