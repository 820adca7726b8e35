"""Stages of a capture: what a user sees of each, and how long it took."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class Watcher(Protocol):
    """Who is told what happens: `runs.console.Console`, which this package does not know."""

    def message(self, text: str) -> None:
        """One line of information."""
        ...

    def bar(self, description: str, unit: str, delay: float = 0.0) -> AbstractContextManager[Callable[[int, int], None]]:
        """A progress bar for the time of the block, fed with (done, total)."""
        ...


class Stages:
    """Names stages, shows a bar for each, and adds up their seconds.

    Attributes:
        seconds: of each stage, by name.
    """

    def __init__(self, watcher: Watcher) -> None:
        self.seconds: dict[str, float] = {}
        self._watcher, self._started = watcher, time.monotonic()

    def message(self, text: str) -> None:
        """One line of information."""
        self._watcher.message(text)

    @contextmanager
    def stage(self, name: str, unit: str) -> Iterator[Callable[[int, int], None]]:
        """A progress bar for the time of the block, which counts for this stage."""
        started = time.monotonic()
        try:
            with self._watcher.bar(name, unit) as progress:
                yield progress
        finally:
            self.seconds[name] = round(self.seconds.get(name, 0.0) + time.monotonic() - started, 2)

    @property
    def elapsed(self) -> float:
        """Seconds since the first of them began."""
        return time.monotonic() - self._started
