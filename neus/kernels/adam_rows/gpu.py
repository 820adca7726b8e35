"""Adam on the touched rows of a table on a GPU, by Triton: the signature of `reference`, whose docstring holds here too.

One pass over the gradient; of blocks of rows without any, nothing else is read or written.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from neus.kernels.launch import blocks, launch, power_of_two, program_size

# Rows of a program: few enough that many blocks are untouched as a whole, where levels are sparse.
ROWS = program_size(256)


@torch.no_grad()
def adam_rows(
    parameter: Tensor,
    gradient: Tensor,
    moment1: Tensor,
    moment2: Tensor,
    learning_rate: float,
    betas: tuple[float, float],
    epsilon: float,
    step: int,
) -> None:
    """One step of Adam in place, in single precision; see `reference.adam_rows`."""
    tensors = parameter.detach(), gradient, moment1, moment2
    # Contiguous, since a copy would be changed in vain; and numbers reach kernels in single precision.
    assert all(tensor.is_contiguous() and tensor.dtype == torch.float32 for tensor in tensors)
    rate, per_correction2 = learning_rate / (1.0 - betas[0] ** step), (1.0 - betas[1] ** step) ** -0.5
    n_rows, n_features = parameter.shape
    numbers = rate, betas[0], 1.0 - betas[0], betas[1], 1.0 - betas[1], per_correction2, epsilon
    tile = {"F": n_features, "FP": power_of_two(n_features), "BLOCK": ROWS}
    launch(_step, (blocks(n_rows, ROWS),), *tensors, n_rows, *(float(number) for number in numbers), **tile)


@triton.jit(do_not_specialize=["n_rows"])
def _step(
    parameter, gradient, moment1, moment2, n_rows, rate, keep1, take1, keep2, take2, per_correction2, epsilon,
    F: tl.constexpr, FP: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Moves a block of rows and sets their gradient to zero."""
    row, f = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK), tl.arange(0, FP)[None, :]
    at, valid = row[:, None] * F + f, (row < n_rows)[:, None] & (f < F)
    change = tl.load(gradient + at, mask=valid, other=0.0)
    is_touched = tl.max((change != 0.0).to(tl.int32), 1)
    if tl.max(is_touched, 0) > 0:
        moved = valid & (is_touched[:, None] > 0)
        first = keep1 * tl.load(moment1 + at, mask=moved, other=0.0) + take1 * change
        second = keep2 * tl.load(moment2 + at, mask=moved, other=0.0) + take2 * change * change
        before = tl.load(parameter + at, mask=moved, other=0.0)
        tl.store(moment1 + at, first, mask=moved)
        tl.store(moment2 + at, second, mask=moved)
        tl.store(parameter + at, before - rate * first / (tl.sqrt(second) * per_correction2 + epsilon), mask=moved)
        tl.store(gradient + at, tl.zeros([BLOCK, FP], dtype=tl.float32), mask=moved)
