"""A hash background on a CPU: tiles of whole rays, from distances to opacities and colours, and back to table and layers.

No two threads write to the same address and every sum has one order, so the numbers are the same to the bit whatever the number of
threads. Differentiable once, in the parameters alone.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from neus.kernels.fused_step.cpu.gemm_microkernel import COLUMNS
from neus.kernels.fused_step.cpu.step import N_PARTIAL_SUMS, TASKS_PER_THREAD, TILES_PER_TASK
from neus.kernels.fused_step.cpu.tile import TILE
from neus.kernels.hash_background.arguments import N_CONSTANTS, Layers
from neus.kernels.hash_background.tiles import Rays, Samples, Weights, empty_tile, evaluate_tiles, pull_tiles, scatter
from neus.kernels.hash_encode.cpu import grid_of
from neus.kernels.hash_encode.layout import GridLayout
from neus.kernels.threads import n_threads, ranges, run_tasks


def alphas_and_colors(
    origins: Tensor,
    directions: Tensor,
    t: Tensor,
    deltas: Tensor,
    codes: Tensor,
    table: Tensor,
    layout: GridLayout,
    n_active: int,
    layers: Layers,
) -> tuple[Tensor, Tensor]:
    """Opacities (N, B) and colours (N, B, 3) of intervals of rays; all float32.

    Args:
        origins, directions: (N, 3).
        t, deltas: (N, B), middles and lengths of the intervals.
        codes: (N, E'), encoded directions.
        table, layout, n_active: the grid, as of `hash_encode.encode`.
        layers: those over the grid.
    """
    return _AlphasAndColors.apply(layout, n_active, origins, directions, t, deltas, codes, table, *layers)


class _AlphasAndColors(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, layout: GridLayout, n_active: int, *tensors: Tensor) -> tuple[Tensor, Tensor]:
        arrays = [np.ascontiguousarray(tensor.detach().numpy()) for tensor in tensors]
        rays, table, layers = Rays(*arrays[:5]), arrays[5], arrays[6:]
        weights = Weights(*layers, *(np.ascontiguousarray(layers[i].T) for i in (0, 2, 4)))
        grid, shape = grid_of(table, layout, n_active), rays.t.shape
        samples = Samples(np.empty(shape, np.float32), np.empty((*shape, 3), np.float32))
        rays_per_tile = max(1, TILE // max(1, shape[1]))
        n_tiles, keeps = -(-len(rays.t) // rays_per_tile), any(ctx.needs_input_grad)
        n_columns = -(-rays_per_tile * shape[1] // COLUMNS) * COLUMNS
        size = weights.first.shape[1], n_columns
        # Points and features are kept: reading the table again would take longer than the layers do.
        kept = np.empty((n_tiles if keeps else 0, *size), np.float32)

        def evaluate(start: int, stop: int) -> None:
            inputs = kept[start:stop] if keeps else np.empty((stop - start, *size), np.float32)
            evaluate_tiles(grid, weights, rays, inputs, empty_tile(weights, n_columns), start, rays_per_tile, samples)

        run_tasks(
            evaluate, ranges(n_tiles, min(TILES_PER_TASK, -(-max(1, n_tiles) // (TASKS_PER_THREAD * n_threads()))))
        )
        ctx.state = rays, grid, weights, kept, samples, rays_per_tile
        return tuple(torch.from_numpy(array) for array in samples)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *cotangents: Tensor) -> tuple[Tensor | None, ...]:
        rays, grid, weights, inputs, samples, rays_per_tile = ctx.state
        given = Samples(*(np.ascontiguousarray(tensor.numpy()) for tensor in cotangents))
        sums = [np.zeros((N_PARTIAL_SUMS, *array.shape), np.float32) for array in weights[:6]]
        grad_table, grad_inputs = np.zeros_like(grid.table), np.empty_like(inputs)

        def pull(start: int, stop: int) -> None:
            tile = empty_tile(weights, inputs.shape[2])
            for i in range(start, stop):
                sum_of = Weights(*(array[i] for array in sums), *weights[6:])
                pull_tiles(weights, rays, inputs, tile, i, rays_per_tile, samples, given, sum_of, grad_inputs)

        def scatter_level(level: int) -> None:
            scatter(
                grid._replace(table=grad_table),
                level,
                inputs,
                grad_inputs,
                rays_per_tile * rays.t.shape[1],
                rays.t.size,
            )

        run_tasks(pull, ranges(N_PARTIAL_SUMS, -(-N_PARTIAL_SUMS // (TASKS_PER_THREAD * n_threads()))))
        # The finest first: they take longest.
        run_tasks(scatter_level, [(level,) for level in reversed(range(len(grid.resolutions)))])
        gradients = grad_table, *(array.sum(axis=0) for array in sums)
        return *[None] * N_CONSTANTS, *(torch.from_numpy(array) for array in gradients)
