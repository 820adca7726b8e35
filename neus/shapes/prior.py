"""A trained family of shapes: decoder and codes, from an experiment folder, ours or a published one."""

import functools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from neus.errors import InputError
from neus.fields.latent_sdf import LatentField, LatentSdf
from neus.shapes.experiment_files import CODES, MODELS, load_weights, read_codes, saved_file
from neus.shapes.specs import Specs, read_specs
from neus.shapes.splits import found_path, read_split


@dataclass(frozen=True, eq=False)
class Prior:
    """A decoder and the codes of the shapes it was trained on.

    Attributes:
        specs: of the experiment.
        decoder: in evaluation mode, parameters frozen.
        codes: (N, L).
        names: of the shapes, DATASET/CLASS/INSTANCE; `shape_0`... where the split is not at hand.
        folder: it was read from.
        epoch: of the saved state.
    """

    specs: Specs
    decoder: LatentSdf
    codes: Tensor
    names: list[str]
    folder: Path
    epoch: int = 0

    @property
    def truncation(self) -> float:
        """d: beyond it values are no distances."""
        return self.specs.truncation

    def field(self, code: Tensor) -> LatentField:
        """The shape of a code (L,) as a `SurfaceField` in the normalised frame, within the unit ball."""
        return LatentField(self.decoder, code.to(self.codes), self.truncation)

    @functools.cached_property
    def mean_code(self) -> Tensor:
        """(L,) of the training codes."""
        return self.codes.mean(dim=0) if len(self.codes) else self.codes.new_zeros(self.codes.shape[1])

    @functools.cached_property
    def spread(self) -> Tensor:
        """(L, L) S: code = mean + S w, where w of the training codes has covariance one; shrunk where codes are few.

        The covariance is (1 - a) C + a tr(C) / L, a = L / (N + L): with fewer codes than dimensions C alone is singular, and a
        code could not leave the plane of the training codes.
        """
        n, length = self.codes.shape
        if n < 2 or length == 0:
            return torch.eye(length)
        centered = (self.codes - self.mean_code).double()
        covariance = centered.T @ centered / n
        part = length / (n + length)
        shrunk = (1.0 - part) * covariance + part * covariance.trace() / length * torch.eye(length, dtype=torch.float64)
        values, vectors = torch.linalg.eigh(shrunk)
        return (vectors * values.clamp_min(1e-12).sqrt()).float()

    def shape_number(self, text: str) -> int:
        """The number of a training shape, given by number or by (the end of) its name.

        Raises:
            InputError: there is none.
        """
        if text.lstrip("-").isdigit():
            number = int(text)
            if 0 <= number < len(self.codes):
                return number
            raise InputError(f"{self.folder}: no shape {number}; it has shapes 0 to {len(self.codes) - 1}.")
        found = [i for i, name in enumerate(self.names) if name == text or name.endswith("/" + text)]
        if len(found) != 1:
            raise InputError(f"{self.folder}: {len(found)} shapes are named {text!r}, expected one; give its number.")
        return found[0]

    def code_of_file(self, path: Path) -> Tensor:
        """(L,) a code from .npy, .npz (array `code`) or the published .pth.

        Raises:
            InputError: missing, damaged, or of another length.
        """
        length = self.codes.shape[1]
        if path.suffix.lower() == ".pth":
            code = read_codes(path).reshape(-1)
        else:
            try:
                content = np.load(path, allow_pickle=False)
                array = content["code"] if path.suffix.lower() == ".npz" else content
                code = torch.from_numpy(np.asarray(array, np.float32).reshape(-1))
            except Exception as error:
                raise InputError(f"{path}: no readable code ({str(error)[:80]}); expected {length} numbers in .npy or .pth.") from error
        if len(code) != length or not bool(code.isfinite().all()):
            raise InputError(f"{path}: holds {len(code)} numbers, expected {length} finite ones: the prior's code length.")
        return code


def load_prior(folder: Path, epoch: str = "latest", device: str = "cpu") -> Prior:
    """The prior in an experiment folder.

    Args:
        folder: with `specs.json`, `ModelParameters` and `LatentCodes`.
        epoch: which saved state, a number or `latest`.
        device: where it is evaluated.

    Raises:
        InputError: no experiment, damaged, or files that do not belong together.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; give one that `neus prior train --run` made, or a published experiment.")
    specs = read_specs(folder)
    decoder = LatentSdf(specs.network)
    found = load_weights(decoder, saved_file(folder, MODELS, epoch))
    codes_path = saved_file(folder, CODES, epoch)
    codes = read_codes(codes_path)
    if codes.shape[1] != specs.network.code_length:
        raise InputError(f"{codes_path}: codes of length {codes.shape[1]}, specs.json has CodeLength {specs.network.code_length}.")
    decoder.eval().requires_grad_(False).to(device)
    names = _names(specs, folder, len(codes))
    return Prior(specs, decoder, codes.to(device), names, folder, found)


def _names(specs: Specs, folder: Path, n: int) -> list[str]:
    """Those of the training split, if it is at hand and of the same length."""
    try:
        names = read_split(found_path(specs["TrainSplit"], folder))
    except InputError:
        names = []
    return names if len(names) == n else [f"shape_{i}" for i in range(n)]
