"""Compositing on a GPU, by Triton: the signature of `reference`, whose docstrings hold here too.

One program goes along the intervals of a block of rays. Nothing is added up across rays, so the numbers are the same every time.
Differentiable once.
"""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import once_differentiable

from neus.kernels.composite.reference import TRANSMITTANCE_FLOOR
from neus.kernels.launch import blocks, launch, power_of_two, program_size

# Rays of a program: few, since a step has only thousands of rays and a GPU has hundreds of CPUs.
RAYS = program_size(32)
_FLOOR = tl.constexpr(TRANSMITTANCE_FLOOR)


def composite(alphas: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """Weights (N, S) and sums (N, C); see `reference.composite`."""
    return _Composite.apply(alphas, values)


class _Composite(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, alphas: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        alphas, values = alphas.detach().contiguous(), values.detach().contiguous()
        weights, lights = torch.empty_like(alphas), torch.empty_like(alphas)
        sums = values.new_zeros(len(values), values.shape[2])
        ctx.save_for_backward(alphas, values, lights)
        launch(
            _add_up,
            (blocks(len(alphas), RAYS),),
            alphas,
            values,
            weights,
            lights,
            sums,
            *_sizes(values),
            **_tile(values),
        )
        return weights, sums

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_weights: Tensor, grad_sums: Tensor) -> tuple[Tensor, Tensor]:
        alphas, values, lights = ctx.saved_tensors
        grad_alphas, grad_values = torch.empty_like(alphas), torch.empty_like(values)
        given = alphas, values, lights, grad_weights.contiguous(), grad_sums.contiguous(), grad_alphas, grad_values
        launch(_vjp, (blocks(len(alphas), RAYS),), *given, *_sizes(values), **_tile(values))
        return grad_alphas, grad_values


def _sizes(values: Tensor) -> tuple[int, int]:
    return values.shape[0], values.shape[1]


def _tile(values: Tensor) -> dict[str, int]:
    n_channels = values.shape[2]
    return {"C": n_channels, "CP": power_of_two(n_channels), "BLOCK": RAYS, "num_warps": 1}


@triton.jit(do_not_specialize=["n_rays", "n_intervals"])
def _add_up(
    alphas, values, weights, lights, sums, n_rays, n_intervals, C: tl.constexpr, CP: tl.constexpr, BLOCK: tl.constexpr
):
    """Fills weights and lights (N, S), what reaches each interval, and sums (N, C) of a block of rays."""
    ray = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    c = tl.arange(0, CP)[None, :]
    here = ray < n_rays
    valid = here[:, None] & (c < C)
    light = tl.full([BLOCK], 1.0, dtype=alphas.dtype.element_ty)
    total = tl.zeros([BLOCK, CP], dtype=alphas.dtype.element_ty)
    for interval in range(n_intervals):
        at = ray * n_intervals + interval
        alpha = tl.load(alphas + at, mask=here, other=0.0)
        weight = alpha * light
        tl.store(weights + at, weight, mask=here)
        tl.store(lights + at, light, mask=here)
        light = light * (1.0 - alpha + _FLOOR)
        total += weight[:, None] * tl.load(values + at[:, None] * C + c, mask=valid, other=0.0)
    tl.store(sums + ray[:, None] * C + c, total, mask=valid)


@triton.jit(do_not_specialize=["n_rays", "n_intervals"])
def _vjp(
    alphas, values, lights, grad_weights, grad_sums, grad_alphas, grad_values, n_rays, n_intervals,
    C: tl.constexpr, CP: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Fills both gradients of a block of rays, from their ends to their starts; see `cpu._vjp` for the formula."""
    ray = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    c = tl.arange(0, CP)[None, :]
    here = ray < n_rays
    valid = here[:, None] & (c < C)
    grad_sum = tl.load(grad_sums + ray[:, None] * C + c, mask=valid, other=0.0)
    behind = tl.zeros([BLOCK], dtype=alphas.dtype.element_ty)
    for passed in range(n_intervals):
        at = ray * n_intervals + (n_intervals - 1 - passed)
        alpha, light = tl.load(alphas + at, mask=here, other=0.0), tl.load(lights + at, mask=here, other=0.0)
        value = tl.load(values + at[:, None] * C + c, mask=valid, other=0.0)
        gain = tl.load(grad_weights + at, mask=here, other=0.0) + tl.sum(grad_sum * value, 1)
        tl.store(grad_values + at[:, None] * C + c, (alpha * light)[:, None] * grad_sum, mask=valid)
        tl.store(grad_alphas + at, light * (gain - behind), mask=here)
        behind = gain * alpha + (1.0 - alpha + _FLOOR) * behind
