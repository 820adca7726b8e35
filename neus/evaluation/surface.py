"""How far a surface is from the true one: accuracy, completeness, Chamfer distance, F-score, agreement of normals.

Either side may be a mesh, points, or an exact signed distance. Distances go from points on one side to the *surface* of the
other, not to points on it, so equal surfaces score zero; only where the other side is given as points is there a floor, which
the result states.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import trimesh
from scipy.spatial import cKDTree
from torch import Tensor

from neus.errors import InputError
from neus.evaluation.sampling import (
    SurfacePoints,
    gradients_at,
    mean_spacing,
    normals_of_faces,
    points_on_mesh,
    sample_mesh,
    sample_zero_set,
    values_at,
)
from neus.kernels.dispatch import kernels_for
from neus.meshing.files import in_world
from neus.meshing.lattice import ScalarField

__all__ = [
    "SurfaceScores", "distances_to_mesh", "feature_scores", "nearest_on_mesh", "sample_mesh", "sample_zero_set", "surface_scores",
]  # fmt: skip

Surface = trimesh.Trimesh | np.ndarray | ScalarField


@dataclass(frozen=True)
class SurfaceScores:
    """Distances between a surface and the truth, in the unit of the truth; smaller is better except for the fractions.

    Attributes:
        accuracy: mean distance from the surface to the truth.
        completeness: mean distance from the truth to the surface.
        chamfer: mean of accuracy and completeness.
        accuracy_median, completeness_median: medians of the same distances.
        thresholds: distances below which fractions are counted.
        precision: fraction of the surface within each threshold of the truth.
        recall: fraction of the truth within each threshold of the surface.
        f_scores: harmonic mean of precision and recall.
        normal_consistency: mean |n . n'| of the normals at a point and at the nearest one of the other side, both ways; 1
            for equal surfaces. None if a side is given as points, which have no normals.
        accuracy_floor, completeness_floor: mean distance between neighbours where the side *to* which is measured is given
            as points: the mean then holds about half of it by sampling alone. 0 where that side is a surface.
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
    normal_consistency: float | None = None
    accuracy_floor: float = 0.0
    completeness_floor: float = 0.0


def surface_scores(
    mesh: Surface,
    truth: Surface,
    thresholds: Sequence[float] = (),
    n_samples: int = 100_000,
    seed: int = 0,
    box: Tensor | None = None,
    resolution: int = 256,
    mesh_to_truth: Tensor | None = None,
) -> SurfaceScores:
    """Compares a surface with the truth, in the unit of the truth.

    Args:
        mesh: to be judged: a mesh, points (P, 3), or a signed distance.
        truth: an exact signed distance (M, 3) -> (M,) of float64 points, or a mesh, or points (P, 3).
        thresholds: for precision, recall and F-score.
        n_samples: random points on each side, evenly by area (a side given as points is used as it is).
        seed: of the random points.
        box: (2, 3), where to look for a side given as signed distance; its surface must lie inside.
        resolution: of the lattice on which that side is found; only parts thinner than a cell need more.
        mesh_to_truth: (4, 4) similarity from the frame of the mesh (or points) to that of the truth; None if they are the
            same. The scores do not depend on the frame in which the mesh comes.

    Raises:
        InputError: a mesh without faces, no points, or coordinates that are not finite.
    """
    judged = _side("the surface", _moved(mesh, mesh_to_truth), box, resolution)
    true = _side("the truth", truth, box, resolution)
    on_surface, on_truth = judged.sample(n_samples, seed), true.sample(n_samples, seed + 1)
    to_truth, truth_normals = true.nearest(on_surface.points)
    to_surface, surface_normals = judged.nearest(on_truth.points)
    agreement = [_agreement(on_surface.normals, truth_normals), _agreement(on_truth.normals, surface_normals)]
    return scores_from_distances(
        to_truth,
        to_surface,
        thresholds,
        normal_consistency=None if None in agreement else float(np.mean(agreement)),
        accuracy_floor=true.spacing,
        completeness_floor=judged.spacing,
    )


def scores_from_distances(
    to_truth: np.ndarray, to_mesh: np.ndarray, thresholds: Sequence[float] = (), **others: float | None
) -> SurfaceScores:
    """The scores of distances surface -> truth (n,) and truth -> surface (m,), and others as they are.

    >>> scores_from_distances(np.array([0.0, 2.0]), np.array([1.0, 1.0]), thresholds=[1.0]).f_scores
    (0.6666666666666666,)
    """
    precision, recall = fractions_within(to_truth, thresholds), fractions_within(to_mesh, thresholds)
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
        **others,
    )


def surface_difference(
    first: trimesh.Trimesh, second: trimesh.Trimesh, n_samples: int = 10_000, seed: int = 0
) -> tuple[float, float]:
    """Mean and greatest distance between two meshes, in their unit, from random points on each to the other's surface.

    The greatest one is over the sampled points: a spike that covers less than a few parts in `n_samples` of the area can hide.
    """
    from_first = distances_to_mesh(sample_mesh(first, n_samples, seed), second)
    from_second = distances_to_mesh(sample_mesh(second, n_samples, seed + 1), first)
    return float((from_first.mean() + from_second.mean()) / 2), float(max(from_first.max(), from_second.max()))


def fractions_within(distances: np.ndarray, thresholds: Sequence[float]) -> tuple[float, ...]:
    """The fraction of distances at most as great as each threshold."""
    return tuple(float((distances <= threshold).mean()) for threshold in thresholds)


