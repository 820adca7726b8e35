"""The loop around the training step: schedule, hooks, recovery from numbers that are not finite, its whole state."""

import copy
import logging
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import torch

from neus.errors import InputError, TrainingDiverged
from neus.fields.precision import products_in, why_not_precision
from neus.rendering.memory import release_memory
from neus.rendering.model import Model
from neus.scenes.scene import Scene
from neus.training.budget import Budget, IterationBudget, TimeBudget
from neus.training.checkpoint import load_optimizer, load_parameters, save_checkpoint
from neus.training.config import TrainConfig
from neus.training.finite import NotFinite, check_finite
from neus.training.optimizer import build_optimizer, set_learning_rates
from neus.training.schedules import active_levels, cos_anneal_ratio, learning_rate_factor
from neus.training.step import StepTerms
from neus.training.strategies import steps_for
from neus.training.warm_up import warm_up_kernels

# How often the last good state is kept, how often training may go back to it, and how much smaller steps are then.
ITERATIONS_BETWEEN_SNAPSHOTS = 100
MAX_ROLLBACKS = 3
ROLLBACK_RATE_FACTOR = 0.5
LOG = logging.getLogger("neus")


class Hook(Protocol):
    """Something done after each iteration; it must leave the trainer's random state alone."""

    def __call__(self, trainer: "Trainer", terms: StepTerms) -> None:
        """Called when `trainer.iteration` iterations are done."""
        ...


