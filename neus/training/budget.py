"""How long training lasts, in iterations or in seconds, and how far it has come.

Schedules are written in iterations. In a run of so many iterations they are followed as they stand. In a run of so many
seconds the scheduled iteration is the fraction of the time used, times the iterations that the config foresees: whatever
the machine's speed, the learning rate falls to its end and all levels come on within the time there is.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

# A warm-up counted in iterations must not fill a short time: at this fraction of the schedule it is over.
LONGEST_WARM_UP = 0.1
# No time at all is still divided by.
SHORTEST = 1e-9


class Budget(Protocol):
    """What the trainer needs to know: how far, whether that is all, and where in the schedules it stands."""

    def progress(self, iteration: int) -> float:
        """In [0, 1] after `iteration` iterations."""
        ...

    def is_over(self, iteration: int) -> bool:
        """Whether `iteration` was the last."""
        ...

    def scheduled(self, iteration: int) -> float:
        """The iteration of the schedules that comes next."""
        ...

    def scheduled_rate(self, iteration: int, warm_up_end: int) -> float:
        """The same for the learning rate, whose warm-up is counted apart."""
        ...

    def tick(self) -> None:
        """An iteration is done; answers stay the same until the next is."""
        ...


@dataclass(frozen=True)
class IterationBudget:
    """So many iterations: the schedules as they stand.

    >>> budget = IterationBudget(200)
    >>> budget.progress(50), budget.is_over(199), budget.is_over(200), budget.scheduled(50)
    (0.25, False, True, 50)
    """

    end_iter: int

    def progress(self, iteration: int) -> float:
        """Fraction of the iterations that are done."""
        return min(1.0, iteration / self.end_iter)

    def is_over(self, iteration: int) -> bool:
        """Whether all are done."""
        return iteration >= self.end_iter

    def scheduled(self, iteration: int) -> int:
        """The iteration itself."""
        return iteration

    def scheduled_rate(self, iteration: int, warm_up_end: int) -> int:
        """The iteration itself."""
        return iteration

    def tick(self) -> None:
        """Nothing: iterations are counted by the trainer."""


class TimeBudget:
    """So many seconds from now on, at least one iteration; progress goes evenly with the time.

    Time stands still between two ticks, so that all that is done in one iteration agrees whether it is the last.

    Attributes:
        seconds: from the last call of `end_in` to the end.
        end_iter: iterations of the schedules that the whole time stands for.

    >>> now = [100.0]
    >>> budget = TimeBudget(20.0, 1000, clock=lambda: now[0])
    >>> now[0] = 105.0
    >>> budget.tick()
    >>> budget.progress(3), budget.scheduled(3), budget.is_over(3)
    (0.25, 250.0, False)
    """

    def __init__(self, seconds: float, end_iter: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.end_iter, self._clock = end_iter, clock
        self._progress_then, self._step, self._ticks = 0.0, 0.0, 0
        self._now = self._then = clock()
        self.seconds = max(seconds, SHORTEST)

    def end_in(self, seconds: float) -> None:
        """Lets training end in so many seconds: progress goes evenly from where it is to 1 in that time."""
        self._progress_then = self.progress(0)
        self._now = self._then = self._clock()
        self.seconds = max(seconds, SHORTEST)

    def resume_from(self, progress: float) -> None:
        """Goes on with the schedules of an earlier run where it left them."""
        self._progress_then = min(1.0, max(0.0, progress))

    def tick(self) -> None:
        """Reads the clock."""
        now = self._clock()
        self._step, self._now, self._ticks = now - self._now, now, self._ticks + 1

    @property
    def fraction(self) -> float:
        """Of the present time that is used, in [0, 1]."""
        return min(1.0, (self._now - self._then) / self.seconds)

    @property
    def seconds_left(self) -> float:
        """Until the end, never negative."""
        return max(0.0, self._then + self.seconds - self._now)

    def progress(self, iteration: int) -> float:
        """How far the schedules have come; a resumed run starts where the one before it stopped."""
        return self._progress_then + (1.0 - self._progress_then) * self.fraction

    def is_over(self, iteration: int) -> bool:
        """Whether another iteration as long as the last would end nearer to a whole one too late than in time."""
        return self._ticks > 0 and self.seconds_left <= self._step / 2

    def scheduled(self, iteration: int) -> float:
        """Progress in iterations of the schedules."""
        return self.progress(iteration) * self.end_iter

    def scheduled_rate(self, iteration: int, warm_up_end: int) -> float:
        """A warm-up in true iterations, but no longer than LONGEST_WARM_UP of the time; then as `scheduled`."""
        if iteration < warm_up_end:
            fraction = max(iteration / warm_up_end, self.progress(iteration) / LONGEST_WARM_UP)
            if fraction < 1.0:
                return fraction * warm_up_end
        return max(float(warm_up_end), self.scheduled(iteration))
