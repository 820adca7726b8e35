"""The fused step on a CPU: tiles shared out among threads, then the table's gradient level by level.

No two threads write to the same address and every sum has one order, so the numbers are the same to the bit whatever the number of
threads.
"""

import threading

import numpy as np

from neus.kernels.fused_step.arguments import (
    N_SUMS,
    ColorWeights,
    Gradients,
    Grid,
    Networks,
    Pixels,
    Rays,
    Samples,
    ShellConstants,
    ShellRays,
    ShellSamplesArguments,
    ShellTraceResult,
    StepConstants,
    SurfaceWeights,
)
from neus.kernels.fused_step.cpu.passes import render_range, sdf_partial_sum, shade_range, train_partial_sums
from neus.kernels.fused_step.cpu.tables import scatter, scatter_features
from neus.kernels.fused_step.cpu.tile import TILE, Tile, empty_tile
from neus.kernels.fused_step.cpu.trace import empty_ray_slots, trace_range
from neus.kernels.threads import n_threads, ranges, run_tasks

# Sums of gradients that are added up in turn; more than the cores of most machines, few enough to cost nothing.
N_PARTIAL_SUMS = 16
POINTS_PER_TASK = 8192
TASKS_PER_THREAD, TILES_PER_TASK = 2, 64
# The last rays of a task share a tile that is not full.
RAYS_TRACED_PER_TASK = 8192
# Shapes of tiles that a thread keeps the memory of.
TILES_KEPT = 4
_local = threading.local()


