"""Frequency encoding: coordinates as sines and cosines of growing frequency."""

import torch
from torch import Tensor

# Float32 has 24 digits: waves of more octaves over the unit sphere are noise.
MAX_OCTAVES = 24


def frequency_width(n_inputs: int, n_octaves: int) -> int:
    """Number of channels that `encode_frequencies` makes.

    >>> frequency_width(3, 6)
    39
    """
    return n_inputs * (1 + 2 * n_octaves)


def encode_frequencies(x: Tensor, n_octaves: int) -> Tensor:
    """[x, sin x, cos x, sin 2x, cos 2x, ..., cos 2^(L-1) x], without a factor pi, as NeuS (after NeRF, eq. 4).

    Args:
        x: (..., D).
        n_octaves: L >= 0; 0 leaves x as it is.

    Returns:
        (..., D (1 + 2 L)).

    >>> encode_frequencies(torch.tensor([0.0]), 2)
    tensor([0., 0., 1., 0., 1.])
    """
    if n_octaves == 0:
        return x
    phases = _phases(x, n_octaves)
    waves = torch.stack([phases.sin(), phases.cos()], dim=-2)
    return torch.cat([x, waves.flatten(-3)], dim=-1)


def vjp_of_frequencies(x: Tensor, cotangents: Tensor, n_octaves: int) -> Tensor:
    """Gradient in x (..., D) of any function whose gradient in the encoding is `cotangents` (..., D (1 + 2 L)).

    The transposed Jacobian of `encode_frequencies` in closed form, itself differentiable.
    """
    if n_octaves == 0:
        return cotangents
    n = x.shape[-1]
    phases = _phases(x, n_octaves)
    waves = cotangents[..., n:].unflatten(-1, (n_octaves, 2, n))
    octaves = _octaves(x, n_octaves)
    pulled = (waves[..., 0, :] * phases.cos() - waves[..., 1, :] * phases.sin()) * octaves
    return cotangents[..., :n] + pulled.sum(-2)


def _octaves(x: Tensor, n_octaves: int) -> Tensor:
    return 2.0 ** torch.arange(n_octaves, dtype=x.dtype, device=x.device).unsqueeze(-1)


def _phases(x: Tensor, n_octaves: int) -> Tensor:
    """(..., L, D) of 2^l x."""
    return x.unsqueeze(-2) * _octaves(x, n_octaves)


def collapsed(values: Tensor) -> Tensor:
    """The same values (..., C), of size 1 along axes that they are expanded over, so that they are encoded once.

    >>> collapsed(torch.zeros(5, 1, 3).expand(5, 7, 3)).shape
    torch.Size([5, 1, 3])
    """
    for axis in range(values.dim() - 1):
        if values.stride(axis) == 0:
            values = values.narrow(axis, 0, min(1, values.shape[axis]))
    return values
