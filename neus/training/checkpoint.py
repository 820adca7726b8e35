"""Checkpoints: everything a run needs to go on as if it had never stopped, in files that are whole or not there.

The keys of the published NeuS (`nerf`, `sdf_network_fine`, `variance_network_fine`, `color_network_fine`, `optimizer`, `iter_step`)
hold its networks under its parameter names; one key of our own, `neus`, holds the rest. Published networks think in BGR:
`rgb_from_bgr` turns their last layers round at the door, and back again for export.
"""

import re
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from neus.errors import InputError
from neus.fields.distance_correction import DistanceCorrection
from neus.files import written_whole
from neus.rendering.model import Model

# Version of the layout of the key `neus`.
FORMAT = 1
# Parts of the model under the names of published checkpoints, in the order of the published optimiser's parameters.
PARTS = {
    "nerf": "nerf",
    "sdf_network_fine": "sdf_network",
    "variance_network_fine": "sharpness",
    "color_network_fine": "color_network",
}
_NUMPY_SCALARS = [
    np.dtype,
    np.core.multiarray.scalar if hasattr(np, "core") and not hasattr(np, "_core") else np._core.multiarray.scalar,
    *{type(np.dtype(kind)) for kind in "?bhilqBHILQefd"},
]
# The type that torch's loader names in its refusal.
_REFUSED = re.compile(r"Unsupported (?:global: GLOBAL|class) ([\w.]+)")


def checkpoint_name(iteration: int) -> str:
    """The file name of published checkpoints.

    >>> checkpoint_name(300)
    'ckpt_000300.pth'
    """
    return f"ckpt_{iteration:06d}.pth"


def iteration_of(path: Path) -> int:
    """The iteration in a checkpoint's name, -1 if it is none."""
    digits = path.stem.removeprefix("ckpt_")
    return int(digits) if path.suffix == ".pth" and path.stem != digits and digits.isdigit() else -1


def checkpoints_in(folder: Path) -> list[Path]:
    """The checkpoints of a folder, oldest first, by iteration."""
    return sorted((p for p in folder.glob("ckpt_*.pth") if iteration_of(p) >= 0), key=iteration_of)


def save_checkpoint(
    path: Path, model: Model, optimizer: torch.optim.Optimizer, iteration: int, extra: dict[str, Any]
) -> None:
    """Writes a checkpoint; `extra` (tensors, numbers, strings, lists and dicts) goes under the key `neus`."""
    content = {key: getattr(model, part).state_dict() for key, part in PARTS.items()}
    content |= {"optimizer": optimizer.state_dict(), "iter_step": iteration, "neus": {"format": FORMAT, **extra}}
    with written_whole(path) as beside:
        try:
            torch.save(content, beside)
        except RuntimeError as error:  # what torch makes of a full disk
            raise OSError(str(error).splitlines()[0]) from error


def delete_old_checkpoints(folder: Path, keep: int) -> None:
    """Removes all but the `keep` newest checkpoints of a folder; 0 keeps all."""
    for path in checkpoints_in(folder)[:-keep] if keep else []:
        path.unlink()


def read_checkpoint(path: Path) -> dict[str, Any]:
    """The content of a checkpoint, ours or published, with colours in RGB; nothing in it is executed.

    Raises:
        InputError: no such file, truncated, not a checkpoint, or made by a newer version.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such checkpoint; give a .pth file, or a run folder with checkpoints/ in it.")
    try:
        # Scalars of numpy are plain numbers, which other programs put beside their tensors.
        with torch.serialization.safe_globals(_NUMPY_SCALARS):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file makes the unpickler raise nearly anything
        if refused := _REFUSED.search(str(error)):
            raise InputError(
                f"{path}: holds a {refused[1]}, which could run code when it is loaded; expected tensors, numbers and text alone. "
                "Save its networks again as state dictionaries."
            ) from error
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(
            f"{path}: not a readable checkpoint, truncated or of another kind ({reason[:80]}); use an older one."
        ) from error
    content = _with_known_names(content)
    missing = [key for key in [*PARTS, "iter_step"] if not isinstance(content, dict) or key not in content]
    if missing:
        raise InputError(
            f"{path}: not a NeuS checkpoint, it has no {missing[0]!r}; expected the keys {', '.join(PARTS)}, iter_step."
        )
    if not all(isinstance(content[key], dict) for key in PARTS):
        raise InputError(f"{path}: not a NeuS checkpoint, its networks are no state dictionaries; use another one.")
    if "neus" not in content:
        return rgb_from_bgr(content)
    if content["neus"].get("format") != FORMAT:
        raise InputError(
            f"{path}: checkpoint format {content['neus'].get('format')}, expected {FORMAT}; update the project."
        )
    return content


def _with_known_names(content: Any) -> Any:
    """The same with the names of parameters that this program has: of several GPUs, and of torch's newer weight normalisation."""
    if not isinstance(content, dict):
        return content
    known = {"parametrizations.weight.original0": "weight_g", "parametrizations.weight.original1": "weight_v"}

    def named(name: str) -> str:
        name = name.removeprefix("module.")
        return next((name.replace(new, old) for new, old in known.items() if name.endswith(new)), name)

    return content | {
        part: {named(name): value for name, value in content[part].items()}
        for part in PARTS
        if isinstance(content.get(part), dict)
    }


