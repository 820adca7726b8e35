"""A model's surface made to start as images alone show it: shaped, sharp, and with points that go on teaching it."""

import math
import time
from collections.abc import Callable

import torch
from torch import Generator

from neus.rendering.model import Model
from neus.rendering.sdf_grid import RESOLUTION, SdfGrid
from neus.scenes.scene import Scene
from neus.stereo.initial_shape import InitialShape, initial_shape
from neus.stereo.surface_refinement import resampled
from neus.training.shape_fit import fit_distances
from neus.training.surface_teacher import SurfaceTeacher

# Errors of the surface at points that views agree about count as their square up to half a pixel.
TEACHER_WIDTH_IN_PIXELS = 0.5
# A surface known to a pixel starts as wide as this, in standard deviations of the logistic density, pi / (sqrt(3) s).
SURFACE_WIDTH_IN_PIXELS, LOGISTIC_DEVIATION = 4.0, math.pi / math.sqrt(3.0)


def start_from_images(
    model: Model,
    scene: Scene,
    device: torch.device,
    generator: Generator,
    on_message: Callable[[str], None],
    seconds: float = math.inf,
) -> tuple[SdfGrid, SurfaceTeacher | None, InitialShape]:
    """Fits a hash model to the initial shape of its scene and sets its sharpness.

    Args:
        model: changed.
        scene: see `initial_shape`.
        device: where the grid is to be.
        generator: of the points that the surface is fitted at.
        on_message: receives one line on each stage.
        seconds: what the initial shape may take.

    Returns:
        The grid of the shape's distances, and the teacher of its surface points; None, and the sharpness as it is, where views agree
        about nothing; and the shape.

    Raises:
        InputError: as `initial_shape`.
    """
    shape = initial_shape(scene, on_message, seconds=seconds)
    started = time.monotonic()
    error = fit_distances(model, shape.distances.to(device), generator)
    on_message(f"initial shape: surface fitted to {error:.4f} scene units ({time.monotonic() - started:.1f} s)")
    grid = SdfGrid(torch.from_numpy(resampled(shape.distances.numpy(), RESOLUTION)).to(device))
    teacher = SurfaceTeacher.of(shape.points, shape.pixel * TEACHER_WIDTH_IN_PIXELS)
    if teacher is not None:
        model.sharpness.start_at(LOGISTIC_DEVIATION / (SURFACE_WIDTH_IN_PIXELS * shape.pixel))
    return grid, teacher, shape
