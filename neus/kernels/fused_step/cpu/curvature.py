"""Curvature of the surface at a tile's rays and the gradient of its loss; `losses.curvature_loss` is the same in torch."""

import numpy as np

from neus.kernels.fused_step.arguments import SUM_CURVATURE, Rays, StepConstants
from neus.kernels.fused_step.cpu.matmul import ONE, TWO, ZERO, compiled
from neus.kernels.fused_step.cpu.tile import Tile


@compiled
def offset_samples(rays: Rays, scales: StepConstants, tile: Tile, offsets: Tile, first_ray: int, n_rays: int) -> None:
    """Fills the points of `offsets`, a step from each ray's sample nearest to the surface; `visible` is that sample, -1 if none is near."""
    n_intervals = rays.edges.shape[1] - 1
    for r in range(n_rays):
        nearest = r * n_intervals
        for i in range(nearest + 1, nearest + n_intervals):
            if abs(tile.out[0, i]) < abs(tile.out[0, nearest]):
                nearest = i
        offsets.visible[r] = nearest if abs(tile.out[0, nearest]) < scales.curvature_reach else -1
        offsets.place[r] = -1
        for axis in range(3):
            offsets.inputs[axis, r] = tile.inputs[axis, nearest] + rays.offsets[first_ray + r, axis]


@compiled
def curvature_gradients(scales: StepConstants, tile: Tile, offsets: Tile, n_rays: int, sums: np.ndarray) -> None:
    """Adds to the samples' grad_normals, and fills those of the offset points."""
    per_edge = ONE / (scales.curvature_edge * scales.curvature_edge)
    for r in range(n_rays):
        i = offsets.visible[r]
        offsets.grad_normals[0, r] = offsets.grad_normals[1, r] = offsets.grad_normals[2, r] = ZERO
        if i < 0:
            continue
        square = ZERO
        for axis in range(3):
            apart = tile.normals[axis, i] - offsets.normals[axis, r]
            square += apart * apart
        easing = ONE / (ONE + square * per_edge)
        sums[SUM_CURVATURE] += square * easing
        for axis in range(3):
            slope = TWO * scales.curvature * easing * easing * (tile.normals[axis, i] - offsets.normals[axis, r])
            tile.grad_normals[axis, i] += slope
            offsets.grad_normals[axis, r] = -slope
