"""A last sweep of the trained surface: where it agrees better with images held back from it, the mesh follows it."""

import time

import numpy as np
import torch
from torch import Tensor

from neus.evaluation.dense import DenseAgreement, dense_agreement
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
        offsets, before, after = judged_correction(scene, distances)
        took = f"({time.monotonic() - started:.1f} s)"
        if offsets is None:
            trainer.on_message(f"final sweep: {_px(before)} off by images held back, {_px(after)} after it: left out {took}")
            return
        trainer.model.correction = DistanceCorrection(torch.from_numpy(offsets))
        trainer.on_message(f"final sweep: the mesh is {_px(after)} off by images held back, {_px(before)} without it {took}")


def judged_correction(
    scene: Scene, distances: np.ndarray
) -> tuple[np.ndarray | None, DenseAgreement, DenseAgreement]:
    """Offsets (P, P, P) for signed distances (P, P, P), None if they make no surface that agrees better; the agreement without and with.

    Views that are held back from the sweep judge: `DenseAgreement.offset_px_clipped`.
    """
    every = max(HELD_BACK_EVERY, len(scene) // MOST_HELD_BACK)
    held_back = list(range(every // 2, len(scene), every))[:MOST_HELD_BACK]
    offsets = surface_correction(scene.subset([v for v in range(len(scene)) if v not in held_back]), distances)
    before, after = (dense_agreement(values, scene, held_back) for values in (distances, distances + offsets))
    is_better = None not in (before.offset_px_clipped, after.offset_px_clipped)
    is_better = is_better and after.offset_px_clipped < before.offset_px_clipped
    return offsets if is_better else None, before, after


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


def _px(agreement: DenseAgreement) -> str:
    return "nothing can be matched" if agreement.offset_px_clipped is None else f"{agreement.offset_px_clipped:.2f} px"
