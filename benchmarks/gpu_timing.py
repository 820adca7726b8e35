"""Times on a CUDA device, and a report whose parts have limits: what takes too long or fails is reported, and the rest goes on."""

import signal
import statistics
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

GIGA = 1e9


class OverLimit(Exception):
    """A part of the report took longer than it may."""


def milliseconds(function: Callable[[], Any], repeats: int = 20, warm_up: int = 3) -> float:
    """Median time of a call on the device."""
    times = []
    for i in range(warm_up + repeats):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        function()
        end.record()
        torch.cuda.synchronize()
        if i >= warm_up:
            times.append(start.elapsed_time(end))
    return statistics.median(times)


def waits(function: Callable[[], Any]) -> int:
    """How often the CPU waits for the device within a call."""
    function()
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            function()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return sum("synchroniz" in str(warning.message) for warning in caught)


def against_floor(ms: float, n_bytes: float, gb_per_s: float) -> dict[str, float]:
    """A time beside that in which so many bytes are copied.

    >>> against_floor(3.0, 2e9, 1000.0)
    {'ms': 3.0, 'bytes': 2000000000.0, 'floor_ms': 2.0, 'over_floor': 1.5}
    """
    floor = 1e3 * n_bytes / GIGA / gb_per_s
    return {"ms": ms, "bytes": n_bytes, "floor_ms": floor, "over_floor": ms / floor}


def relative_difference(found: list[Tensor], expected: list[Tensor]) -> float:
    """Length of the difference of two lists of tensors over the length of the second.

    >>> relative_difference([torch.tensor([3.0, 4.5])], [torch.tensor([3.0, 4.0])])
    0.1
    """
    one, other = (torch.cat([tensor.flatten().double() for tensor in tensors]) for tensors in (found, expected))
    return float((one - other).norm() / other.norm())


@contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Raises `OverLimit` in the main thread where what is within takes longer."""

    def stop(*_: Any) -> None:
        raise OverLimit(f"over its limit of {seconds:.0f} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)


class Report:
    """Results by part, all within so many seconds.

    Attributes:
        results: what each part gave; `{"error": ...}` of one that failed, took too long or came too late.
        has_errors: whether there is such a part.
    """

    def __init__(self, seconds: float) -> None:
        self.results: dict[str, Any] = {}
        self.has_errors = False
        self._end = time.monotonic() + seconds

    def add(self, name: str, part: Callable[[], Any], limit: float, least: float = 0.0) -> Any:
        """Runs a part for at most `limit` seconds, if at least `least` are left for it."""
        left = min(limit, self._end - time.monotonic())
        try:
            if left <= least:
                raise OverLimit(f"no time was left for it: {max(left, 0.0):.0f} s")
            with limited(left):
                self.results[name] = part()
        except (OverLimit, RuntimeError, LookupError, OSError, ValueError) as error:  # out of memory is a RuntimeError
            self.has_errors = True
            self.results[name] = {"error": (str(error).splitlines() or [type(error).__name__])[0]}
        return self.results[name]
