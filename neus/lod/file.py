"""Levels of detail in one file: plain compressed arrays (npz), read without pickle."""

import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from neus.errors import InputError
from neus.files import npz_header, written_whole
from neus.lod.field import LodLayout, LodSdf
from neus.lod.lattice import cells_of_level
from neus.lod.octree import MAX_CELLS
from neus.lod.published import read_published

VERSION = 1
# Layout: one whole number each, in this order.
_LAYOUT = ("version", "n_levels", "n_channels", "n_hidden", "base", "has_joint_decoder", "takes_position", "has_colors")
MAX_WIDTH = 1024
_AGAIN = "expected a file that `neus lod bake` wrote, or a .pth of the published NGLOD; bake it again"


def write_lod(field: LodSdf, path: Path) -> None:
    """Writes a pyramid, whole or not at all; tables whose numbers are half precision already are stored so, nothing is rounded.

    Raises:
        InputError: the file cannot be written.
    """
    layout = field.layout
    arrays: dict[str, np.ndarray] = {"layout": np.array([_fact(field, name) for name in _LAYOUT], np.int64)}
    for level, lattice in enumerate(field.lattices):
        if not lattice.is_complete:
            arrays[f"codes/{level}"] = lattice.codes.numpy().astype(np.uint32)
        arrays[f"features/{level}"] = _stored(field.features[level][:-1])
        if layout.has_colors:
            arrays[f"colors/{level}"] = _stored(field.colors[level][:-1])
    for number, decoder in enumerate(field.decoders):
        arrays |= {f"decoders/{number}/{name}": value.numpy() for name, value in decoder.state_dict().items()}
    arrays["slopes"], arrays["errors"] = field.slopes.numpy(), field.errors.numpy()
    arrays["scene_to_world"] = field.scene_to_world.numpy()
    with written_whole(path) as beside, open(beside, "wb") as file:
        np.savez_compressed(file, **arrays)


def read_lod(path: Path) -> LodSdf:
    """The pyramid in a file of `write_lod`, or a published state dict where the name ends in .pth; without gradients.

    Raises:
        InputError: no such file, another kind of file, a newer version, or arrays that do not fit each other.
    """
    path = Path(path)
    if path.suffix.lower() in (".pth", ".pt"):
        return read_published(path).requires_grad_(False)
    try:
        with np.load(path, allow_pickle=False) as archive:
            return _read(archive, str(path)).requires_grad_(False)
    except InputError:
        raise
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file; make it with `neus lod bake SOURCE --out {path.name}`.") from error
    except (OSError, ValueError, KeyError, TypeError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        reason = str(error).splitlines()[0][:80] if str(error) else type(error).__name__
        raise InputError(f"{path}: not levels of detail ({reason}); {_AGAIN}.") from error


def _fact(field: LodSdf, name: str) -> int:
    return VERSION if name == "version" else int(getattr(field, name, None) or getattr(field.layout, name, 0))


def _stored(table: Tensor) -> np.ndarray:
    table = table.detach()
    half = table.half()
    return (half if torch.equal(half.float(), table) else table).numpy()


def _read(archive: np.lib.npyio.NpzFile, where: str) -> LodSdf:
    facts = dict(zip(_LAYOUT, map(int, _array(archive, "layout", where, (len(_LAYOUT),))), strict=True))
    if facts["version"] != VERSION:
        raise InputError(f"{where}: version {facts['version']} of the format, expected {VERSION}; update this program.")
    n_levels, n_channels, n_hidden, base = (facts[name] for name in ("n_levels", "n_channels", "n_hidden", "base"))
    is_sound = 1 <= n_levels <= 16 and 0 <= base <= 16 and cells_of_level(base, n_levels - 1) <= MAX_CELLS
    if not (is_sound and 1 <= n_channels <= MAX_WIDTH and 1 <= n_hidden <= MAX_WIDTH):
        raise InputError(f"{where}: a layout of {facts}, which is out of range; {_AGAIN}.")
    codes = [_codes(archive, where, level, cells_of_level(base, level)) for level in range(n_levels)]
    flags = {name: bool(facts[name]) for name in ("has_joint_decoder", "takes_position", "has_colors")}
    field = LodSdf(LodLayout(codes, n_channels, n_hidden, base, **flags))
    with torch.no_grad():
        for kind, tables in (("features", field.features), ("colors", field.colors)):
            for level, table in enumerate(tables):
                shape = (len(table) - 1, table.shape[1])
                table[:-1] = torch.from_numpy(_array(archive, f"{kind}/{level}", where, shape).astype(np.float32))
        for number, decoder in enumerate(field.decoders):
            for name, value in decoder.state_dict().items():
                value.copy_(torch.from_numpy(_array(archive, f"decoders/{number}/{name}", where, tuple(value.shape))))
    field.slopes = torch.from_numpy(_array(archive, "slopes", where, (n_levels,)))
    field.errors = torch.from_numpy(_array(archive, "errors", where, (n_levels,)))
    field.scene_to_world = torch.from_numpy(_array(archive, "scene_to_world", where, (4, 4)))
    if not all(value.isfinite().all() for value in [*field.parameters(), field.slopes, field.scene_to_world]):
        raise InputError(f"{where}: some numbers are NaN or infinite; {_AGAIN}.")
    return field


def _codes(archive: Mapping, where: str, level: int, cells: int) -> Tensor | None:
    name = f"codes/{level}"
    if name not in archive.files:
        return None
    shape, _ = npz_header(archive, name)
    n_all = (cells + 1) ** 3
    if len(shape) != 1 or shape[0] > n_all:
        raise InputError(f"{where}: {name} has shape {shape}, expected at most {n_all} numbers; {_AGAIN}.")
    codes = torch.from_numpy(archive[name].astype(np.int64))
    if len(codes) and (int(codes[0]) < 0 or int(codes[-1]) >= n_all or bool((codes.diff() <= 0).any())):
        raise InputError(f"{where}: {name} are no ascending numbers below {n_all}; {_AGAIN}.")
    return codes


def _array(archive: np.lib.npyio.NpzFile, name: str, where: str, shape: tuple[int, ...]) -> np.ndarray:
    found, dtype = npz_header(archive, name)
    if found != shape or dtype.kind not in "fiu":
        raise InputError(f"{where}: {name} has shape {found} of {dtype}, expected {shape}; {_AGAIN}.")
    return archive[name]