def distances_to_mesh(points: np.ndarray, mesh: trimesh.Trimesh) -> np.ndarray:
    """(n,) distances from points (n, 3) to the nearest point of any triangle, exact."""
    return nearest_on_mesh(points, mesh)[0]


def nearest_on_mesh(points: np.ndarray, mesh: trimesh.Trimesh) -> tuple[np.ndarray, np.ndarray]:
    """Distances (n,) from points (n, 3) to the nearest point of any triangle, exact, and normals (n, 3) of those triangles."""
    find = kernels_for("nearest_triangle", torch.device("cpu")).nearest_triangles
    distances, faces = find(points, np.asarray(mesh.vertices), np.asarray(mesh.faces))
    return distances, normals_of_faces(mesh, faces)


def feature_scores(
    points: np.ndarray, mesh: trimesh.Trimesh, thresholds: Sequence[float] = (), clip: float = 5.0
) -> dict[str, float | int | list[float]]:
    """How far triangulated feature points, which no training saw, lie from a mesh; in the unit of both.

    An independent but sparse truth: it says nothing about regions without texture, and its own errors count as well, hence the
    median and the mean of clipped distances.

    Args:
        points: (n, 3), of structure from motion.
        mesh: to be judged.
        thresholds: distances for `within`.
        clip: greater distances count as this much in `mean_clipped`.

    Raises:
        InputError: no points, or a mesh without faces.
    """
    _PointSide("the feature points", points)
    distances = _side("the mesh", mesh, None, 0).nearest(np.asarray(points, np.float64))[0]
    return {
        "n_points": len(points),
        "median": float(np.median(distances)),
        "mean": float(distances.mean()),
        "mean_clipped": float(np.minimum(distances, clip).mean()),
        "clip": clip,
        "thresholds": list(thresholds),
        "within": list(fractions_within(distances, thresholds)),
    }


class _MeshSide:
    """A surface given as triangles."""

    spacing = 0.0

    def __init__(self, mesh: trimesh.Trimesh) -> None:
        self.mesh = mesh

    def sample(self, n_samples: int, seed: int) -> SurfacePoints:
        return points_on_mesh(self.mesh, n_samples, seed)

    def nearest(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return nearest_on_mesh(points, self.mesh)


class _FieldSide:
    """A surface given by its exact signed distance."""

    spacing = 0.0

    def __init__(self, sdf: ScalarField, box: Tensor, resolution: int) -> None:
        self.sdf, self.box, self.resolution = sdf, box, resolution

    def sample(self, n_samples: int, seed: int) -> SurfacePoints:
        points = sample_zero_set(self.sdf, self.box, n_samples, seed, self.resolution)
        return SurfacePoints(points, self._normals(points))

    def nearest(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        # Along the perpendicular to the surface the gradient of its distance does not change.
        return np.abs(values_at(self.sdf, points)), self._normals(points)

    def _normals(self, points: np.ndarray) -> np.ndarray:
        slopes = gradients_at(self.sdf, points)
        return slopes / np.maximum(np.linalg.norm(slopes, axis=1, keepdims=True), np.finfo(np.float64).tiny)


class _PointSide:
    """A surface of which only points are known."""

    def __init__(self, name: str, points: np.ndarray) -> None:
        self.points = np.asarray(points, dtype=np.float64)
        if self.points.ndim != 2 or self.points.shape[1] != 3 or len(self.points) == 0:
            raise InputError(
                f"surface evaluation: {name} has shape {self.points.shape}, expected points (n, 3), n > 0."
            )
        _check_finite(name, self.points)
        self.tree = cKDTree(self.points)

    @property
    def spacing(self) -> float:
        return mean_spacing(self.points)

    def sample(self, n_samples: int, seed: int) -> SurfacePoints:
        return SurfacePoints(self.points, None)

    def nearest(self, points: np.ndarray) -> tuple[np.ndarray, None]:
        return self.tree.query(points)[0], None


def _side(name: str, surface: Surface, box: Tensor | None, resolution: int) -> _MeshSide | _FieldSide | _PointSide:
    if isinstance(surface, trimesh.Trimesh):
        if len(surface.faces) == 0:
            raise InputError(f"surface evaluation: {name} is a mesh that has no faces; extract it again.")
        _check_finite(name, np.asarray(surface.vertices))
        return _MeshSide(surface)
    if callable(surface):
        assert box is not None, "a surface given as signed distance needs a box"
        return _FieldSide(surface, box, resolution)
    return _PointSide(name, surface)


def _moved(surface: Surface, matrix: Tensor | None) -> Surface:
    if matrix is None:
        return surface
    assert not callable(surface), "give a signed distance in the frame of the truth"
    if isinstance(surface, trimesh.Trimesh):
        return in_world(surface, matrix)
    matrix = matrix.double().numpy()
    return surface @ matrix[:3, :3].T + matrix[:3, 3]


def _check_finite(name: str, points: np.ndarray) -> None:
    if not np.isfinite(points).all():
        raise InputError(f"surface evaluation: {name} holds coordinates that are NaN or infinite; make it again.")


def _agreement(normals: np.ndarray | None, others: np.ndarray | None) -> float | None:
    """Mean |cosine|: the outside of a mesh is often not known, so its sign is ignored."""
    return None if normals is None or others is None else float(np.abs((normals * others).sum(axis=1)).mean())
