"""The fused step on a GPU: eight Triton kernels with the samples in global memory between them.

The functions are those of `cpu.step`, their arguments tensors on the GPU instead of arrays; so are the
numbers of `StepConstants`, one float32 after the other. What a kernel would have to read back it
computes again where that is less to read: hidden units and look-ups of the surface. Between the kernels a sample of a surface
with G outputs and a colour network of width H' takes 4 (21 + 2 G) bytes, and 4 H' for each of its layers if it is visible.

Gradients of layers are added up by atomics in `N_PARTIAL_SUMS` sums, those of tables straight into the table: their last digits may
differ from run to run.
"""

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor

from neus.kernels.fused_step.arguments import (
    N_SUMS,
    SUM_CURVATURE,
    ColorWeights,
    Gradients,
    Grid,
    Pixels,
    Rays,
    Samples,
    StepConstants,
    SurfaceWeights,
)
from neus.kernels.fused_step.gpu.color import color_backward, color_forward
from neus.kernels.fused_step.gpu.rays import composite, compute_weights, list_visible, loss_and_gradient, sample_points
from neus.kernels.fused_step.gpu.surface import surface_backward, surface_forward
from neus.kernels.launch import blocks, launch, power_of_two, program_size

# Precisions of the factors of products: exact; TensorFloat-32, as it is or in three parts that make up for its short mantissa;
# bfloat16, whose range is that of single precision, so that no loss needs scaling. Sums and weights are always exact.
PRECISIONS = ("ieee", "tf32x3", "tf32", "bfloat16")
# Sums that a layer's gradient is added up in: enough that programs seldom meet in one.
N_PARTIAL_SUMS = 16
# Samples of a program with products; of a program without; rays of a program. Products want at least 16 rows and columns.
SAMPLES, PLAIN_SAMPLES, RAYS = program_size(32, 256), program_size(256), program_size(32)
LEAST_SIDE = 16
# Threads of a program with products, in groups of 32: compiled for sm_90 in exact precision so many spill least, 96 bytes in one
# kernel of four; half as many, or twice the samples, spill more. Which is fastest was not measured.
WARPS = 8


class _Evaluated(NamedTuple):
    """What a pass forwards leaves of M samples: see `surface`, `rays` and `color`; mean_rgb (3, N) is of rays."""

    points: Tensor
    sdf: Tensor
    out: Tensor
    normals: Tensor
    alphas: Tensor
    transmittance: Tensor
    is_visible: Tensor
    visible: Tensor
    n_visible: Tensor
    rgb: Tensor
    activations: Tensor
    mean_rgb: Tensor


def train_rays(
    grid: Grid,
    color_grid: Grid,
    surface: SurfaceWeights,
    color: ColorWeights,
    rays: Rays,
    scales: Tensor,
    grad_table: Tensor,
    grad_color_table: Tensor,
    precision: str = "ieee",
) -> tuple[Pixels, Samples, Gradients]:
    """Pixels of rays, and the gradient of NeuS's loss in everything; see `cpu.step.train_rays`.

    Rays with a mask below zero are left out: they take part in nothing, as if they were not there.
    Samples have no cotangents and no gradients of channels: those are used up where they arise.
    """
    visible = _evaluate(grid, color_grid, surface, color, rays, scales, precision, keep=True)
    n, n_intervals, m = *_sizes(rays), len(visible.sdf)
    pixels = _draw(rays, visible, color)
    flat, layers = _empty_gradients(surface, color, rays.edges.device)
    sums, grad_rgb = rays.edges.new_zeros(N_SUMS, n), torch.empty_like(visible.rgb)
    grad_out, grad_normals = torch.zeros_like(visible.out), torch.empty_like(visible.normals)
    of_rays = rays.directions, rays.edges, rays.colors, rays.masks, rays.background
    of_samples = visible.sdf, visible.normals, visible.alphas, visible.transmittance, visible.is_visible, visible.rgb, visible.mean_rgb
    filled = pixels.rgb, pixels.opacity, sums, pixels.grad_background, grad_rgb, grad_out, grad_normals
    sizes = n, n_intervals
    tile = {"G": visible.out.shape[1], "BLOCK": RAYS, "num_warps": 1}
    launch(loss_and_gradient, (blocks(n, RAYS),), *of_rays, *of_samples, *filled, scales, *sizes, **tile)

    partial_sums = N_PARTIAL_SUMS, flat.shape[1]
    given = visible.points, visible.normals, visible.out, visible.visible, visible.n_visible, *color_grid[:4]
    given += color.first, color.hidden, color.last, visible.activations, grad_rgb
    given += grad_out, grad_normals, pixels.grad_color_bias, grad_color_table, *layers[4:]
    sizes = _color_sizes(color_grid, surface, color, m, n_intervals)
    constants = _color_constants(color_grid, surface, color, precision)
    launch(color_backward, (blocks(m, SAMPLES),), *given, *sizes, *partial_sums, **constants)

    recorded_samples, parts = (visible.points, visible.sdf, visible.normals), [(visible.points, grad_out, grad_normals)]
    if len(rays.offsets) > 0:
        offsets, slopes = _curvature_gradients(
            grid, surface, rays, scales, visible, grad_normals, sums[SUM_CURVATURE], precision
        )
        parts.append((offsets[0], grad_out.new_zeros(n, visible.out.shape[1]), slopes))
        recorded_samples = (torch.cat(pair, dim=-1) for pair in zip(recorded_samples, offsets, strict=True))
    for points, by_out, by_normals in parts:
        size = points.shape[1]
        given = points, *grid[:4], surface.w1, surface.b1, surface.w2, by_out, by_normals, grad_table, *layers[:4]
        numbers = float(surface.squareplus_b), int(grid.hash_mask), surface.w1.shape[1], size, _n_channels(grid), *partial_sums
        launch(surface_backward, (blocks(size, SAMPLES),), *given, *numbers, **_constants(grid, surface, precision))
    (points, sdf, normals), nothing = recorded_samples, visible.points[:0]
    samples = Samples(points, normals, sdf, nothing, nothing, grad_normals, visible.is_visible.bool(), nothing)
    return pixels, samples, Gradients(*_summed(flat, layers), sums.double().sum(1))


