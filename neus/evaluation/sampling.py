"""Points on surfaces: random ones, even by area, on meshes and on zero sets."""

from dataclasses import dataclass

import numpy as np
import torch
import trimesh
from scipy.spatial import cKDTree
from torch import Tensor

from neus.meshing.extract import extract_mesh
from neus.meshing.lattice import ScalarField
from neus.meshing.measures import face_areas, face_crosses

# Steps from the marching-cubes mesh to the zero set; each squares the relative error.
NEWTON_STEPS = 4
# Half the interval of central differences, in parts of the unit: best for float64.
DIFFERENCE_STEP = 1e-5


@dataclass(frozen=True)
class SurfacePoints:
    """Points (n, 3) of a surface, and its unit normals (n, 3) there; None if they are not known."""

    points: np.ndarray
    normals: np.ndarray | None


def points_on_mesh(mesh: trimesh.Trimesh, n_samples: int, seed: int) -> SurfacePoints:
    """Random points, evenly by area, with the normals of their triangles.

    The same seed gives the same points of a mesh that is moved, turned or scaled as a whole.
    """
    generator = np.random.default_rng(seed)
    summed = np.cumsum(face_areas(mesh))
    chosen = np.searchsorted(summed, generator.random(n_samples) * summed[-1], side="right").clip(max=len(summed) - 1)
    u, v = generator.random((2, n_samples, 1))
    is_beyond = u + v > 1.0
    u, v = np.where(is_beyond, 1.0 - u, u), np.where(is_beyond, 1.0 - v, v)
    a, b, c = np.moveaxis(np.asarray(mesh.vertices)[mesh.faces[chosen]], 1, 0)
    return SurfacePoints(a + u * (b - a) + v * (c - a), normals_of_faces(mesh, chosen))


def sample_mesh(mesh: trimesh.Trimesh, n_samples: int, seed: int) -> np.ndarray:
    """(n, 3) random points on a mesh, evenly by area."""
    return points_on_mesh(mesh, n_samples, seed).points


def normals_of_faces(mesh: trimesh.Trimesh, chosen: np.ndarray) -> np.ndarray:
    """(n, 3) unit normals of some triangles (n,); zero for one without area."""
    crosses = face_crosses(mesh, chosen)
    return crosses / np.maximum(np.linalg.norm(crosses, axis=1, keepdims=True), np.finfo(np.float64).tiny)


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
    for _ in range(NEWTON_STEPS):
        slopes = gradients_at(sdf, points)
        squared = np.maximum(np.square(slopes).sum(axis=-1), 1e-6)
        points = points - (values_at(sdf, points) / squared)[:, None] * slopes
    return points


def values_at(sdf: ScalarField, points: np.ndarray) -> np.ndarray:
    """(n,) float64 values of a field at float64 points (n, 3)."""
    with torch.no_grad():
        return sdf(torch.from_numpy(points)).numpy()


def gradients_at(sdf: ScalarField, points: np.ndarray) -> np.ndarray:
    """(n, 3) gradients of a field at float64 points (n, 3), by central differences."""
    steps = DIFFERENCE_STEP * np.eye(3)
    differences = [values_at(sdf, points + step) - values_at(sdf, points - step) for step in steps]
    return np.stack(differences, axis=-1) / (2 * DIFFERENCE_STEP)


def mean_spacing(points: np.ndarray) -> float:
    """Mean distance from each of the points (n, 3) to the nearest other one; zero for fewer than two.

    >>> mean_spacing(np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [3.0, 0.0, 0.0]]))
    1.3333333333333333
    """
    return float(cKDTree(points).query(points, k=[2])[0].mean()) if len(points) > 1 else 0.0
