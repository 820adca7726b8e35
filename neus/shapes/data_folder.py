"""Data folders in the published layout: samples, surface points, normalisation, splits; and the truth behind every shape."""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import trimesh
from numpy.typing import NDArray

from neus.errors import InputError
from neus.evaluation.sampling import sample_mesh
from neus.files import read_text, write_json, written_whole
from neus.shapes.families import FAMILIES, FamilyShape, draw_parameters, family_of, family_shape
from neus.shapes.mesh_signs import RULES
from neus.shapes.mesh_sources import SourceMesh, mesh_findings, source_meshes
from neus.shapes.near_surface import near_surface_samples
from neus.shapes.samples import write_samples
from neus.shapes.splits import sample_path, write_split

# Surface points kept of each shape.
SURFACE_POINTS = 5000
# Uniform points this near to a surface are pulled on to it.
PULLED_FROM, CANDIDATES = 0.03, 2**17
DIFFERENCE = 1e-5
TRAIN, TEST = "train.json", "test.json"

Progress = Callable[[int, int], None]


@dataclass
class DataResult:
    """What was written.

    Attributes:
        folder: of the data.
        train, test: names of the shapes in either split.
        notes: one line for each thing the user should know, such as meshes that were left out.
    """

    folder: Path
    train: list[str] = field(default_factory=list)
    test: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def write_family_data(
    out: Path, families: Sequence[str], n_train: int, n_test: int, n_samples: int, seed: int = 0, on_progress: Progress | None = None
) -> DataResult:
    """Writes shapes of closed-form families as a data folder with train.json, test.json and the truth in shapes.json.

    Args:
        out: a new or empty folder.
        families: names; `all` is each of them. Shapes are dealt out, so that each has equally many.
        n_train, n_test: shapes of either split.
        n_samples: of each shape, in the published densities.
        seed: of everything random.
        on_progress: called with (shapes done, shapes in all).

    Raises:
        InputError: no such family, or a folder that holds something.
    """
    families = list(FAMILIES) if "all" in families else list(families)
    kinds = sorted((families[i % len(families)] for i in range(n_train)), key=families.index)
    kinds += sorted((families[i % len(families)] for i in range(n_test)), key=families.index)
    for kind in families:
        family_of(kind)
    _check_is_new(out)
    generator, counts, facts, names = np.random.default_rng(seed), dict.fromkeys(families, 0), [], []
    with written_whole(out, is_folder=True) as folder:
        for i, kind in enumerate(kinds):
            shape = family_shape(kind, draw_parameters(kind, generator))
            name = f"families/{kind}/{kind}_{counts[kind]:04d}"
            counts[kind] += 1
            functions = partial(_values, shape), partial(pulled_points, shape)
            surface = _write_shape(folder, name, *functions, n_samples, generator)
            _write_original(folder, name, surface, -np.array(shape.center), shape.scale)
            names.append(name)
            facts.append({"name": name, "family": kind, "parameters": shape.parameters, "center": list(shape.center), "scale": shape.scale})
            if on_progress:
                on_progress(i + 1, len(kinds))
        write_json(folder / "shapes.json", facts)
        write_split(folder / TRAIN, names[:n_train])
        write_split(folder / TEST, names[n_train:])
    return DataResult(out, names[:n_train], names[n_train:])


def write_mesh_data(
    out: Path, meshes: Path, sign: str, n_test: int, n_samples: int, seed: int = 0, on_progress: Progress | None = None
) -> DataResult:
    """Writes the meshes of a folder as a data folder; `notes` tell of each what was found, and which were left out.

    Args:
        out: a new or empty folder.
        meshes: searched recursively.
        sign: rule of inside and outside, one of `mesh_signs.RULES`. With `winding` meshes are left out where both rules differ.
        n_test: meshes held out, drawn at random.
        n_samples, seed, on_progress: as in `write_family_data`.

    Raises:
        InputError: no meshes, none left, or a folder that holds something.
    """
    if sign not in RULES:
        raise InputError(f"--sign {sign}: expected one of {', '.join(RULES)}.")
    _check_is_new(out)
    sources, generator, result, facts = list(source_meshes(meshes)), np.random.default_rng(seed), DataResult(out), []
    if n_test >= len(sources):
        raise InputError(f"{meshes}: {len(sources)} meshes and --test {n_test}, expected some left to train on.")
    dataset, kept = slug(meshes.resolve().name), []
    with written_whole(out, is_folder=True) as folder:
        for i, source in enumerate(sources):
            kind, instance = source.name.split("/")
            name = f"{dataset}/{slug(kind)}/{slug(instance)}"
            note, fact = _mesh_shape(folder, name, source, sign, n_samples, generator)
            result.notes.append(note)
            if fact is not None:
                kept.append(name)
                facts.append(fact)
            if on_progress:
                on_progress(i + 1, len(sources))
        if len(kept) <= n_test:
            raise InputError(f"{meshes}: {len(kept)} of {len(sources)} meshes can be used ({result.notes[0]}); try --sign visible.")
        held_out = set(generator.permutation(len(kept))[:n_test].tolist())
        result.train = [name for i, name in enumerate(kept) if i not in held_out]
        result.test = [name for i, name in enumerate(kept) if i in held_out]
        write_json(folder / "shapes.json", facts)
        write_json(folder / ".datasources.json", {dataset: str(meshes.resolve())})
        write_split(folder / TRAIN, result.train)
        write_split(folder / TEST, result.test)
    return result


