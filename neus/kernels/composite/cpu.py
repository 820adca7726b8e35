"""Compositing on a CPU: compiled loops with the signature of `reference`, whose docstrings hold here too.

Rays are independent of each other, so the numbers are the same to the bit whatever the number of threads. Differentiable once.
"""

from typing import Any

import numpy as np
import torch
from numba import njit
from torch import Tensor
from torch.autograd.function import once_differentiable

from neus.kernels.composite.reference import TRANSMITTANCE_FLOOR
from neus.kernels.threads import ranges, run_tasks

# Rays handled at a time: a task of a few tens of microseconds.
RAYS_PER_TASK = 256
_compiled = njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})


def composite(alphas: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """Weights (N, S) and sums (N, C); see `reference.composite`."""
    return _Composite.apply(alphas, values)


class _Composite(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, alphas: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(alphas, values)
        given = _array(alphas), _array(values)
        weights = np.empty_like(given[0])
        sums = np.zeros((len(given[1]), given[1].shape[2]), given[1].dtype)

        def add_up(start: int, stop: int) -> None:
            _add_up(*given, _floor(weights), start, stop, weights, sums)

        run_tasks(add_up, ranges(len(weights), RAYS_PER_TASK))
        return torch.from_numpy(weights), torch.from_numpy(sums)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_weights: Tensor, grad_sums: Tensor) -> tuple[Tensor, Tensor]:
        given = *(_array(tensor) for tensor in ctx.saved_tensors), _array(grad_weights), _array(grad_sums)
        grad_alphas, grad_values = np.empty_like(given[0]), np.empty_like(given[1])

        def pull(start: int, stop: int) -> None:
            _vjp(*given, _floor(grad_alphas), start, stop, grad_alphas, grad_values)

        run_tasks(pull, ranges(len(grad_alphas), RAYS_PER_TASK))
        return torch.from_numpy(grad_alphas), torch.from_numpy(grad_values)


def _array(tensor: Tensor) -> np.ndarray:
    return np.ascontiguousarray(tensor.detach().numpy())


def _floor(like: np.ndarray) -> np.floating:
    return like.dtype.type(TRANSMITTANCE_FLOOR)


@_compiled
def _add_up(alphas, values, floor, start, stop, weights, sums):
    """Fills weights, and adds to sums, of rays start ... stop."""
    one = alphas.dtype.type(1)
    for m in range(start, stop):
        light = one
        for i in range(alphas.shape[1]):
            alpha = alphas[m, i]
            weight = alpha * light
            weights[m, i] = weight
            light *= one - alpha + floor
            for c in range(values.shape[2]):
                sums[m, c] += weight * values[m, i, c]


@_compiled
def _vjp(alphas, values, grad_weights, grad_sums, floor, start, stop, grad_alphas, grad_values):
    """Fills both gradients of rays start ... stop.

    With q_i the gradient in w_i from both outputs, and behind_i = sum_{j>i} q_j alpha_j prod_{i<l<j} (1 - alpha_l) what a ray
    with all its light would gain behind interval i, the gradient in alpha_i is T_i (q_i - behind_i). Nothing is divided by
    what passes an interval, which may be nothing.
    """
    one = alphas.dtype.type(1)
    n = alphas.shape[1]
    lights = np.empty(n, alphas.dtype)
    for m in range(start, stop):
        light = one
        for i in range(n):
            lights[i] = light
            light *= one - alphas[m, i] + floor
        behind = one - one
        for i in range(n - 1, -1, -1):
            alpha = alphas[m, i]
            weight = alpha * lights[i]
            gain = grad_weights[m, i]
            for c in range(values.shape[2]):
                gain += grad_sums[m, c] * values[m, i, c]
                grad_values[m, i, c] = weight * grad_sums[m, c]
            grad_alphas[m, i] = lights[i] * (gain - behind)
            behind = gain * alpha + (one - alpha + floor) * behind