def _curvature_gradients(
    grid: Grid,
    surface: SurfaceWeights,
    rays: Rays,
    scales: Tensor,
    visible: _Evaluated,
    grad_normals: Tensor,
    sums: Tensor,
    precision: str,
) -> tuple[tuple[Tensor, Tensor, Tensor], Tensor]:
    """The curvature of each ray in `sums` (N,), its gradient added to grad_normals; see `cpu.curvature`.

    Returns:
        Points (3, N) beside the samples nearest to the surface, signed distances (N,) and raw gradients (3, N) there; derivatives in
        the latter.
    """
    (n, n_intervals), numbers = _sizes(rays), StepConstants(*scales.unbind())
    distance, nearest = visible.sdf.view(n, n_intervals).abs().min(dim=1)
    at = torch.arange(n, device=nearest.device) * n_intervals + nearest
    is_near = (distance < numbers.curvature_reach) & (rays.masks >= 0.0)
    points = (visible.points[:, at] + rays.offsets.t()).contiguous()
    sdf, out, normals = torch.empty_like(distance), visible.out.new_empty(n, visible.out.shape[1]), torch.empty_like(points)
    _surface(grid, surface, points, (n, 1), (sdf, out, normals), precision, is_alone=False)
    apart = visible.normals[:, at] - normals
    square = apart.square().sum(dim=0)
    easing = is_near / (1.0 + square / numbers.curvature_edge**2)
    sums += square * easing
    slopes = 2.0 * numbers.curvature * easing.square() * apart
    grad_normals[:, at] += slopes
    return (points, sdf, normals), -slopes


def render(
    grid: Grid,
    color_grid: Grid,
    surface: SurfaceWeights,
    color: ColorWeights,
    rays: Rays,
    scales: Tensor,
    precision: str = "ieee",
) -> Pixels:
    """Pixels of rays, without gradients."""
    return _draw(rays, _evaluate(grid, color_grid, surface, color, rays, scales, precision, keep=False), color)


def distances(grid: Grid, surface: SurfaceWeights, points: Tensor, precision: str = "ieee") -> Tensor:
    """(M,) signed distances at points (M, 3), float32."""
    sdf = points.new_empty(len(points))
    _surface(grid, surface, points.contiguous(), (1, 3), (sdf, sdf, sdf), precision, is_alone=True)
    return sdf


def _evaluate(
    grid: Grid,
    color_grid: Grid,
    surface: SurfaceWeights,
    color: ColorWeights,
    rays: Rays,
    scales: Tensor,
    precision: str,
    keep: bool,
) -> _Evaluated:
    """Forwards, up to the colours of samples; `keep` keeps what the backward pass needs."""
    assert precision in PRECISIONS, precision
    (n, n_intervals), new = _sizes(rays), rays.edges.new_empty
    m = n * n_intervals
    points, sdf, out, normals = new(3, m), new(m), new(m, surface.w2.shape[0]), new(3, m)
    launch(
        sample_points, (blocks(m, PLAIN_SAMPLES),), rays.origins, rays.directions, rays.edges, points, n_intervals, m,
        BLOCK=PLAIN_SAMPLES,
    )  # fmt: skip
    _surface(grid, surface, points, (m, 1), (sdf, out, normals), precision, is_alone=False)
    alphas, transmittance, is_visible = new(m), new(m), new(m, dtype=torch.int32)
    launch(
        compute_weights, (blocks(n, RAYS),), rays.directions, rays.edges, rays.masks, sdf, normals, alphas, transmittance, is_visible,
        scales, n, n_intervals, BLOCK=RAYS, num_warps=1,
    )  # fmt: skip
    ends, visible = is_visible.cumsum(0, dtype=torch.int32), torch.empty_like(is_visible)
    launch(list_visible, (blocks(m, PLAIN_SAMPLES),), is_visible, ends, visible, m, BLOCK=PLAIN_SAMPLES)
    rgb, kept = new(3, m), new(len(color.hidden) + 1 if keep else 0, m, color.first.shape[0])
    launch(
        color_forward, (blocks(m, SAMPLES),), points, normals, out, visible, ends[-1:], *color_grid[:4], rays.color_bias,
        color.first, color.hidden, color.hidden_b, color.last, color.last_b, kept, rgb,
        *_color_sizes(color_grid, surface, color, m, n_intervals), KEEP=keep,
        **_color_constants(color_grid, surface, color, precision),
    )  # fmt: skip
    return _Evaluated(
        points, sdf, out, normals, alphas, transmittance, is_visible, visible, ends[-1:], rgb, kept, new(3, n)
    )  # fmt: skip


