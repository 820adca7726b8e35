"""How far a mesh is from the true surface: accuracy, completeness, Chamfer distance and F-score."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import trimesh
from scipy.spatial import cKDTree
from torch import Tensor

from neus.errors import InputError
from neus.meshing.extract import extract_mesh
from neus.meshing.lattice import ScalarField

# Steps from the marching-cubes mesh to the zero set; each squares the relative error.
NEWTON_STEPS = 4
# Half the interval of central differences, in parts of the unit: best for float64.
DIFFERENCE_STEP = 1e-5
# Point-triangle pairs looked at together: about 200 MB.
MAX_PAIRS = 2**20
# Meshes so large that triangles of a ten thousandth of them are still measured exactly.
SAFE_SIZE = 100.0
FIRST_CANDIDATES, MAX_CANDIDATES = 8, 512


@dataclass(frozen=True)
class SurfaceScores:
    """Distances between a mesh and the truth, in the unit of both; smaller is better but for the last three.

    Attributes:
        accuracy: mean distance from the mesh to the truth.
        completeness: mean distance from the truth to the mesh.
        chamfer: mean of accuracy and completeness.
        accuracy_median, completeness_median: medians of the same distances.
        thresholds: distances at which the shares below are counted.
        precision: share of the mesh within each threshold of the truth.
        recall: share of the truth within each threshold of the mesh.
        f_scores: harmonic mean of precision and recall.
    """

    accuracy: float
    completeness: float
    chamfer: float
    accuracy_median: float
    completeness_median: float
    thresholds: tuple[float, ...]
    precision: tuple[float, ...]
    recall: tuple[float, ...]
    f_scores: tuple[float, ...]


def surface_scores(
    mesh: trimesh.Trimesh,
    truth: ScalarField | trimesh.Trimesh | np.ndarray,
    thresholds: Sequence[float] = (),
    n_samples: int = 100_000,
    seed: int = 0,
    box: Tensor | None = None,
    resolution: int = 256,
) -> SurfaceScores:
    """Compares a mesh with the truth, in the unit in which both are given.

    Both ways distances go from random points, spread evenly by area, to the *surface* of the other side, not to random
    points on it: equal surfaces score zero. Only a truth given as points leaves a floor in the accuracy, about half
    the distance between them.

    Args:
        mesh: to be judged.
        truth: an exact signed distance (M, 3) -> (M,) of float64 points, or a mesh, or points (P, 3).
        thresholds: for precision, recall and F-score.
        n_samples: random points on each side (a truth given as points is used as it is).
        seed: of the random points.
        box: (2, 3), where to look for a truth given as signed distance; its surface must lie inside.
        resolution: of the lattice on which that truth is found; only parts thinner than a cell need more.

    Raises:
        InputError: the mesh has no faces.
    """
    if len(mesh.faces) == 0:
        raise InputError("surface evaluation: the mesh has no faces, expected a surface; extract it again.")
    on_mesh = sample_mesh(mesh, n_samples, seed)
    if callable(truth):
        assert box is not None, "a truth given as signed distance needs a box"
        to_truth = np.abs(_values(truth, on_mesh))
        on_truth = sample_zero_set(truth, box, n_samples, seed + 1, resolution)
    elif isinstance(truth, trimesh.Trimesh):
        to_truth = distances_to_mesh(on_mesh, truth)
        on_truth = sample_mesh(truth, n_samples, seed + 1)
    else:
        to_truth = cKDTree(truth).query(on_mesh)[0]
        on_truth = truth
    return scores_from_distances(to_truth, distances_to_mesh(on_truth, mesh), thresholds)


def scores_from_distances(to_truth: np.ndarray, to_mesh: np.ndarray, thresholds: Sequence[float] = ()) -> SurfaceScores:
    """The scores of distances mesh -> truth (n,) and truth -> mesh (m,).

    >>> scores_from_distances(np.array([0.0, 2.0]), np.array([1.0, 1.0]), thresholds=[1.0]).f_scores
    (0.6666666666666666,)
    """
    precision = tuple(float((to_truth <= threshold).mean()) for threshold in thresholds)
    recall = tuple(float((to_mesh <= threshold).mean()) for threshold in thresholds)
    accuracy, completeness = float(to_truth.mean()), float(to_mesh.mean())
    return SurfaceScores(
        accuracy=accuracy,
        completeness=completeness,
        chamfer=(accuracy + completeness) / 2,
        accuracy_median=float(np.median(to_truth)),
        completeness_median=float(np.median(to_mesh)),
        thresholds=tuple(thresholds),
        precision=precision,
        recall=recall,
        f_scores=tuple(2 * p * r / (p + r) if p + r > 0 else 0.0 for p, r in zip(precision, recall, strict=True)),
    )


def surface_difference(
    first: trimesh.Trimesh, second: trimesh.Trimesh, n_samples: int = 10_000, seed: int = 0
) -> tuple[float, float]:
    """Mean and greatest distance between two meshes, in their unit, from random points on each to the other's surface.

    The greatest one is of the points drawn: a spike that covers less than a few parts in `n_samples` of the area can hide.
    """
    # trimesh rounds fourth powers of the sides of triangles to zero below 1e-14, whatever the unit.
    size = float(np.ptp(first.bounds, axis=0).max()) / SAFE_SIZE
    first, second = (trimesh.Trimesh(mesh.vertices / size, mesh.faces, process=False) for mesh in (first, second))
    from_first = distances_to_mesh(sample_mesh(first, n_samples, seed), second)
    from_second = distances_to_mesh(sample_mesh(second, n_samples, seed + 1), first)
    mean = (from_first.mean() + from_second.mean()) / 2
    return float(size * mean), float(size * max(from_first.max(), from_second.max()))


def sample_mesh(mesh: trimesh.Trimesh, n_samples: int, seed: int) -> np.ndarray:
    """(n, 3) random points on a mesh, evenly by area."""
    return np.asarray(trimesh.sample.sample_surface(mesh, n_samples, seed=seed)[0])


def sample_zero_set(sdf: ScalarField, box: Tensor, n_samples: int, seed: int, resolution: int = 256) -> np.ndarray:
    """(n, 3) random points on the surface sdf = 0 within a box, exact: points on a mesh moved there by Newton steps.

    Args:
        sdf: signed distance of float32 and float64 points.
        box: (2, 3).
        n_samples, seed: of the random points.
        resolution: of the mesh's lattice.
    """
    mesh = extract_mesh(sdf, box.cpu(), resolution, close_at_border=False)
    points = sample_mesh(mesh, n_samples, seed)
    steps = DIFFERENCE_STEP * np.eye(3)
    for _ in range(NEWTON_STEPS):
        slopes = np.stack([_values(sdf, points + s) - _values(sdf, points - s) for s in steps], axis=-1)
        slopes /= 2 * DIFFERENCE_STEP
        squared = np.maximum(np.square(slopes).sum(axis=-1), 1e-6)
        points = points - (_values(sdf, points) / squared)[:, None] * slopes
    return points


def distances_to_mesh(points: np.ndarray, mesh: trimesh.Trimesh) -> np.ndarray:
    """(n,) distances from points (n, 3) to the nearest point of any triangle.

    A triangle whose corners lie within r of its centroid c is no nearer than |p - c| - r. Triangles are sorted into
    classes of like r, and in each those with the nearest centroids are measured until this bound rules out the rest.
    Only a point many triangles' sizes away gives up before, at MAX_CANDIDATES; its distance is then too great by at
    most r.
    """
    triangles = np.asarray(mesh.triangles)
    centroids = triangles.mean(axis=1)
    radii = np.linalg.norm(triangles - centroids[:, None], axis=-1).max(axis=1)
    classes = np.floor(np.log2(np.maximum(radii, 1e-12 * radii.max())))
    nearest = np.full(len(points), np.inf)
    for members in (classes == c for c in np.unique(classes)[::-1]):
        _lower_to_class(nearest, points, triangles[members], centroids[members], radii[members].max())
    return nearest


def _lower_to_class(
    nearest: np.ndarray, points: np.ndarray, triangles: np.ndarray, centroids: np.ndarray, radius: float
) -> None:
    """Lowers distances (n,) of points to those to triangles (m, 3, 3) within `radius` of their centroids, in place."""
    tree = cKDTree(centroids)
    n_candidates = min(FIRST_CANDIDATES, len(triangles))
    pending = np.arange(len(points))
    while len(pending):
        unresolved = []
        for part in np.array_split(pending, -(-len(pending) * n_candidates // MAX_PAIRS)):
            away, candidates = tree.query(points[part], k=np.arange(1, n_candidates + 1))
            distances = _point_triangle_distances(points[part], triangles[candidates])
            nearest[part] = np.minimum(nearest[part], distances.min(axis=1))
            unresolved.append(part[away[:, -1] - radius < nearest[part]])
        if n_candidates == min(len(triangles), MAX_CANDIDATES):
            return
        pending = np.concatenate(unresolved)
        n_candidates = min(4 * n_candidates, len(triangles), MAX_CANDIDATES)


def _point_triangle_distances(points: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """(n, k) distances from points (n, 3) to triangles (n, k, 3, 3)."""
    n, k = triangles.shape[:2]
    repeated = np.repeat(points, k, axis=0)
    closest = trimesh.triangles.closest_point(triangles.reshape(-1, 3, 3), repeated)
    return np.linalg.norm(closest - repeated, axis=-1).reshape(n, k)


def _values(sdf: Callable[[Tensor], Tensor], points: np.ndarray) -> np.ndarray:
    """(n,) float64 values of a field at float64 points (n, 3)."""
    with torch.no_grad():
        return sdf(torch.from_numpy(points)).numpy()
