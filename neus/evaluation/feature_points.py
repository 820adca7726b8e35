"""Distance from triangulated feature points, which training never sees, to a mesh: a sparse truth where no scan is at hand."""

from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import trimesh

from neus.errors import InputError
from neus.evaluation.surface import distances_to_mesh

# The file that may lie in a scene's folder: `points` (P, 3), world units.
FILE_NAME = "sfm_points.npz"
# Distances beyond count as this much: a few points are matched wrongly. World units, millimetres for DTU.
CLIP = 5.0


@dataclass(frozen=True)
class FeaturePointScores:
    """Distances from feature points to a mesh, in the unit of both.

    Attributes:
        n_points: how many.
        mean: of the distances clipped at `CLIP`.
        median: of the distances.
    """

    n_points: int
    mean: float
    median: float


def feature_point_scores(points: np.ndarray, mesh: trimesh.Trimesh) -> FeaturePointScores:
    """How far feature points lie from the nearest triangle of a mesh; nothing is said of where there are no points.

    Args:
        points: (P, 3).
        mesh: in the same frame.

    Raises:
        InputError: the mesh has no faces.

    >>> plane = trimesh.Trimesh([[0, 0, 0], [9, 0, 0], [0, 9, 0]], [[0, 1, 2]])
    >>> feature_point_scores(np.array([[1.0, 1.0, 0.5], [1.0, 2.0, 1.5], [1.0, 1.0, -70.0]]), plane)
    FeaturePointScores(n_points=3, mean=2.3333333333333335, median=1.5)
    """
    if len(mesh.faces) == 0:
        raise InputError("feature points: the mesh has no faces, expected a surface; extract it again.")
    distances = distances_to_mesh(np.asarray(points, dtype=np.float64), mesh)
    return FeaturePointScores(len(points), float(np.minimum(distances, CLIP).mean()), float(np.median(distances)))


def read_feature_points(path: Path) -> np.ndarray:
    """(P, 3) float64 world points of a file `sfm_points.npz`.

    Raises:
        InputError: no such file, or not such points.
    """
    try:
        with np.load(path) as content:
            points = np.asarray(content["points"], dtype=np.float64)
    except (OSError, ValueError, KeyError, BadZipFile) as error:
        raise InputError(f"{path}: no feature points ({error}); expected an .npz with `points` (P, 3).") from error
    if points.ndim != 2 or points.shape[1] != 3 or not len(points) or not np.isfinite(points).all():
        raise InputError(f"{path}: `points` of shape {points.shape}, expected (P, 3) finite world coordinates.")
    return points