class Trainer:
    """Fits a model to a scene.

    Attributes:
        model, scene, config: what is trained on what, and how.
        iteration: iterations done.
        rollbacks: how often training went back to a good state.
        stopped: whether a stop was requested before the end.
        on_message: receives what a user should know.
        on_rollback: receives the iteration of the last good state, when later ones have turned out not to be.
        time_budget: how long training lasts; None is `config.end_iter` iterations.
    """

    def __init__(
        self,
        model: Model,
        scene: Scene,
        config: TrainConfig,
        on_message: Callable[[str], None] = LOG.info,
        on_rollback: Callable[[int], None] = lambda iteration: None,
        time_budget: TimeBudget | None = None,
    ) -> None:
        if config.mask_weight > 0 and scene.masks is None:
            raise InputError(
                f"{scene.source}: train.mask_weight is {config.mask_weight} but the scene has no masks; "
                "add mask/, or train without masks (--conf womask.conf)."
            )
        reason = why_not_precision(config.precision, model.device)
        if reason:
            raise InputError(f"train.precision = {config.precision}: {reason}; use float32.")
        self.model, self.scene, self.config = model, scene, config
        self.optimizer = build_optimizer(model)
        self.generator = torch.Generator().manual_seed(config.seed)
        self.steps = steps_for(model, scene, config, self.generator)
        self.iteration, self.rollbacks, self.lr_scale, self.stopped = 0, 0, 1.0, False
        self.on_message, self.on_rollback = on_message, on_rollback
        self.time_budget = time_budget
        self._started, self._rays_before, self._has_begun = time.monotonic(), 0, False
        self._last_snapshot: dict[str, Any] = {}
        self._wants_snapshot = False

    def prepare(self) -> float:
        """Compiles the kernels that training will use and changes nothing else; returns the seconds it took."""
        started = time.monotonic()
        warm_up_kernels(self.model, self.scene, self.config)
        return time.monotonic() - started

    def begin(self, seconds: float = math.inf) -> None:
        """Gives the surface its initial shape, if the config requests one and it has none; `run` does so if needed.

        Args:
            seconds: what the initial shape may take.
        """
        if not self._has_begun:
            self._has_begun = True
            self.steps.begin(self.on_message, seconds)
        if not self._last_snapshot:
            self._last_snapshot = self._snapshot()

    def run(self, hooks: list[Hook]) -> None:
        """Iterates to the end, or until `stop` is called; hooks run after each iteration.

        Raises:
            TrainingDiverged: after more than `MAX_ROLLBACKS` steps that were not finite.
        """
        self.begin()
        self._started, self._rays_before = time.monotonic(), self.steps.n_rays
        while not self.is_over and not self.stopped:
            state = self._snapshot() if self._wants_snapshot else None
            try:
                terms = self._step()
            except NotFinite as error:
                self._roll_back(error)
                continue
            except torch.OutOfMemoryError:
                if self.steps.batch_size == 1:
                    raise
                terms = None
            if terms is None:  # out here, since the exception held on to what the step had allocated
                self._take_fewer_rays()
                continue
            if state is not None:  # good, since a step from it was finite
                self._last_snapshot, self._wants_snapshot = state, False
            self.iteration += 1
            self.budget.tick()
            if self.iteration % ITERATIONS_BETWEEN_SNAPSHOTS == 0:
                self._wants_snapshot = True
            for hook in hooks:
                hook(self, terms)

    def stop(self) -> None:
        """Ends `run` after the present iteration."""
        self.stopped = True

    @property
    def budget(self) -> Budget:
        """How long training lasts."""
        return self.time_budget or IterationBudget(self.config.end_iter)

    @property
    def progress(self) -> float:
        """Fraction of the training that is done, in [0, 1]."""
        return self.budget.progress(self.iteration)

    @property
    def is_over(self) -> bool:
        """Whether the iterations done are all there will be; hooks read this for what they do at the end."""
        return self.budget.is_over(self.iteration)

    @property
    def learning_rate(self) -> float:
        """Of the next step, for the networks."""
        return self.learning_rates["networks"]

    @property
    def learning_rates(self) -> dict[str, float]:
        """Of the next step, by the role of the optimiser's groups."""
        config = self.config
        scheduled = self.budget.scheduled_rate(self.iteration, config.warm_up_end)
        factor = self.lr_scale * learning_rate_factor(
            scheduled, config.warm_up_end, config.end_iter, config.learning_rate_alpha, config.learning_rate_decay
        )
        rates = {
            "networks": config.learning_rate,
            "sharpness": config.learning_rate_sharpness or config.learning_rate,
            "surface": config.learning_rate_surface or config.learning_rate,
            "table": config.learning_rate_table,
            "color_table": config.learning_rate_color_table,
            "background": config.learning_rate_background or config.learning_rate,
            "background_table": config.learning_rate_background_table,
        }
        return {role: rate * factor for role, rate in rates.items()}

    @property
    def active_levels(self) -> int:
        """Levels of a hash surface that are on in the next step."""
        config, n_levels = self.config, self.model.config.hash_sdf.grid.n_levels
        return active_levels(self.budget.scheduled(self.iteration), config.levels_end, config.levels_start, n_levels)

    @property
    def cos_anneal(self) -> float:
        """Annealing ratio of the next step."""
        return cos_anneal_ratio(self.budget.scheduled(self.iteration), self.config.anneal_end)

    def rays_per_second(self) -> float:
        """Mean since `run` began, hooks included."""
        elapsed = time.monotonic() - self._started
        return (self.steps.n_rays - self._rays_before) / max(elapsed, 1e-9)

    def _step(self) -> StepTerms:
        self.model.correction = None  # it belongs to the surface that is left now
        set_learning_rates(self.optimizer, self.learning_rates)
        self.model.set_active_levels(self.active_levels)
        with products_in(self.config.precision, self.model.device):
            terms = self.steps(self.iteration, self.progress, self.cos_anneal)
        check_finite(terms, self.optimizer, self.model)
        self.optimizer.step()
        return terms

    def _roll_back(self, error: NotFinite) -> None:
        self.rollbacks += 1
        self.on_rollback(self._last_snapshot["iteration"])
        if self.rollbacks > MAX_ROLLBACKS:
            raise TrainingDiverged(
                f"{error} is not finite in iteration {self.iteration}, for the {self.rollbacks}th time; training stops. The "
                "checkpoints that are left are good: lower train.learning_rate, then go on with --resume."
            )
        iteration_of_error = self.iteration
        self.optimizer.zero_grad(set_to_none=True)
        self._restore(copy.deepcopy(self._last_snapshot))
        self.lr_scale *= ROLLBACK_RATE_FACTOR
        self.on_message(
            f"{error} is not finite in iteration {iteration_of_error}; continuing from iteration {self.iteration} "
            f"with {self.lr_scale:g} of the learning rate ({self.rollbacks} of {MAX_ROLLBACKS} times)"
        )

    def _take_fewer_rays(self) -> None:
        self.optimizer.zero_grad(set_to_none=True)
        release_memory()
        before, self.steps.batch_size = self.steps.batch_size, self.steps.batch_size // 2
        self.on_message(
            f"out of memory on {self.model.device} in iteration {self.iteration} with {before} rays a step; continuing with "
            f"{self.steps.batch_size}"
        )

    def _snapshot(self) -> dict[str, Any]:
        """All that is computed from parameters, and where training stands; not the generator, lest the same rays come again."""
        return copy.deepcopy(
            {
                "model": self.model.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "steps": self.steps.state(),
                "iteration": self.iteration,
            }
        )

    def _restore(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.steps.load_state(state["steps"])
        self.iteration = state["iteration"]

    def save(self, path: Path, extra: dict[str, Any]) -> None:
        """Writes a checkpoint from which `load` goes on to the same numbers; `extra` is kept with it."""
        state = {
            **self.steps.state(),
            "n_views": len(self.scene),
            "generator": self.generator.get_state(),
            "lr_scale": self.lr_scale,
        }
        if self.time_budget is not None:
            state["progress"] = self.progress
        correction = None if self.model.correction is None else self.model.correction.state()
        kept = {"training": state, "correction": correction, **extra}
        save_checkpoint(path, self.model, self.optimizer, self.iteration, kept)
        # Recovery goes back to this state, once a step from it has shown that it is good.
        self._wants_snapshot = True

    def load(self, content: dict[str, Any], path: Path) -> None:
        """Takes up the state of a checkpoint (from `read_checkpoint`), ours or published.

        Raises:
            InputError: it belongs to another config, or to a scene with another number of views.
        """
        load_parameters(self.model, content, path)
        load_optimizer(self.optimizer, content, path)
        self.iteration = int(content["iter_step"])
        progress = IterationBudget(self.config.end_iter).progress(self.iteration)
        if "neus" not in content:
            self.on_message(f"{path}: a checkpoint of the published NeuS; its random state is unknown and starts anew")
        else:
            state = content["neus"]["training"]
            n_views = state["n_views"] if "n_views" in state else len(state["view_order"])
            if n_views != len(self.scene):
                raise InputError(
                    f"{path}: trained on {n_views} views, the scene has {len(self.scene)} to train on; "
                    "resume with the same scene and --holdout."
                )
            self.steps.load_state(state)
            self._has_begun = True
            self.generator.set_state(state["generator"])
            self.lr_scale = float(state["lr_scale"])
            self._say_how_time_goes_on(state, path)
            progress = float(state.get("progress", progress))
        if self.time_budget is not None:
            self.time_budget.resume_from(progress)
        self._last_snapshot = {}  # taken when training begins

    def _say_how_time_goes_on(self, state: dict[str, Any], path: Path) -> None:
        if "progress" in state and self.time_budget is None:
            self.on_message(
                f"{path}: trained by time, to {100 * state['progress']:.0f} % of its schedule; without --minutes it continues "
                f"as iteration {self.iteration} of {self.config.end_iter}"
            )
