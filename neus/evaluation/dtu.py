"""The evaluation of DTU: distances in millimetres between a mesh and the scanner's points, as its authors defined them.

Jensen et al., "Large scale multi-view stereopsis evaluation", CVPR 2014, and its MATLAB code. The mesh becomes points, thinned to
0.2 mm; those within the observed region (`ObsMask`) are measured to the scanner's points, and the scanner's points above the
ground plane (`Plane`) to them. Distances beyond 20 mm are left out of both means. `overall`, the Chamfer distance of the tables,
is the mean of the two. No alignment is made.
"""

import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import trimesh
from scipy.io import loadmat
from scipy.io.matlab import MatReadError
from scipy.spatial import cKDTree

from neus.errors import InputError
from neus.evaluation.files import read_points
from neus.kernels.dispatch import kernels_for

# The part of the observed region's file name that says how far around the object it reaches, in millimetres.
MASK_MARGIN = 10
# Points by which the scanner's spacing is found.
SPACING_POINTS = 20_000
# Lattice points on triangles made together: about 100 MB.
PLACES_AT_A_TIME = 2**20


@dataclass(frozen=True)
class DtuProtocol:
    """The numbers of the protocol; anything but the defaults is not comparable with published tables.

    Attributes:
        density: millimetres between points of the mesh; thinned to it, after triangles were filled as densely.
        cap: millimetres beyond which a distance is left out of the mean, in both directions.
        margin: millimetres around the observed region's box within which mesh points count as neighbours at all (on the
            upper side twice as much, as in the usual Python translation).
        seed: of the order in which points are thinned.
    """

    density: float = 0.2
    cap: float = 20.0
    margin: float = 60.0
    seed: int = 0


@dataclass(frozen=True)
class DtuTruth:
    """What the data set knows of one scan.

    Attributes:
        scan: its number.
        points: (n, 3) float64 of the structured-light scanner, millimetres.
        observed: (X, Y, Z) bool voxels of the observed region, `ObsMask`.
        box: (2, 3) millimetres, `BB`: its first row is the centre of voxel (0, 0, 0).
        voxel: millimetres from voxel to voxel, `Res`.
        plane: (4,) of the ground, `P`: points with P . (x, y, z, 1) > 0 are above it.
    """

    scan: int
    points: np.ndarray
    observed: np.ndarray
    box: np.ndarray
    voxel: float
    plane: np.ndarray


def scan_of_name(name: str) -> int | None:
    """The scan's number in the name of a folder.

    >>> scan_of_name("dtu_scan24"), scan_of_name("cup"), scan_of_name("kitchen_scanner")
    (24, None, None)
    """
    found = re.search(r"scan_?(\d+)", name)
    return int(found[1]) if found else None


def read_dtu(root: Path, scan: int) -> DtuTruth:
    """The truth of a scan from the data set's own files, unpacked into one folder.

    Points/stl/stl024_total.ply, ObsMask/ObsMask24_10.mat (ObsMask, BB, Res), ObsMask/Plane24.mat (P).

    Raises:
        InputError: a file is missing, damaged, or lacks what it should hold.
    """
    folder = Path(root) / "ObsMask"
    region = _arrays(folder / f"ObsMask{scan}_{MASK_MARGIN}.mat", ObsMask=None, BB=6, Res=1)
    plane = _arrays(folder / f"Plane{scan}.mat", P=4)["P"]
    path = Path(root) / "Points" / "stl" / f"stl{scan:03d}_total.ply"
    if not path.is_file():
        raise InputError(f"{path}: no such file; unpack the data set's Points.zip into {root}.")
    observed = region["ObsMask"] > 0
    if observed.ndim != 3:
        raise InputError(
            f"{folder}: ObsMask of scan {scan} has shape {observed.shape}, expected voxels (X, Y, Z); copy it again."
        )
    return DtuTruth(
        scan=scan,
        points=read_points(path),
        observed=observed,
        box=region["BB"].astype(np.float64).reshape(2, 3),
        voxel=float(region["Res"].reshape(())),
        plane=plane.astype(np.float64).reshape(4),
    )


def dtu_scores(mesh: trimesh.Trimesh, truth: DtuTruth, protocol: DtuProtocol | None = None) -> dict[str, Any]:
    """The official numbers of a mesh in millimetres, with every setting, as plain values for JSON.

    Raises:
        InputError: no point of the mesh lies within the observed region, or none of the scan above its plane.
    """
    protocol = protocol or DtuProtocol()
    points = thinned_points(mesh, protocol)
    return {"scan": truth.scan, "unit": "mm", "protocol": asdict(protocol), **point_scores(points, truth, protocol)}


def point_scores(points: np.ndarray, truth: DtuTruth, protocol: DtuProtocol) -> dict[str, float | int]:
    """The same for points (n, 3) that are thinned already."""
    near = points[_is_near(points, truth.box, protocol.margin)]
    judged = near[is_observed(near, truth)]
    true = truth.points[is_above_plane(truth.points, truth)]
    for what, found in (("of the mesh's points lies in the observed region", judged), ("of the scan's points", true)):
        if len(found) == 0:
            raise InputError(
                f"DTU scan {truth.scan}: none {what}{'' if found is judged else ' lies above the ground plane'}; expected "
                "mesh and scan in the same world, in millimetres: give the mesh in world units, and check the scan's number."
            )
    truth_tree = cKDTree(truth.points)
    to_truth = truth_tree.query(judged, distance_upper_bound=protocol.cap, workers=-1)[0]
    to_mesh = cKDTree(near).query(true, distance_upper_bound=protocol.cap, workers=-1)[0]
    accuracy, completeness = _capped_mean(to_truth, protocol.cap), _capped_mean(to_mesh, protocol.cap)
    return {
        "accuracy": accuracy,
        "completeness": completeness,
        "overall": (accuracy + completeness) / 2,
        "truth_spacing": _spacing(truth.points, truth_tree),
        "fraction_of_mesh_beyond_cap": float((to_truth >= protocol.cap).mean()),
        "fraction_of_truth_beyond_cap": float((to_mesh >= protocol.cap).mean()),
        "n_mesh_points": len(points),
        "n_mesh_points_observed": len(judged),
        "n_truth_points": len(truth.points),
        "n_truth_points_above_plane": len(true),
    }