def train_rays(
    grid: Grid,
    color_grid: Grid,
    surface: SurfaceWeights,
    color: ColorWeights,
    rays: Rays,
    scales: StepConstants,
    grad_table: np.ndarray,
    grad_color_table: np.ndarray,
) -> tuple[Pixels, Samples, Gradients]:
    """Pixels of rays, and the gradient of NeuS's loss in everything.

    Args:
        grid, color_grid, surface, color: the model, padded as `arguments` says; a color_grid without levels is none.
        rays: N rays of K intervals with their truth.
        scales: sharpness, annealing, weights of the terms.
        grad_table, grad_color_table: (rows, F), added to.

    Returns:
        Pixels, the samples with their distances and normals, and the gradients of all layers (float32, except the sums of the
        losses, float64).
    """
    n, n_intervals = len(rays.edges), rays.edges.shape[1] - 1
    n_channels = len(grid.resolutions) * grid.table.shape[1]
    n_color_channels = len(color_grid.resolutions) * color_grid.table.shape[1]
    pixels = _empty_pixels(n, color)
    samples = _empty_samples(n * n_intervals + len(rays.offsets), n_channels, n_color_channels)
    gradients, networks = _zero_gradients(surface, color), Networks(grid, color_grid, surface, color)
    rays_per_tile = max(1, TILE // n_intervals)

    def train(start: int, stop: int) -> None:
        tile = _tile(rays_per_tile * n_intervals, n_channels, surface, color)
        offsets = _tile(rays_per_tile, n_channels, surface, _NO_COLOR)
        train_partial_sums(networks, rays, scales, tile, offsets, start, stop, rays_per_tile, pixels, samples, gradients)

    def add_to_table(level: int, is_color: bool) -> None:
        if is_color:
            scatter_features(color_grid, level, samples, grad_color_table)
        else:
            scatter(grid, level, samples, grad_table)

    # Handing a model over takes a fraction of a millisecond: few tasks, but more than threads, of which one may be held up.
    run_tasks(train, ranges(N_PARTIAL_SUMS, -(-N_PARTIAL_SUMS // (TASKS_PER_THREAD * n_threads()))))
    levels = [(level, False) for level in range(len(grid.resolutions))]
    levels += [(level, True) for level in range(len(color_grid.resolutions))]
    # Finest first: those take longest.
    run_tasks(add_to_table, sorted(levels, reverse=True))
    return pixels, samples, Gradients(*(partial_sums.sum(axis=0) for partial_sums in gradients))


def render(
    grid: Grid, color_grid: Grid, surface: SurfaceWeights, color: ColorWeights, rays: Rays, scales: StepConstants
) -> Pixels:
    """Pixels of rays, without gradients."""
    n_intervals = rays.edges.shape[1] - 1
    n_channels = len(grid.resolutions) * grid.table.shape[1]
    pixels = _empty_pixels(len(rays.edges), color)
    rays_per_tile, networks = max(1, TILE // n_intervals), Networks(grid, color_grid, surface, color)

    def draw(start: int, stop: int) -> None:
        tile = _tile(rays_per_tile * n_intervals, n_channels, surface, color)
        render_range(networks, rays, scales, tile, start, stop, rays_per_tile, pixels)

    run_tasks(draw, ranges(len(rays.edges), rays_per_tile * TILES_PER_TASK))
    return pixels


def distances(grid: Grid, surface: SurfaceWeights, points: np.ndarray) -> np.ndarray:
    """(M,) signed distances at points (M, 3), float32."""
    out = np.empty(len(points), np.float32)
    n_channels = len(grid.resolutions) * grid.table.shape[1]

    def evaluate(start: int, stop: int) -> None:
        tile = _tile(TILE, n_channels, surface, _NO_COLOR)
        sdf_partial_sum(grid, surface, tile, points, start, stop, out)

    run_tasks(evaluate, ranges(len(points), POINTS_PER_TASK))
    return out


def shade(
    grid: Grid, color_grid: Grid, surface: SurfaceWeights, color: ColorWeights, sample_points: ShellSamplesArguments
) -> tuple[np.ndarray, np.ndarray]:
    """Mean colours (N, 3) and mean gradients (N, 3) of the points of N rays."""
    n, n_samples = sample_points.t.shape
    rays_per_tile, n_channels = max(1, TILE // n_samples), len(grid.resolutions) * grid.table.shape[1]
    networks, rgb, normals = (
        Networks(grid, color_grid, surface, color),
        *(np.empty((n, 3), np.float32) for _ in range(2)),
    )

    def shade_some(start: int, stop: int) -> None:
        tile = _tile(rays_per_tile * n_samples, n_channels, surface, color)
        shade_range(networks, sample_points, tile, start, stop, rays_per_tile, rgb, normals)

    run_tasks(shade_some, ranges(n, rays_per_tile * TILES_PER_TASK))
    return rgb, normals


def trace(
    grid: Grid, surface: SurfaceWeights, rays: ShellRays, scales: ShellConstants, n_samples: int
) -> tuple[ShellTraceResult, int]:
    """What N rays meet on their way through the shell, with n_samples quantiles each, and the evaluations this took."""
    n, n_channels = len(rays.start), len(grid.resolutions) * grid.table.shape[1]
    visible = ShellTraceResult(
        np.zeros((n, n_samples), np.float32), np.ones(n, np.float32), np.zeros(n, np.bool_), np.zeros(n, np.bool_)
    )
    evaluations = []

    def trace_some(start: int, stop: int) -> None:
        tile, partial_sums = _tile(TILE, n_channels, surface, _NO_COLOR), empty_ray_slots(TILE, scales.max_queries)
        evaluations.append(trace_range(grid, surface, rays, scales, tile, partial_sums, start, stop, visible))

    run_tasks(trace_some, ranges(n, RAYS_TRACED_PER_TASK))
    return visible, sum(evaluations)


def _tile(n: int, n_channels: int, surface: SurfaceWeights, color: ColorWeights) -> Tile:
    """This thread's tile, kept from call to call: fresh memory costs more than the work on it."""
    key = (n, n_channels, surface.w1.shape, surface.w2.shape, color.first.shape, color.hidden.shape)
    tiles = _local.__dict__.setdefault("tiles", {})
    if key not in tiles:
        while len(tiles) >= TILES_KEPT:
            tiles.pop(next(iter(tiles)))
        tiles[key] = empty_tile(n, n_channels, surface, color)
    return tiles[key]


def _empty_pixels(n: int, color: ColorWeights) -> Pixels:
    shapes = ((n, 3), (n,), (n,), (n, 3), (n,), (n, color.first.shape[0]), (n, 3))
    return Pixels(*(np.zeros(shape, np.float32) for shape in shapes))


def _empty_samples(m: int, n_channels: int, n_color_channels: int) -> Samples:
    shapes = ((3, m), (3, m), (m,), (n_channels, m), (n_channels, m), (3, m))
    arrays = [np.empty(shape, np.float32) for shape in shapes]
    return Samples(*arrays, np.empty(m, np.bool_), np.empty((n_color_channels, m), np.float32))


def _zero_gradients(surface: SurfaceWeights, color: ColorWeights) -> Gradients:
    """Zeros for every lane, (N_PARTIAL_SUMS, ...)."""
    like = (
        surface.w1,
        surface.b1,
        surface.w2,
        surface.b2,
        color.first,
        color.hidden,
        color.hidden_b,
        color.last,
        color.last_b,
    )
    arrays = [np.zeros((N_PARTIAL_SUMS, *x.shape), np.float32) for x in like]
    return Gradients(*arrays, np.zeros((N_PARTIAL_SUMS, N_SUMS), np.float64))


_NO_COLOR = ColorWeights(
    *(np.zeros(shape, np.float32) for shape in ((4, 8), (0, 4, 4), (0, 4), (4, 4), (4,), (8, 4), (0, 4, 4), (4, 4)))
)
