"""What is known about the shapes of a data folder: exact distances of families, meshes of mesh folders, or samples alone."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from neus.errors import InputError
from neus.evaluation.sampling import sample_mesh
from neus.shapes.data_folder import pulled_points, shape_facts
from neus.shapes.families import family_shape
from neus.shapes.mesh_sources import source_meshes
from neus.shapes.prior import Prior
from neus.shapes.samples import ShapeSamples, read_samples
from neus.shapes.splits import SAMPLES, found_path, read_split, sample_path


@dataclass(frozen=True, eq=False)
class Truth:
    """A shape that is known exactly, in the normalised frame.

    Attributes:
        name: DATASET/CLASS/INSTANCE.
        sdf: points (n, 3) float64 to signed distances (n,).
        surface: n and a seed to n points (n, 3) on the surface, about evenly by area.
        samples: those written for training or fitting.
        facts: of shapes.json: family and parameters, or the mesh.
    """

    name: str
    sdf: Callable[[NDArray], NDArray]
    surface: Callable[[int, int], NDArray]
    samples: ShapeSamples
    facts: dict[str, Any]


def data_of(prior: Prior) -> Path:
    """The data folder that a prior was trained on.

    Raises:
        InputError: it is not there any more.
    """
    data = found_path(prior.specs["DataSource"], prior.folder, SAMPLES)
    if not (data / SAMPLES).is_dir():
        raise InputError(f"{data}: no data folder ({SAMPLES} in it), which {prior.folder} was trained on; give it with --data.")
    return data


def split_of(prior: Prior, which: str, data: Path | None = None) -> list[str]:
    """Names of the shapes of the `train` or `test` split of a prior, or of a data folder.

    Raises:
        InputError: no such split, or an empty one.
    """
    key = {"train": "TrainSplit", "test": "TestSplit"}[which]
    path = data / f"{which}.json" if data is not None else found_path(prior.specs[key], prior.folder)
    names = read_split(path)
    if not names:
        raise InputError(f"{path}: names no shapes, expected some; make data with --test N.")
    return names


def truth_of(data: Path, name: str) -> Truth:
    """The exact shape of a name.

    Raises:
        InputError: shapes.json does not tell what the shape is, or its mesh is gone.
    """
    facts = shape_facts(data).get(name)
    if facts is None:
        raise InputError(f"{data}: shapes.json does not know {name}; exact truth is there for data of `neus prior data` alone.")
    samples = read_samples(sample_path(data, name))
    if "family" in facts:
        shape = family_shape(facts["family"], facts["parameters"])

        def sdf(points: NDArray) -> NDArray:
            return shape.sdf(torch.from_numpy(np.ascontiguousarray(points, np.float64))).numpy()

        def surface(n: int, seed: int) -> NDArray:
            return pulled_points(shape, n, np.random.default_rng(seed))

        return Truth(name, sdf, surface, samples, facts)
    path = Path(facts["mesh"])
    found = [s for s in source_meshes(path.parent) if s.path.resolve() == path and s.name.endswith(facts["instance"].split("/")[-1])]
    if not found:
        raise InputError(f"{path}: the mesh of {name} is not there any more; make the data again.")
    signed = found[0].normalized(facts["sign"])
    return Truth(name, signed.sdf, lambda n, seed: sample_mesh(signed.mesh, n, seed), samples, facts)
