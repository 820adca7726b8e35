"""The compilation of kernels, once and before anything is timed."""

from dataclasses import replace

import torch

from neus.rendering.model import Model
from neus.rendering.sdf_grid import RESOLUTION, SdfGrid
from neus.scenes.scene import Scene
from neus.scenes.synthetic import render_scene
from neus.stereo.initial_shape import initial_shape
from neus.stereo.surface_refinement import Round
from neus.training.config import TrainConfig
from neus.training.guided_training import GridGuidedTraining
from neus.training.optimizer import build_optimizer, set_learning_rates
from neus.training.strategies import steps_for

# Rays of the step that is thrown away: kernels are compiled for the kinds of their arguments, not for their sizes.
N_RAYS = 16


def warm_up_kernels(model: Model, scene: Scene, config: TrainConfig) -> None:
    """Runs every kernel of a training step, forwards and backwards, and of a mesh once; the model stays as it is."""
    generator = torch.Generator().manual_seed(0)
    config = replace(config, batch_size=N_RAYS, cuda_graphs=False)
    steps = steps_for(model, scene.subset([0]), config, generator)
    if isinstance(steps, GridGuidedTraining):
        steps.sdf_grid = SdfGrid(torch.zeros(RESOLUTION, RESOLUTION, RESOLUTION, device=steps.device))
    for n_levels in _kinds_of_levels(model):
        model.set_active_levels(n_levels)
        steps(0, 0.0, 1.0)
    # With rates of zero a step changes nothing but the moments, and this optimiser is thrown away.
    optimizer = build_optimizer(model)
    set_learning_rates(optimizer, dict.fromkeys((group["role"] for group in optimizer.param_groups), 0.0))
    optimizer.step()
    model.zero_grad(set_to_none=True)
    if config.guided_sampling.n_intervals > 0 and config.guided_sampling.initial_shape:
        made = render_scene(views=6, width=48, height=36, antialias=1)
        initial_shape(made, resolution=16, rounds=(Round(48, 2, 0.5, 5, 16),))
    points = torch.zeros(1, 3, device=model.device)
    with torch.no_grad():
        model.sdf(points)
        model.gradient(points)


def _kinds_of_levels(model: Model) -> list[int]:
    """Numbers of levels to run once; Triton's kernels are compiled for widths of features, of which levels that are off have none."""
    n_levels = model.config.hash_sdf.grid.n_levels
    return [1, n_levels] if model.device.type == "cuda" else [n_levels]
