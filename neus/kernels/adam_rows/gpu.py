"""Adam on the touched rows of a table on a GPU, by Triton: the signature of `reference`, whose docstring holds here too.

One pass over the gradient; of blocks of rows without any, nothing else is read or written.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from neus.kernels.adam_rows.reference import bias_corrections
from neus.kernels.launch import blocks, launch, power_of_two, program_size

# Rows of a program: few enough that many blocks are untouched as a whole, where levels are sparse.
ROWS = program_size(256)


@torch.no_grad()
def adam_rows(
    parameter: Tensor,
    gradient: Tensor,
    moment1: Tensor,
    moment2: Tensor,
    row_steps: Tensor,
    learning_rate: float,
    betas: tuple[float, float],
    epsilon: float,
) -> None:
    """One step of Adam in place, in single precision; see `reference.adam_rows`."""
    tensors = parameter.detach(), gradient, moment1, moment2
    # Contiguous, since a copy would be changed in vain; and numbers reach kernels in single precision.
    assert all(tensor.is_contiguous() and tensor.dtype == torch.float32 for tensor in tensors)
    assert row_steps.is_contiguous() and row_steps.dtype == torch.int16
    corrections = bias_corrections(betas, parameter.dtype, parameter.device)
    n_rows, n_features = parameter.shape
    numbers = learning_rate, betas[0], 1.0 - betas[0], betas[1], 1.0 - betas[1], epsilon
    tile = {"F": n_features, "FP": power_of_two(n_features), "BLOCK": ROWS, "LAST": corrections.shape[1] - 1}
    arguments = *tensors, row_steps, corrections, n_rows, *(float(number) for number in numbers)
    launch(_step, (blocks(n_rows, ROWS),), *arguments, **tile)


@triton.jit(do_not_specialize=["n_rows"])
def _step(
    parameter, gradient, moment1, moment2, row_steps, corrections, n_rows, learning_rate, keep1, take1, keep2, take2, epsilon,
    F: tl.constexpr, FP: tl.constexpr, BLOCK: tl.constexpr, LAST: tl.constexpr,
):  # fmt: skip
    """Moves a block of rows, counts their step and sets their gradient to zero."""
    row, f = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK), tl.arange(0, FP)[None, :]
    at, valid = row[:, None] * F + f, (row < n_rows)[:, None] & (f < F)
    change = tl.load(gradient + at, mask=valid, other=0.0)
    is_touched = tl.max((change != 0.0).to(tl.int32), 1)
    if tl.max(is_touched, 0) > 0:
        moved, counted = valid & (is_touched[:, None] > 0), is_touched > 0
        steps = tl.load(row_steps + row, mask=counted, other=0).to(tl.int32) + 1
        steps = tl.minimum(tl.maximum(steps, 1), LAST)
        tl.store(row_steps + row, steps.to(tl.int16), mask=counted)
        rate = learning_rate * tl.load(corrections + steps, mask=counted, other=1.0)[:, None]
        correction2 = tl.load(corrections + (LAST + 1) + steps, mask=counted, other=1.0)[:, None]
        first = keep1 * tl.load(moment1 + at, mask=moved, other=0.0) + take1 * change
        second = keep2 * tl.load(moment2 + at, mask=moved, other=0.0) + take2 * change * change
        before = tl.load(parameter + at, mask=moved, other=0.0)
        tl.store(moment1 + at, first, mask=moved)
        tl.store(moment2 + at, second, mask=moved)
        tl.store(parameter + at, before - rate * first / (tl.sqrt(second) * correction2 + epsilon), mask=moved)
        tl.store(gradient + at, tl.zeros([BLOCK, FP], dtype=tl.float32), mask=moved)
