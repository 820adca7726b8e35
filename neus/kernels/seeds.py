"""Random numbers where they are used, from one source whose state a checkpoint keeps."""

import torch
from torch import Generator

_LARGEST_SEED = 2**62


def generator_on(device: torch.device, source: Generator) -> Generator:
    """A generator on a device, seeded by the next number of `source`; `source` itself if it is there.

    The same state of the source is followed by the same numbers, so a resumed run needs no other state.

    >>> source = torch.Generator().manual_seed(1)
    >>> generator_on(torch.device("cpu"), source) is source
    True
    """
    if source.device.type == device.type:
        return source
    seed = int(torch.randint(_LARGEST_SEED, (), generator=source, device=source.device))
    return Generator(device).manual_seed(seed)
