"""Models that the published NGLOD program has written: bare state dicts, whose layout is in the shapes of their tensors."""

import math
import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from neus.errors import InputError
from neus.lod.distill import SLOPE_SAMPLES, measure_slopes, sample_points
from neus.lod.field import LodLayout, LodSdf

_FEATURES, _DECODER = re.compile(r"features\.(\d+)\.fm"), re.compile(r"louts\.(\d+)\.0\.weight")
_AGAIN = "expected a state dict of NGLOD with features.0.fm and louts.0.0.weight; save it again with torch.save(net.state_dict(), ...)."


def read_published(path: Path) -> LodSdf:
    """The model in a published `.pth` file; nothing in the file is executed.

    Raises:
        InputError: no such file, or something else in it.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}); give a .pth file.") from error
    except Exception as error:  # unpickling raises whatever it meets
        raise InputError(f"{path}: not a file of weights alone ({str(error).splitlines()[0][:80]}); {_AGAIN}") from error
    if not isinstance(state, Mapping):
        raise InputError(f"{path}: holds a {type(state).__name__}; {_AGAIN}")
    return model_from_state(state, str(path))


def model_from_state(state: Mapping[str, Tensor], where: str) -> LodSdf:
    """The model with these weights. Channels, width, levels and base are those of the tensors; `where` begins error messages.

    A single decoder serves all levels (`joint_decoder`); one without three inputs for the point sees features alone (`pos_invariant`).
    """
    volumes, n_decoders = _numbered(state, _FEATURES), len(_numbered(state, _DECODER))
    if not volumes or n_decoders not in (1, len(volumes)) or "louts.0.0.weight" not in state:
        raise InputError(f"{where}: {len(volumes)} feature volumes and {n_decoders} decoders; {_AGAIN}")
    tensors = [*volumes, state["louts.0.0.weight"]]
    if [getattr(value, "ndim", 0) for value in tensors] != [5] * len(volumes) + [2]:
        raise InputError(f"{where}: features or decoders are no tensors of five and of two dimensions; {_AGAIN}")
    base = _base_of(volumes, where)
    n_hidden, d_in = state["louts.0.0.weight"].shape
    n_channels = volumes[0].shape[1]
    if d_in not in (n_channels, n_channels + 3):
        raise InputError(
            f"{where}: decoders of {d_in} inputs over {n_channels} channels, expected {n_channels} or {n_channels + 3}; models "
            "trained with positional encoding (--pos-enc, --ff-dim) are not supported."
        )
    layout = LodLayout(
        [None] * len(volumes), n_channels, n_hidden, base, n_decoders < len(volumes), takes_position=d_in > n_channels
    )
    field = LodSdf(layout)
    with torch.no_grad():
        for table, volume in zip(field.features, volumes, strict=True):
            table[:-1] = volume[0].flatten(1).T
    for number, decoder in enumerate(field.decoders):
        names = {name: f"louts.{number}.{name}" for name in decoder.state_dict()}
        try:
            decoder.load_state_dict({name: state[place] for name, place in names.items()})
        except (KeyError, RuntimeError) as error:
            raise InputError(f"{where}: decoder {number} is incomplete or of another width; {_AGAIN}") from error
    anywhere = sample_points(SLOPE_SAMPLES, None, 1, torch.Generator().manual_seed(0))
    measure_slopes(field, anywhere)
    return field


def _numbered(state: Mapping[str, Tensor], pattern: re.Pattern) -> list[Tensor]:
    found = {int(match[1]): value for name, value in state.items() if (match := pattern.fullmatch(name))}
    return [found[number] for number in sorted(found)]


def _base_of(volumes: list[Tensor], where: str) -> int:
    """Level 0 has 2^base cells along each side, every further level twice as many as the one before."""
    sides = [volume.shape[-1] - 1 for volume in volumes]
    base = round(math.log2(max(sides[0], 1)))
    wanted = [(1, volumes[0].shape[1], *[2 ** (base + k) + 1] * 3) for k in range(len(volumes))]
    if [tuple(volume.shape) for volume in volumes] != wanted:
        found = ", ".join("x".join(map(str, volume.shape)) for volume in volumes)
        raise InputError(f"{where}: feature volumes {found}, expected cubes of 2^(l + base) + 1 corners along each side; {_AGAIN}")
    return base
