"""Files of a published DeepSDF experiment folder: weights, codes, optimiser, logs. Nothing in them is executed."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from neus.errors import InputError
from neus.fields.latent_sdf import LatentSdf
from neus.files import written_whole

MODELS, CODES, OPTIMIZERS = "ModelParameters", "LatentCodes", "OptimizerParameters"
# What torch's data-parallel wrapper puts before every name.
PREFIX = "module."
# Weight normalisation under the names of newer torch.
RENAMED = {"parametrizations.weight.original0": "weight_g", "parametrizations.weight.original1": "weight_v"}


def read_torch_file(path: Path) -> Any:
    """The content of a .pth file, of today's or torch's legacy container: tensors, numbers and text alone.

    Raises:
        InputError: missing, damaged, or holding code.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file; expected an experiment folder with ModelParameters/ and LatentCodes/.")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file makes the unpickler raise nearly anything
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path}: no readable torch file of tensors ({reason[:80]}); export it again.") from error


def write_torch_file(path: Path, content: Any) -> None:
    """Writes a .pth file, whole or not at all."""
    with written_whole(path) as beside:
        torch.save(content, beside)


def checkpoint_names(folder: Path) -> list[str]:
    """Names of the saved states of an experiment: numbers of epochs, ascending, then `latest`."""
    stems = {path.stem for path in (folder / MODELS).glob("*.pth")}
    return sorted((s for s in stems if s.isdigit()), key=int) + (["latest"] if "latest" in stems else [])


def saved_file(folder: Path, kind: str, epoch: str) -> Path:
    """The file of one kind at an epoch; the newest one there is if `latest` is asked for and has no file of that name."""
    path = folder / kind / f"{epoch}.pth"
    names = checkpoint_names(folder)
    if path.is_file() or not names:
        return path
    if epoch == "latest":
        return folder / kind / f"{names[-1]}.pth"
    raise InputError(f"{path}: no such file; the experiment has {', '.join(names)}.")


def load_weights(decoder: LatentSdf, path: Path) -> int:
    """Puts the weights of `ModelParameters/E.pth` into a decoder; returns the epoch.

    Raises:
        InputError: damaged, or of other sizes than the specs say; the first tensor that differs is named.
    """
    content = read_torch_file(path)
    state = content.get("model_state_dict") if isinstance(content, dict) else None
    if not isinstance(state, dict):
        raise InputError(f"{path}: has no model_state_dict, expected the weights of a DeepSDF experiment.")
    found = {_known_name(name): value for name, value in state.items()}
    for name, value in decoder.state_dict().items():
        have = tuple(found[name].shape) if name in found else "no such tensor"
        if have != tuple(value.shape):
            raise InputError(f"{path}: {name}: found {have}, specs.json makes {tuple(value.shape)}; the two do not belong together.")
    decoder.load_state_dict({name: found[name] for name in decoder.state_dict()})
    return int(content.get("epoch", 0))


def _known_name(name: str) -> str:
    name = name.removeprefix(PREFIX)
    return next((name.replace(new, old) for new, old in RENAMED.items() if name.endswith(new)), name)


def read_codes(path: Path) -> Tensor:
    """(N, L) codes of `LatentCodes/E.pth`, today's or the older kind, or of a code file of `Reconstructions`.

    Raises:
        InputError: damaged, or no codes.
    """
    content = read_torch_file(path)
    codes = content.get("latent_codes") if isinstance(content, dict) else content
    if isinstance(codes, dict):
        codes = codes.get("weight")
    if not isinstance(codes, Tensor) or codes.dim() not in (1, 2, 3):
        raise InputError(f"{path}: holds no codes, expected a tensor (N, L), or (N, 1, L) as older programs have.")
    codes = codes.detach().float()
    return codes.reshape(-1, codes.shape[-1]) if codes.numel() else codes.reshape(codes.shape[0], codes.shape[-1])


def weights_content(decoder: LatentSdf, epoch: int) -> dict[str, Any]:
    """The content of `ModelParameters/E.pth`."""
    return {"epoch": epoch, "model_state_dict": {PREFIX + name: value for name, value in decoder.state_dict().items()}}


def codes_content(codes: Tensor, epoch: int) -> dict[str, Any]:
    """The content of `LatentCodes/E.pth` of codes (N, L)."""
    return {"epoch": epoch, "latent_codes": {"weight": codes.detach().cpu().clone()}}


def code_path(folder: Path, epoch: str | int, name: str) -> Path:
    """Where the published program keeps the code fitted to shape DATASET/CLASS/INSTANCE."""
    return folder / "Reconstructions" / str(epoch) / "Codes" / f"{name}.pth"


def write_code(path: Path, code: Tensor) -> None:
    """Writes a fitted code (L,) as the published program does: a tensor (1, 1, L)."""
    write_torch_file(path, code.detach().cpu().reshape(1, 1, -1).clone())
