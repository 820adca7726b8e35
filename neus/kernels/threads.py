"""Threads for compiled loops that release the interpreter's lock.

Waiting threads sleep on a lock; they never spin, whatever OMP_WAIT_POLICY says, and nothing here depends on numba's threading
layers, of which one aborts when two threads meet in it and another when a process forks.
"""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import torch

_pools: dict[int, ThreadPoolExecutor] = {}
# A forked child inherits the pools but not their threads.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pools.clear)


def n_threads() -> int:
    """As many as torch uses: `torch.set_num_threads`, OMP_NUM_THREADS, or all cores."""
    return torch.get_num_threads()


def run_tasks(function: Callable[..., None], tasks: Sequence[tuple]) -> None:
    """Calls `function(*task)` for every task, on all threads, and waits; tasks must not write to the same addresses."""
    n = n_threads()
    if n == 1 or len(tasks) < 2:
        for task in tasks:
            function(*task)
        return
    if n not in _pools:
        _pools[n] = ThreadPoolExecutor(n, thread_name_prefix="neus-kernel")
    for future in [_pools[n].submit(function, *task) for task in tasks]:
        future.result()


def ranges(n: int, length: int) -> list[tuple[int, int]]:
    """Starts and ends that cut 0 ... n into pieces of `length`.

    >>> ranges(5, 2)
    [(0, 2), (2, 4), (4, 5)]
    """
    return [(start, min(start + length, n)) for start in range(0, n, length)]
