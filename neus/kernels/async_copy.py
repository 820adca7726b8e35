"""Numbers on their way to a GPU, without the CPU waiting for it."""

import torch
from torch import Tensor


def to_device_async(tensor: Tensor, device: torch.device) -> Tensor:
    """The tensor on a device. From a CPU to a CUDA device the copy is only ordered: what is ordered later finds it done.

    A plain `.to` waits until the device has done all that was ordered before, and the device then waits for the next order.

    >>> to_device_async(torch.ones(1), torch.device("cpu"))
    tensor([1.])
    """
    if device.type != "cuda" or tensor.device.type != "cpu":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)