def load_parameters(model: Model, content: dict[str, Any], path: Path) -> None:
    """Puts the parameters of a checkpoint into a model, and the correction of its distances, if there is one.

    Raises:
        InputError: the checkpoint belongs to another config; the first tensor that differs is named.
    """
    for key, part in PARTS.items():
        network: nn.Module = getattr(model, part)
        expected, found = network.state_dict(), content[key]
        for name in [*expected, *(n for n in found if n not in expected)]:
            want = tuple(expected[name].shape) if name in expected else "no such tensor"
            have = tuple(found[name].shape) if name in found else "no such tensor"
            if want != have:
                raise InputError(
                    f"{path}: {key}/{name}: found {have}, the config makes {want}; give the config that the checkpoint was trained with."
                )
        network.load_state_dict(found)
    correction = content.get("neus", {}).get("correction")
    model.correction = None if correction is None else DistanceCorrection.of_state(correction)


def load_optimizer(optimizer: torch.optim.Optimizer, content: dict[str, Any], path: Path) -> None:
    """Puts the moments of a checkpoint into an optimiser; InputError if they belong to other parameters."""
    try:
        optimizer.load_state_dict(content["optimizer"])
    except (KeyError, ValueError) as error:
        raise InputError(
            f"{path}: its optimiser does not fit the model ({error}); give the config it was trained with."
        ) from error


def rgb_from_bgr(content: dict[str, Any]) -> dict[str, Any]:
    """A published checkpoint with the colours of its networks and optimiser turned from BGR to RGB; its own inverse."""
    swapped = dict(content)
    layers = {name.split(".")[0] for name in content["color_network_fine"]}
    last = max(layers, key=lambda layer: (len(layer), layer), default="")  # lin10 comes after lin9
    for key, layer in (("color_network_fine", last), ("nerf", "rgb_linear")):
        swapped[key] = {
            name: _reversed_rows(tensor) if name.split(".")[0] == layer else tensor
            for name, tensor in content[key].items()
        }
    if "optimizer" in content:
        swapped["optimizer"] = _reversed_moments(content, last)
    return swapped


def published_checkpoint(content: dict[str, Any]) -> dict[str, Any]:
    """One of our checkpoints (from `read_checkpoint`) as the published code reads it: its keys alone, colours in BGR.

    Raises:
        InputError: its surface is a hash grid, which the published code does not know.
    """
    if "grid.table" in content["sdf_network_fine"]:
        raise InputError(
            "model.surface = hash: the published NeuS has no hash grid; export a model with model.surface = mlp."
        )
    return {key: value for key, value in rgb_from_bgr(content).items() if key != "neus"}


def _reversed_moments(content: dict[str, Any], last_color_layer: str) -> dict[str, Any]:
    names = [(key, name) for key in PARTS for name in content[key]]
    colored = {
        i
        for i, (key, name) in enumerate(names)
        if (key, name.split(".")[0]) in (("color_network_fine", last_color_layer), ("nerf", "rgb_linear"))
    }
    optimizer = dict(content["optimizer"])
    optimizer["state"] = {
        i: {
            name: _reversed_rows(value) if i in colored and name != "step" else value for name, value in moments.items()
        }
        for i, moments in optimizer.get("state", {}).items()
    }
    return optimizer


def _reversed_rows(tensor: Tensor | float) -> Tensor | float:
    return tensor.flip(0) if isinstance(tensor, Tensor) and tensor.dim() > 0 else tensor
