"""A training run that takes so many minutes from the start of the command to the mesh on disk."""

import time
from collections.abc import Callable

from neus.meshing.cost import MeshCost, measured_mesh_cost
from neus.training.budget import TimeBudget
from neus.training.final_sweep import FinalSweep
from neus.training.hooks import CheckpointHook, clock_time
from neus.training.step import StepTerms
from neus.training.trainer import Trainer

# Resolution of the mesh by minutes below which it holds, and beyond.
RESOLUTION_BELOW, RESOLUTION_BEYOND = ((3.0, 256), (8.0, 384)), 512
# The mesh gets coarser rather than take more of the time; looking how long it will take has its limit, too.
MESH_FRACTION, PROBE_FRACTION = 0.08, 0.01
# What is kept beside the estimate, since the surface still changes; later there is less to come.
MARGIN_AT_START, MARGIN_LATER = 1.5, 1.15
# Fraction of the training time after which its speed is known, and after which the mesh is estimated anew.
ANNOUNCE_AT, ESTIMATE_AGAIN_AT = 0.03, 0.9
# Bytes a second that a checkpoint is written at before one was timed: a slow disk's.
CHECKPOINT_SPEED = 100e6
# Closing files and leaving the process: torch and TensorBoard take 0.3 to 1.3 s to unload on two busy cores; yet no
# more than this fraction of the time, for short ones.
LEAVING, LEAVING_FRACTION = 1.0, 0.01
# The report gets this fraction of the time, yet no more seconds than that; its images get fewer and smaller to fit.
REPORT_FRACTION, REPORT_MOST = 0.03, 10.0
# What a report takes beside its images, on two cores with a mesh of 256^3 points: mesh file, measures, six sides, page.
# Of a short time it may take no more than this fraction.
REPORT_FIXED, REPORT_FIXED_FRACTION = 2.0, 0.2
# Of the time left after reading, the initial shape may take this fraction.
INITIAL_SHAPE_FRACTION = 0.5
# Of what is left then, the final sweep may take this fraction; a training of less time gains more by training on.
FINAL_SWEEP_FRACTION = 1.0 / 6.0
SECONDS_BETWEEN_CHECKPOINTS = 120.0


