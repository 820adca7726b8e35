"""A last sweep of the trained surface: where it agrees better with images held back from it, the mesh follows it."""

import time

import numpy as np
import torch
from torch import Tensor

from neus.evaluation.dense import paired_offsets
from neus.fields.distance_correction import DistanceCorrection
from neus.rendering.queries import fastest_sdf
from neus.scenes.scene import Scene
from neus.stereo.initial_shape import MOST_VIEWS
from neus.stereo.surface_correction import FINEST, surface_correction
from neus.stereo.surface_refinement import resampled
from neus.stereo.visual_hull import spread_views
from neus.training.step import StepTerms
from neus.training.trainer import Trainer

# Of the training views every so many-th is held back from the sweep, at most so many: they judge it.
HELD_BACK_EVERY, MOST_HELD_BACK = 8, 5
# Fewer views than these cannot spare one.
FEWEST_VIEWS = 6
# Vertices farther from the surface than this keep the values of the coarse grid, scene units: a sweep looks a few pixels far.
BAND = 0.04
# A final sweep takes about so many times as long as the last round of the initial shape: rendering and judging twice are in it.
IN_ROUNDS = 2.0
# Points of one evaluation.
CHUNK = 2**16


class FinalSweep:
    """As a hook: after the last iteration it gives the model a `DistanceCorrection`, or none if that is no better.

    Attributes:
        is_wanted: whether there is time for it; a `TimePlan` decides.
    """

    def __init__(self) -> None:
        self.is_wanted = True

    def expected_seconds(self, trainer: Trainer) -> float:
        """0 where there will be none."""
        return IN_ROUNDS * trainer.steps.round_seconds if self.applies(trainer) else 0.0

    def applies(self, trainer: Trainer) -> bool:
        """Whether the surface started from stereo (which knows how long a round takes) and there are views to judge by."""
        return (
            trainer.config.guided_sampling.final_sweep
            and trainer.steps.round_seconds is not None
            and len(trainer.scene) >= FEWEST_VIEWS
        )

    def __call__(self, trainer: Trainer, terms: StepTerms) -> None:
        """The sweep, if training is over."""
        if not trainer.is_over or not self.is_wanted or not self.applies(trainer):
            return
        started = time.monotonic()
        scene = trainer.steps.scene
        scene = scene.subset(spread_views(scene, MOST_VIEWS))
        distances = lattice_of(trainer, FINEST.resolution)
        offsets, agreement = judged_correction(scene, distances)
        if offsets is not None:
            trainer.model.correction = DistanceCorrection(torch.from_numpy(offsets))
        trainer.on_message(f"final sweep: {_outcome(offsets is not None, agreement)} ({time.monotonic() - started:.1f} s)")


def judged_correction(scene: Scene, distances: np.ndarray) -> tuple[np.ndarray | None, list[float] | None]:
    """Offsets (P, P, P) for signed distances (P, P, P), None if they make no surface that agrees better.

    Views that are held back from the sweep judge; also returned is how many pixels the surface is off by them, without and with the
    offsets (`paired_offsets`), None where nothing can be matched.
    """
    every = max(HELD_BACK_EVERY, len(scene) // MOST_HELD_BACK)
    held_back = list(range(every // 2, len(scene), every))[:MOST_HELD_BACK]
    offsets = surface_correction(scene.subset([v for v in range(len(scene)) if v not in held_back]), distances)
    agreement = paired_offsets([distances, distances + offsets], scene, held_back)
    return offsets if agreement is not None and agreement[1] < agreement[0] else None, agreement


@torch.no_grad()
def lattice_of(trainer: Trainer, resolution: int) -> np.ndarray:
    """(P, P, P) float32 signed distances of the model at linspace(-1, 1, P): its own near the surface, of the coarse grid elsewhere."""
    model, grid = trainer.model, trainer.steps.sdf_grid.values.cpu().numpy()
    values, sdf = torch.from_numpy(resampled(grid, resolution)), fastest_sdf(model)
    near = (values.abs() < BAND).nonzero()

    def evaluated(places: Tensor) -> Tensor:
        points = places.to(model.device, torch.float32) * (2.0 / (resolution - 1)) - 1.0
        return torch.as_tensor(sdf(points)).reshape(-1).cpu()

    if len(near):
        values[tuple(near.T)] = torch.cat([evaluated(part) for part in near.split(CHUNK)])
    return values.numpy()


def _outcome(is_kept: bool, agreement: list[float] | None) -> str:
    if agreement is None:
        return "left out, nothing in the images held back can be matched"
    before, after = agreement
    what = "the mesh follows it" if is_kept else "left out"
    return f"{what}; by images held back the surface is {before:.3f} px off without and {after:.3f} with it"
