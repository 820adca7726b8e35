"""Files that a prior is fitted to: samples, meshes, points with or without normals."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import trimesh
from numpy.typing import NDArray

from neus.errors import InputError
from neus.evaluation.files import read_surface
from neus.evaluation.sampling import sample_mesh
from neus.shapes.families import FARTHEST
from neus.shapes.mesh_sources import SourceMesh
from neus.shapes.near_surface import near_surface_samples
from neus.shapes.observations import Observations, of_bare_points, of_oriented_points, of_samples
from neus.shapes.placement import Placement
from neus.shapes.samples import read_samples
from neus.shapes.splits import SAMPLES
from neus.shapes.truth import Truth, truth_of

# Samples drawn from a mesh to be fitted.
MESH_SAMPLES = 12_000
# Points beyond the cube by more than this were not measured in the prior's frame.
SLACK = 1.1


@dataclass(frozen=True, eq=False)
class FitInput:
    """What is to be explained.

    Attributes:
        seen: evidence, in the normalised frame or in that of the file.
        to_file: from the frame of `seen` to the file's units.
        shown: (n, 3) surface points for images, in the frame of `seen`.
        mesh: of the file, in the frame of `seen`, if it is one.
        truth: exact shape, if the file is from a data folder that tells it.
        notes: what the user should know.
    """

    seen: Observations
    to_file: Placement
    shown: NDArray
    mesh: trimesh.Trimesh | None = None
    truth: Truth | None = None
    notes: tuple[str, ...] = ()


def read_fit_input(path: Path, sign: str = "winding", normalize: bool = False, seed: int = 0) -> FitInput:
    """Evidence from `.npz` samples (pos, neg), from a mesh, or from points.

    Meshes are whole shapes in units of their own: they are centred and scaled as training shapes were. Points are taken as they stand,
    in the prior's frame, unless `normalize` says that they are of a whole shape: a part scaled by its own size has the wrong size.

    Args:
        path: the file.
        sign: rule of inside and outside of a mesh.
        normalize: centre and scale points by their own extent.
        seed: of samples.

    Raises:
        InputError: unreadable, or points that are not in the prior's frame.
    """
    path = Path(path)
    if path.suffix.lower() == ".npz":
        samples = read_samples(path)
        seen = of_samples(samples)
        shown = seen.points[seen.distances.abs() < 0.02].numpy()
        return FitInput(seen, Placement.identity(), shown, truth=_known_truth(path))
    surface = read_surface(path)
    if isinstance(surface, trimesh.Trimesh):
        return _of_mesh(SourceMesh(f"file/{path.stem}", surface, path), sign, seed)
    return _of_points(path, surface, normalize, seed)


def _of_mesh(source: SourceMesh, sign: str, seed: int) -> FitInput:
    signed, generator = source.normalized(sign), np.random.default_rng(seed)

    def surface(n: int, g: np.random.Generator) -> NDArray:
        return sample_mesh(signed.mesh, n, int(g.integers(2**31)))

    samples = near_surface_samples(signed.sdf, surface, MESH_SAMPLES, generator)
    if len(samples.negative) == 0:
        raise InputError(f"{source.path}: no point inside of it was found; it encloses nothing by --sign {sign}, try the other rule.")
    offset, scale = source.normalization
    to_file = Placement(torch.eye(3), -torch.from_numpy(offset).float(), 1.0 / scale)
    return FitInput(of_samples(samples), to_file, surface(2000, generator), signed.mesh)


def _of_points(path: Path, points: NDArray, normalize: bool, seed: int) -> FitInput:
    to_file = Placement.identity()
    normals = normals_in(path)
    if normalize:
        middle = (points.min(axis=0) + points.max(axis=0)) / 2
        reach = float(np.linalg.norm(points - middle, axis=1).max()) / FARTHEST
        points = (points - middle) / reach
        to_file = Placement(torch.eye(3), torch.from_numpy(middle).float(), reach)
    elif np.abs(points).max() > SLACK:
        raise InputError(
            f"{path}: points reach out to {np.abs(points).max():.3g}, the prior's frame is the unit ball; give --normalize if they show "
            "the whole shape, or --pose."
        )
    notes = () if normals is not None else ("points without normals: taken for a whole surface, free outside of its hull",)
    seen = of_oriented_points(points, normals) if normals is not None else of_bare_points(points, seed)
    return FitInput(seen, to_file, points, notes=notes)


def normals_in(path: Path) -> NDArray | None:
    """(n, 3) unit normals of the points in a PLY file; None if it has none."""
    if path.suffix.lower() != ".ply":
        return None
    loaded = trimesh.load(path, process=False)
    data = loaded.metadata.get("_ply_raw", {}).get("vertex", {}).get("data")
    if data is None or data.dtype.names is None or not {"nx", "ny", "nz"} <= set(data.dtype.names):
        return None
    normals = np.column_stack([data[name].reshape(-1) for name in ("nx", "ny", "nz")]).astype(np.float64)
    lengths = np.linalg.norm(normals, axis=1, keepdims=True)
    return normals / lengths if (lengths > 1e-6).all() else None


def _known_truth(path: Path) -> Truth | None:
    """The exact shape, if the file lies in the SdfSamples of a data folder of ours."""
    parts = path.resolve().parts
    if SAMPLES not in parts:
        return None
    at = len(parts) - 1 - parts[::-1].index(SAMPLES)
    try:
        return truth_of(Path(*parts[:at]), "/".join(parts[at + 1 :]).removesuffix(".npz"))
    except InputError:
        return None