def _surface(
    grid: Grid,
    surface: SurfaceWeights,
    points: Tensor,
    strides: tuple[int, int],
    outputs: tuple[Tensor, Tensor, Tensor],
    precision: str,
    is_alone: bool,
) -> None:
    """Fills distances, outputs and normals, or distances alone, at points with such strides by axis and by point."""
    n = len(outputs[0])
    layers = surface.w1, surface.b1, surface.w2, surface.b2
    numbers = float(surface.squareplus_b), int(grid.hash_mask), surface.w1.shape[1], n, _n_channels(grid), *strides
    launch(
        surface_forward, (blocks(n, SAMPLES),), points, *grid[:4], *layers, *outputs, *numbers,
        DISTANCE_ALONE=is_alone, **_constants(grid, surface, precision),
    )  # fmt: skip


def _draw(rays: Rays, visible: _Evaluated, color: ColorWeights) -> Pixels:
    n, n_intervals = _sizes(rays)
    new = rays.edges.new_empty
    grad_bias = rays.edges.new_zeros(n, color.first.shape[0])
    pixels = Pixels(new(n, 3), new(n), new(n), new(n, 3), new(n), grad_bias, new(n, 3))
    given = rays.edges, rays.background, visible.normals, visible.alphas, visible.transmittance, visible.is_visible, visible.rgb
    tile = {"BLOCK": RAYS, "num_warps": 1}
    launch(composite, (blocks(n, RAYS),), *given, *pixels[:5], visible.mean_rgb, n, n_intervals, **tile)
    return pixels


def _sizes(rays: Rays) -> tuple[int, int]:
    return rays.edges.shape[0], rays.edges.shape[1] - 1


def _n_channels(grid: Grid) -> int:
    return len(grid.resolutions) * grid.table.shape[1]


def _constants(grid: Grid, surface: SurfaceWeights, precision: str) -> dict[str, Any]:
    """What the surface's kernels are compiled for."""
    g, h = surface.w2.shape
    widths = {"CP": power_of_two(_n_channels(grid), LEAST_SIDE), "H": h, "HP": power_of_two(h, LEAST_SIDE)}
    widths |= {"F": grid.table.shape[1], "G": g, "GP": power_of_two(g, LEAST_SIDE)}
    return {**widths, "PRECISION": precision, "BLOCK": SAMPLES, "num_warps": WARPS}


def _color_sizes(grid: Grid, surface: SurfaceWeights, color: ColorWeights, m: int, n_intervals: int) -> tuple[int, ...]:
    return int(grid.hash_mask), color.first.shape[1], m, n_intervals, surface.n_features, _n_channels(grid)


def _color_constants(grid: Grid, surface: SurfaceWeights, color: ColorWeights, precision: str) -> dict[str, Any]:
    """What the colour network's kernels are compiled for."""
    widths = _constants(grid, surface, precision)
    h = color.first.shape[0]
    widths |= {"H": h, "HP": power_of_two(h, LEAST_SIDE)}
    return {**widths, "N_HIDDEN": len(color.hidden), "HAS_GRID": _n_channels(grid) > 0}


def _empty_gradients(surface: SurfaceWeights, color: ColorWeights, device: torch.device) -> tuple[Tensor, list[Tensor]]:
    """Zeros (N_PARTIAL_SUMS, ...) for all layers in one piece, and for each layer its part of the first lane, in the layer's shape."""
    layers = *surface[:4], *color[:5]
    flat = torch.zeros(N_PARTIAL_SUMS, sum(layer.numel() for layer in layers), device=device)
    parts = flat[0].split([layer.numel() for layer in layers])
    return flat, [part.view(layer.shape) for part, layer in zip(parts, layers, strict=True)]


def _summed(flat: Tensor, layers: list[Tensor]) -> list[Tensor]:
    total = flat.sum(0).split([math.prod(layer.shape) for layer in layers])
    return [part.view(layer.shape) for part, layer in zip(total, layers, strict=True)]