class TimePlan:
    """Divides the minutes of a command into training, the last checkpoint and the mesh; as a hook it keeps to that.

    Attributes:
        minutes: from `started` to the mesh on disk, not counting the compilation of kernels.
        resolution: of the mesh, as it fits by the last estimate.
        budget: the training's part.

    `prepare` is called once before the time counts: it compiles what the report draws with.
    """

    def __init__(
        self,
        minutes: float,
        started: float,
        clock: Callable[[], float] = time.monotonic,
        prepare: Callable[[], None] = lambda: None,
    ) -> None:
        self.minutes, self.clock, self._prepare = minutes, clock, prepare
        self.resolution = self.finest
        self._end = started + 60.0 * minutes
        self._checkpoints: CheckpointHook | None = None
        self._sweep_seconds = 0.0
        self._first_iteration, self._first_rays, self._training_left = 0, 0, 0.0
        self._is_announced = self._is_estimated_again = False

    @property
    def finest(self) -> int:
        """Resolution of the mesh for so many minutes, if it does not take too long.

        >>> [TimePlan(m, 0.0).finest for m in (2.0, 3.0, 10.0)]
        [256, 384, 512]
        """
        return next((r for below, r in RESOLUTION_BELOW if self.minutes < below), RESOLUTION_BEYOND)

    @property
    def report_seconds(self) -> float:
        """For the images of the report.

        >>> [TimePlan(m, 0.0).report_seconds for m in (1.0, 2.0, 10.0)]
        [1.8, 3.6, 8.0]
        """
        return round(min(REPORT_FRACTION * 60.0 * self.minutes, REPORT_MOST - REPORT_FIXED), 3)

    def left(self) -> float:
        """Seconds until the mesh is to be there."""
        return self._end - self.clock()

    def minutes_used(self) -> float:
        """Since the start, not counting the compilation of kernels."""
        return self.minutes - self.left() / 60.0

    def new_budget(self, end_iter: int) -> TimeBudget:
        """The training's budget; it counts once `begin` has been called."""
        return TimeBudget(max(self.left(), 0.0), end_iter, self.clock)

    def begin(self, trainer: Trainer, checkpoints: CheckpointHook, sweep: FinalSweep) -> None:
        """Compiles the kernels outside the time, and gives training what the mesh leaves of it."""
        self._checkpoints, self._first_iteration = checkpoints, trainer.iteration
        self._first_rays = trainer.steps.n_rays
        took, started = trainer.prepare(), self.clock()
        self._prepare()
        took += self.clock() - started
        self._end += took
        if took > 1.0:
            trainer.on_message(f"kernels compiled in {took:.1f} s, which is not counted")
        trainer.begin(INITIAL_SHAPE_FRACTION * self.left())
        self._sweep_seconds = sweep.expected_seconds(trainer)
        sweep.is_wanted = self._sweep_seconds <= FINAL_SWEEP_FRACTION * self.left()
        if not sweep.is_wanted:
            trainer.on_message(f"no time for a final sweep, about {self._sweep_seconds:.0f} s; give more --minutes")
            self._sweep_seconds = 0.0
        self._allotted(trainer, MARGIN_AT_START)
        if self._training_left <= 0.0:
            trainer.on_message(
                f"{self.minutes:g} minutes is too short: loading and meshing use the whole budget; ran one iteration. "
                "Increase --minutes."
            )

    def __call__(self, trainer: Trainer, terms: StepTerms) -> None:
        """Prints what to expect once the speed is known; estimates the mesh again near the end."""
        fraction = trainer.time_budget.fraction
        if not self._is_announced and fraction >= ANNOUNCE_AT:
            self._is_announced = True
            trainer.on_message(self._announcement(trainer))
        if not self._is_estimated_again and fraction >= ESTIMATE_AGAIN_AT:
            self._is_estimated_again = True
            self._allotted(trainer, MARGIN_LATER)

    def _allotted(self, trainer: Trainer, margin: float) -> None:
        whole = 60.0 * self.minutes
        cost: MeshCost = measured_mesh_cost(trainer.model, PROBE_FRACTION * whole, n_views=len(trainer.scene))
        self.resolution = cost.resolution_within(MESH_FRACTION * whole / margin, self.finest)
        leaving = min(LEAVING, LEAVING_FRACTION * whole)
        reserve = margin * cost.seconds(self.resolution) + self._checkpoint_seconds(trainer) + leaving
        reserve += self._sweep_seconds + self.report_seconds + min(REPORT_FIXED, REPORT_FIXED_FRACTION * whole)
        self._training_left = self.left() - reserve
        trainer.time_budget.end_in(self._training_left)

    def _checkpoint_seconds(self, trainer: Trainer) -> float:
        if self._checkpoints.seconds is not None:
            return self._checkpoints.seconds
        # The parameters and their two moments.
        return 3 * sum(p.numel() * p.element_size() for p in trainer.model.parameters()) / CHECKPOINT_SPEED

    def _announcement(self, trainer: Trainer) -> str:
        budget = trainer.time_budget
        left = budget.seconds_left
        elapsed = max(budget.seconds - left, 1e-9)
        speed = (trainer.iteration - self._first_iteration) / elapsed
        n_iterations, rays = (
            trainer.iteration + round(left * speed),
            (trainer.steps.n_rays - self._first_rays) / elapsed,
        )
        mesh_at = 60.0 * self.minutes - (self.left() - left)
        return (
            f"{self.minutes:g} minutes: about {n_iterations} iterations ({rays:.0f} rays/s, measured over the first "
            f"iterations), mesh of {self.resolution}^3 after {clock_time(mesh_at)}"
        )