def thinned_points(mesh: trimesh.Trimesh, protocol: DtuProtocol) -> np.ndarray:
    """(n, 3) points of a mesh, its vertices and lattices on its triangles, in random order thinned to the density."""
    points = np.concatenate([np.asarray(mesh.vertices), *_lattice_points(mesh, protocol.density)])
    np.random.default_rng(protocol.seed).shuffle(points)
    thin = kernels_for("thin_points", torch.device("cpu")).keeps_of_thinning
    return points[thin(points, protocol.density)]


def is_observed(points: np.ndarray, truth: DtuTruth) -> np.ndarray:
    """(n,) bool: whether points (n, 3) lie in an observed voxel, the one with the nearest centre.

    MATLAB counts voxels from 1 and takes round((x - BB_1) / Res + 1); from 0 that is round((x - BB_1) / Res). Halves are
    rounded up, as MATLAB does (numpy would round them to even).
    """
    voxels = np.floor((points - truth.box[0]) / truth.voxel + 0.5)
    is_inside = ((voxels >= 0) & (voxels < truth.observed.shape)).all(axis=1)
    result = np.zeros(len(points), bool)
    result[is_inside] = truth.observed[tuple(voxels[is_inside].astype(np.int64).T)]
    return result


def is_above_plane(points: np.ndarray, truth: DtuTruth) -> np.ndarray:
    """(n,) bool: whether points (n, 3) lie above the ground."""
    return points @ truth.plane[:3] + truth.plane[3] > 0.0


def _is_near(points: np.ndarray, box: np.ndarray, margin: float) -> np.ndarray:
    return ((points >= box[0] - margin) & (points < box[1] + 2.0 * margin)).all(axis=1)


def _capped_mean(distances: np.ndarray, cap: float) -> float:
    kept = distances[distances < cap]
    if len(kept) == 0:
        raise InputError(
            f"DTU evaluation: mesh and scan are nowhere nearer than the cap of {cap:g} mm; expected them in the same world, in "
            "millimetres: give the mesh in world units, and check the scan's number."
        )
    return float(kept.mean())


def _spacing(points: np.ndarray, tree: cKDTree) -> float:
    """Mean distance from a point to the nearest other one, by some of them: the accuracy's floor is about half of it."""
    some = points[:: max(1, len(points) // SPACING_POINTS)]
    return float(tree.query(some, k=[min(2, len(points))], workers=-1)[0].mean())


def _lattice_points(mesh: trimesh.Trimesh, density: float) -> Iterator[np.ndarray]:
    """Points (k, 3) on triangles: a + (i + 1/2) / n (b - a) + (j + 1/2) / m (c - a) while they lie inside.

    n = floor(|b - a| / s) and m likewise with s = density sqrt(|b - a| |c - a| / |(b - a) x (c - a)|), so that a triangle
    of any shape has one point for each density^2; those smaller than that are represented by their corners.
    """
    vertices, faces = np.asarray(mesh.vertices), np.asarray(mesh.faces)
    starts = vertices[faces[:, 0]]
    sides = [vertices[faces[:, k]] - starts for k in (1, 2)]
    lengths = [np.linalg.norm(side, axis=1) for side in sides]
    doubled_areas = np.linalg.norm(np.cross(*sides), axis=1)
    spacings = density * np.sqrt(lengths[0] * lengths[1] / np.where(doubled_areas > 0.0, doubled_areas, 1.0))
    n, m = (np.floor(length / np.where(spacings > 0.0, spacings, np.inf)).astype(np.int64) for length in lengths)
    large = np.flatnonzero((n > 0) & (m > 0) & (doubled_areas > 0.0))
    counts = (n[large] + 1) * (m[large] + 1)
    for part in np.split(large, np.flatnonzero(np.diff(np.cumsum(counts) // PLACES_AT_A_TIME)) + 1):
        counts = (n[part] + 1) * (m[part] + 1)
        owner = np.repeat(part, counts)
        places = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
        along, across = (places // (m[owner] + 1) + 0.5) / n[owner], (places % (m[owner] + 1) + 0.5) / m[owner]
        owner, along, across = (x[along + across < 1.0] for x in (owner, along, across))
        yield starts[owner] + along[:, None] * sides[0][owner] + across[:, None] * sides[1][owner]


def _arrays(path: Path, **sizes: int | None) -> dict[str, np.ndarray]:
    """Named arrays of a MATLAB file, each with so many numbers (None: any)."""
    if not path.is_file():
        raise InputError(
            f"{path}: no such file; unpack the data set's SampleSet.zip (its ObsMask folder) beside Points."
        )
    try:
        arrays = loadmat(path)
    except (MatReadError, ValueError, TypeError, RuntimeError, OSError) as error:
        raise InputError(f"{path}: not a readable MATLAB file ({error}); copy it again.") from error
    for name, size in sizes.items():
        if name not in arrays or (size is not None and arrays[name].size != size):
            found = f"of shape {arrays[name].shape}" if name in arrays else "missing"
            raise InputError(f"{path}: {name} is {found}, expected {size or 'voxels'} numbers; copy the file again.")
    return arrays
