"""Signed distance samples of shapes: the files of `SdfSamples`, and batches drawn from many of them."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from neus.errors import InputError
from neus.files import written_whole


class ShapeSamples(NamedTuple):
    """Samples of one shape: rows x, y, z, s in the normalised frame.

    Attributes:
        positive: (P, 4), s > 0, outside.
        negative: (N, 4), s <= 0, inside.
    """

    positive: Tensor
    negative: Tensor

    @property
    def all(self) -> Tensor:
        """(P + N, 4)."""
        return torch.cat([self.positive, self.negative])


def read_samples(path: Path) -> ShapeSamples:
    """The samples in a file of `SdfSamples`: arrays `pos` and `neg`; rows with NaN are dropped, as published.

    Raises:
        InputError: missing, damaged, arrays of another shape, or signs the other way round.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file; expected samples with arrays pos and neg, as `neus prior data` writes them.")
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = [archive[name] for name in ("pos", "neg")]
    except KeyError as error:
        raise InputError(f"{path}: has no array {error.args[0].split()[0]!r}, expected pos and neg, (n, 4) each.") from error
    except Exception as error:  # damaged archives raise nearly anything
        raise InputError(f"{path}: no readable .npz ({str(error).splitlines()[0][:80]}); make it again.") from error
    for name, array in zip(("pos", "neg"), arrays, strict=True):
        if array.ndim != 2 or array.shape[1] != 4:
            raise InputError(f"{path}: {name} has shape {array.shape}, expected (n, 4): x, y, z, distance.")
    positive, negative = (torch.from_numpy(array.astype(np.float32)) for array in arrays)
    positive, negative = (rows[rows.isfinite().all(dim=1)] for rows in (positive, negative))
    if len(negative) and float(negative[:, 3].max()) > 0.0 and float(negative[:, 3].median()) > 0.0:
        raise InputError(f"{path}: distances of `neg` are positive, expected the inside there, negative; exchange the arrays.")
    return ShapeSamples(positive, negative)


def write_samples(path: Path, samples: ShapeSamples) -> None:
    """Writes `pos` and `neg`, whole or not at all."""
    with written_whole(path) as beside:
        with open(beside, "wb") as file:
            np.savez(file, pos=samples.positive.numpy(), neg=samples.negative.numpy())


def samples_of(points: Tensor, sdf: Tensor) -> ShapeSamples:
    """Samples from points (n, 3) and their signed distances (n,), told apart by sign."""
    rows = torch.cat([points.float(), sdf.float().unsqueeze(1)], dim=1)
    return ShapeSamples(rows[sdf > 0], rows[sdf <= 0])


class SamplePool:
    """Samples of many shapes in two tensors, from which batches are drawn at once.

    Both sides of every shape must be there: half of a batch comes from each.
    """

    def __init__(self, samples: Sequence[ShapeSamples], names: Sequence[str], device: torch.device | str = "cpu") -> None:
        for name, (positive, negative) in zip(names, samples, strict=True):
            if len(positive) == 0 or len(negative) == 0:
                side = "outside (pos)" if len(positive) == 0 else "inside (neg)"
                raise InputError(f"{name}: has no samples {side}, expected some on both sides; leave the shape out of the split.")
        self.n_shapes = len(samples)
        self.sides = tuple(torch.cat(side).to(device) for side in zip(*samples, strict=True))
        self.counts = torch.tensor([[len(side) for side in sample] for sample in samples], device=device).T
        self.firsts = self.counts.cumsum(dim=1) - self.counts

    def draw(self, shapes: Tensor, n: int, generator: torch.Generator) -> Tensor:
        """(B, n, 4): for each of the shapes (B,) n samples, half of them outside, then half inside, with replacement."""
        parts = []
        for side, counts, firsts, size in zip(self.sides, self.counts, self.firsts, (n - n // 2, n // 2), strict=True):
            # One random number a sample, whatever the device, so that a seed means the same everywhere.
            places = torch.rand(len(shapes), size, generator=generator).to(side.device)
            limits = counts[shapes].unsqueeze(1)
            rows = (places * limits).long().minimum(limits - 1) + firsts[shapes].unsqueeze(1)
            parts.append(side[rows])
        return torch.cat(parts, dim=1)
