"""What long work tells its user: nothing to callers of the library, lines and progress bars on a terminal."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from tqdm import tqdm

LOG = logging.getLogger("neus")


class Bar(Protocol):
    """A progress bar, fed with (done, total)."""

    def start(self, done: int, total: int) -> None:
        """Begins at `done` of `total`, which an earlier run did."""
        ...

    def __call__(self, done: int, total: int) -> None:
        """Moves to `done` of `total`."""
        ...


class Console:
    """The library's: messages go to the log `neus`, progress is not shown, signals are left to the caller.

    Attributes:
        is_interactive: whether a person is watching: training shows its progress line, and Ctrl-C saves a checkpoint.
    """

    is_interactive = False

    def message(self, text: str) -> None:
        """One line of information."""
        LOG.info(text)

    def warn(self, text: str) -> None:
        """One line about something that needs attention."""
        LOG.warning(text)

    @contextmanager
    def bar(self, description: str, unit: str, delay: float = 0.0) -> Iterator[Bar]:
        """A progress bar for the time of the block, shown once that has taken `delay` seconds."""
        yield _NoBar()


class Terminal(Console):
    """The command line's: messages on stdout, warnings and progress bars on stderr."""

    is_interactive = True

    def message(self, text: str) -> None:
        """One line on stdout."""
        print(text, flush=True)

    def warn(self, text: str) -> None:
        """One line on stderr."""
        print(f"warning: {text}", file=sys.stderr)

    @contextmanager
    def bar(self, description: str, unit: str, delay: float = 0.0) -> Iterator[Bar]:
        """A progress bar for the time of the block, shown once that has taken `delay` seconds."""
        # Little smoothing of the rate: single slow frames or blocks should not make the time left jump.
        style = {"dynamic_ncols": True, "unit_scale": True, "smoothing": 0.1}
        with tqdm(desc=description, unit=unit, delay=delay, **style) as line:
            yield _TerminalBar(line)


QUIET, TERMINAL = Console(), Terminal()


class _NoBar:
    def start(self, done: int, total: int) -> None:
        pass

    def __call__(self, done: int, total: int) -> None:
        pass


class _TerminalBar:
    def __init__(self, line: tqdm) -> None:
        self.line = line

    def start(self, done: int, total: int) -> None:
        self.line.reset(total)
        # The rate counts from here on.
        self.line.initial = self.line.n = self.line.last_print_n = done
        self.line.refresh()

    def __call__(self, done: int, total: int) -> None:
        self.line.total = total
        self.line.update(done - self.line.n)
