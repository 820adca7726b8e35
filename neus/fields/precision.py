"""How exactly the products of the networks' matrices are computed; all else, weights included, stays in single precision."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

# `tf32` rounds the factors of products to 10 bits after the point, `bfloat16` to 7, single precision has 23; sums are kept in
# single precision. Both have its range, so that no loss is scaled; float16, which has not, is not offered.
PRECISIONS = ("float32", "tf32", "bfloat16")
# GPUs from this compute capability on (Ampere) have both.
OLDEST_CAPABILITY = (8, 0)


def why_not_precision(precision: str, device: torch.device) -> str:
    """What keeps products from a precision on a device, for a message; empty if nothing does.

    >>> why_not_precision("tf32", torch.device("cpu"))
    'only CUDA devices have tf32, the model is on cpu'
    """
    if precision == "float32" or (precision == "bfloat16" and device.type == "cpu"):
        return ""
    if device.type != "cuda":
        return f"only CUDA devices{' and CPUs' if precision == 'bfloat16' else ''} have {precision}, the model is on {device}"
    capability = torch.cuda.get_device_capability(device)
    if capability < OLDEST_CAPABILITY:
        return f"the GPU's compute capability {capability[0]}.{capability[1]} is below 8.0, from which on there is {precision}"
    return ""


@contextmanager
def products_in(precision: str, device: torch.device) -> Iterator[None]:
    """Within it, networks on a device multiply in one of `PRECISIONS`, and still give their results in the type of their inputs.

    Steps run in it together with their backward pass. Meshes, images and checkpoints are computed outside, in single precision.
    """
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
    try:
        # Without its cache of rounded weights: a recorded step would keep using those of the time of its recording.
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16", cache_enabled=False):
            yield
    finally:
        torch.set_float32_matmul_precision(before)
