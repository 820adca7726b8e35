"""Shape priors from start to end: data, training, meshes; plain arguments, paths and numbers returned."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import trimesh
from torch import Tensor

from neus.errors import InputError
from neus.files import check_can_write
from neus.meshing.files import write_mesh
from neus.reports.shape_sheet import Cell, shape_sheet
from neus.runs.build import pick_device
from neus.runs.console import QUIET, Console
from neus.scenes.images import write_image
from neus.shapes.data_folder import TRAIN, DataResult, write_family_data, write_mesh_data
from neus.shapes.defaults import family_specs, network_of
from neus.shapes.families import family_of
from neus.shapes.measures import field_mesh
from neus.shapes.prior import Prior, load_prior
from neus.shapes.specs import Specs, read_specs
from neus.shapes.splits import SAMPLES, read_split
from neus.shapes.train import Progress, TrainResult, train_prior
from neus.training.hooks import clock_time

# Shapes on the image that training leaves, and the lattice of their meshes.
SHOWN, SHOWN_RESOLUTION, SHOWN_COLUMNS = 12, 96, 6
# Lines about a training: one for each tenth of it.
TOLD = 10


@dataclass(frozen=True)
class NetworkSize:
    """How large a decoder is: hidden width and layers, code length, softplus sharpness (0: ReLU), truncation d."""

    width: int = 128
    layers: int = 4
    code: int = 16
    softplus: float = 0.0
    truncation: float = 0.1


def make_data(
    out: Path, families: Sequence[str] = (), meshes: Path | None = None, n_train: int = 200, n_test: int = 50, n_samples: int = 24_000,
    sign: str = "winding", seed: int = 0, console: Console = QUIET,
) -> DataResult:  # fmt: skip
    """Writes a data folder of closed-form families or of meshes; lines about each mesh go to the console.

    Raises:
        InputError: neither or both, bad meshes, or a folder in use.
    """
    if bool(families) == (meshes is not None):
        raise InputError("prior data: give a folder of meshes or --family, one of both.")
    for family in families:
        if family != "all":
            family_of(family)
    check_can_write(out / "probe")
    with console.bar("shapes", " shapes") as progress:
        if meshes is None:
            result = write_family_data(out, families, n_train, n_test, n_samples, seed, progress)
        else:
            result = write_mesh_data(out, meshes, sign, n_test, n_samples, seed, progress)
    for note in result.notes:
        console.message(note)
    return result


def specs_for(data: Path | None, run: Path, specs: Path | None, size: NetworkSize, seed: int) -> Specs:
    """Those of a file, or such as suit a family in minutes.

    Raises:
        InputError: neither data nor specs, or no data folder.
    """
    if specs is not None:
        return read_specs(specs)
    if data is None:
        raise InputError("prior train: give a data folder, or --specs specs.json.")
    if not (data / SAMPLES).is_dir():
        raise InputError(f"{data}: no {SAMPLES} in it; make data with `neus prior data`, or give --specs of a published experiment.")
    n_shapes = len(read_split(data / TRAIN))
    return family_specs(data, run, network_of(size.width, size.layers, size.code, size.softplus), seed, size.truncation, n_shapes)


def train(
    run: Path, data: Path | None = None, specs: Path | None = None, minutes: float | None = None, resume: bool = False,
    size: NetworkSize | None = None, seed: int = 0, device: str = "cpu", console: Console = QUIET, epochs: int | None = None,
    up: str | None = None,
) -> TrainResult:  # fmt: skip
    """Trains a prior and leaves RUN in the published layout, with an image of twelve of its shapes, RUN/shapes.png.

    Args:
        run: its folder.
        data: folder of `make_data`; or `specs`: a specs.json that names one.
        minutes: of training; None: the epochs of the specs, or `epochs`.
        resume: go on with what is in RUN.
        size: of the network where no specs are given.
        seed, device: of torch.
        console: a line for each tenth of the way.
        epochs: in place of those of the specs.
        up: axis of the shapes that points up in images, y or z; None: as the specs say, else z.

    Raises:
        InputError: bad data or folder; TrainingDiverged: the loss stopped being a number.
    """
    check_can_write(run / "probe")
    wanted = read_specs(run) if resume else specs_for(data, run, specs, size or NetworkSize(), seed)
    if up is not None:
        wanted = wanted.with_keys(Up=up)
    if epochs is not None:
        wanted = wanted.with_keys(NumEpochs=epochs)
    result = train_prior(wanted, run, minutes, resume, str(pick_device(device)), _Teller(console))
    for note in result.notes:
        console.warn(note)
    if not result.stopped:
        prior = load_prior(run)
        write_image(run / "shapes.png", family_image(prior))
    return result


class _Teller:
    """Says how far a training is, once for each tenth of it."""

    def __init__(self, console: Console) -> None:
        self.console, self.told = console, 0

    def __call__(self, progress: Progress) -> None:
        tenth = int(TOLD * progress.fraction)
        if tenth > self.told:
            self.told = tenth
            self.console.message(
                f"{100 * tenth // TOLD} %: step {progress.step}, loss {progress.loss:.5f}, "
                f"{progress.points_per_second / 1000:.0f} k samples/s, {clock_time(progress.seconds_left)} left"
            )


def family_image(prior: Prior, n: int = SHOWN) -> np.ndarray:
    """(H, W, 3) uint8: up to n training shapes, spread evenly over the codes."""
    numbers = sorted({round(i) for i in np.linspace(0, len(prior.codes) - 1, min(n, len(prior.codes)))})
    cells = [cell_of(prior, prior.codes[i], [prior.names[i].split("/")[-1]], SHOWN_RESOLUTION) for i in numbers]
    return shape_sheet([cells[i : i + SHOWN_COLUMNS] for i in range(0, len(cells), SHOWN_COLUMNS)], prior.specs["Up"])


def cell_of(prior: Prior, code: Tensor, captions: Sequence[str], resolution: int = SHOWN_RESOLUTION) -> Cell:
    """The shape of a code on a sheet; an empty place where it has no surface."""
    try:
        return Cell(field_mesh(prior.field(code), resolution), captions)
    except InputError:
        return Cell(None, [*captions, "no surface"])


def mesh_shape(
    run: Path, out: Path, shape: str | None = None, code: Path | None = None, resolution: int = 256, epoch: str = "latest"
) -> trimesh.Trimesh:
    """Writes the mesh of a training shape, or of a code in a file, in the normalised frame; any experiment folder will do.

    Raises:
        InputError: no such shape, a code of another length, no surface, or a file that cannot be written.
    """
    check_can_write(out)
    if (shape is None) == (code is None):
        raise InputError("prior mesh: give --shape or --code, one of both.")
    prior = load_prior(run, epoch)
    z = prior.codes[prior.shape_number(shape)] if shape is not None else prior.code_of_file(code)
    mesh = field_mesh(prior.field(z), resolution)
    write_mesh(mesh, out, resolution=resolution)
    return mesh


def plain(value: Any) -> Any:
    """Tensors and numpy values as plain ones, for JSON."""
    if isinstance(value, torch.Tensor | np.ndarray):
        return value.tolist()
    return value.item() if isinstance(value, np.generic) else value