def _mesh_shape(
    folder: Path, name: str, source: SourceMesh, sign: str, n_samples: int, generator: np.random.Generator
) -> tuple[str, dict[str, Any] | None]:
    """Writes one mesh; its note, and what is kept about it, None if it is left out."""
    found = mesh_findings(source)
    kind = "watertight" if found.watertight else "not watertight"
    note = f"{source.name}: {kind}, signs differ at {100 * found.disagreement:.1f} %"
    if found.reason and sign == "winding":
        return f"{note}; left out: {found.reason}", None
    signed = source.normalized(sign)

    def surface(n: int, g: np.random.Generator) -> NDArray:
        return sample_mesh(signed.mesh, n, int(g.integers(2**31)))

    try:
        points = _write_shape(folder, name, signed.sdf, surface, n_samples, generator)
    except InputError as error:
        return f"{note}; left out: {error}", None
    offset, scale = source.normalization
    _write_original(folder, name, points, offset, scale)
    facts = {"name": name, "mesh": str(source.path.resolve()), "instance": source.name, "sign": sign}
    return note, facts | {"center": (-offset).tolist(), "scale": scale}


def _write_shape(
    folder: Path, name: str, sdf: Callable[[NDArray], NDArray], surface: Callable[[int, np.random.Generator], NDArray],
    n_samples: int, generator: np.random.Generator,
) -> NDArray:  # fmt: skip
    """Writes the samples of a shape; returns points of its surface, normalised frame."""
    samples = near_surface_samples(sdf, surface, n_samples, generator)
    if len(samples.negative) == 0 or len(samples.positive) == 0:
        raise InputError("no point inside was found" if len(samples.negative) == 0 else "no point outside was found")
    write_samples(sample_path(folder, name), samples)
    return surface(SURFACE_POINTS, generator)


def _write_original(folder: Path, name: str, surface: NDArray, offset: NDArray, scale: float) -> None:
    """Surface points in the units of the original, and how they were normalised."""
    place = folder / "NormalizationParameters" / f"{name}.npz"
    place.parent.mkdir(parents=True, exist_ok=True)
    np.savez(place, offset=np.asarray(offset, np.float32), scale=np.array([scale], np.float32))
    place = folder / "SurfaceSamples" / f"{name}.ply"
    place.parent.mkdir(parents=True, exist_ok=True)
    trimesh.PointCloud(surface / scale - offset).export(place)


def pulled_points(shape: FamilyShape, n: int, generator: np.random.Generator) -> NDArray:
    """(n, 3) points on the surface, about evenly by area: uniform ones near it, each moved by one step x - f grad f.

    Where f is exact the step ends on the surface; the few that do not (from overlaps of parts) are left out.
    """
    found, n_found = [], 0
    while n_found < n:
        points = generator.uniform(-1.0, 1.0, (CANDIDATES, 3))
        values = _values(shape, points)
        is_near = np.abs(values) < PULLED_FROM
        points, values = points[is_near], values[is_near]
        steps = DIFFERENCE * np.eye(3)
        slopes = np.stack([_values(shape, points + step) - _values(shape, points - step) for step in steps], axis=-1)
        points = points - values[:, None] * slopes / (2.0 * DIFFERENCE)
        points = points[np.abs(_values(shape, points)) < 1e-6]
        found.append(points)
        n_found += len(points)
    return np.concatenate(found)[:n]


def _values(shape: FamilyShape, points: NDArray) -> NDArray:
    return shape.sdf(torch.from_numpy(points)).numpy()


def _check_is_new(out: Path) -> None:
    if out.is_file() or (out.is_dir() and any(out.iterdir())):
        raise InputError(f"--out {out}: is there already and not empty; choose a new folder, or remove that one.")


def slug(text: str) -> str:
    """A name that every file system takes, without a slash.

    >>> slug("Swivel chair (old)/1")
    'Swivel_chair_old_1'
    """
    return re.sub(r"[^\w.-]+", "_", text).strip("_") or "shape"


def shape_facts(data: Path) -> dict[str, dict[str, Any]]:
    """What `shapes.json` of a data folder says of each shape, by name; empty for folders of other programs.

    Raises:
        InputError: damaged.
    """
    path = Path(data) / "shapes.json"
    if not path.is_file():
        return {}
    try:
        return {fact["name"]: fact for fact in json.loads(read_text(path))}
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: damaged ({error}); make the data again.") from error
