"""How far a shape of a prior is from the truth, in units of the unit sphere."""

from dataclasses import asdict, dataclass

import numpy as np
import torch
import trimesh
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from torch import Tensor

from neus.errors import InputError
from neus.evaluation.sampling import sample_mesh
from neus.evaluation.surface import distances_to_mesh
from neus.fields.latent_sdf import LatentField
from neus.meshing.clean import without_floaters
from neus.meshing.extract import extract_mesh
from neus.meshing.measures import piece_areas, piece_of_vertex
from neus.shapes.truth import Truth

# Points on either surface.
POINTS = 4000
# Where the sign of samples is judged: nearer than this a wrong one is an error of distance.
CLEAR_SIGN = 0.01
RESOLUTION = 112
# Values above this part of the truncation are no distances: there the distance to a mesh on a coarse lattice is taken.
NEAR_PART, COARSE = 0.7, 80
# Slopes below this do not belong to a distance.
LEAST_SLOPE = 0.2
# Points evaluated together.
CHUNK = 2**14


@dataclass(frozen=True)
class ShapeScores:
    """One shape against its truth.

    Attributes:
        accuracy: mean exact distance of the fitted surface's points to the true surface.
        completeness: mean |f| / |grad f| at points of the true surface (`surface_distances`).
        sign: fraction of samples with |s| > 0.01 whose sign is right.
        euler_is_right: whether vertices - edges + faces are those of the truth's mesh; None if it was not asked for.
        stray: part of the fitted surface's area in pieces below a hundredth of the largest.
        chamfer: the published measure: sum of both mean squared distances between points, x 1000; two samplings of one
            surface of area A score 2000 A / (pi n).
    """

    accuracy: float
    completeness: float
    sign: float
    euler_is_right: bool | None
    stray: float
    chamfer: float

    def as_dict(self) -> dict[str, float | bool | None]:
        """Plain values, for JSON."""
        return asdict(self)


def cube(device: torch.device | str = "cpu") -> Tensor:
    """(2, 3) the cube about the unit ball, a little larger, so that nothing is cut at its border."""
    return torch.tensor([[-1.05] * 3, [1.05] * 3], device=device)


def field_mesh(field: LatentField, resolution: int = RESOLUTION) -> trimesh.Trimesh:
    """The surface of a prior's shape, with normals; raises InputError where there is none."""
    return extract_mesh(field.sdf, cube(field.code.device), resolution, gradient=field.gradient, chunk=CHUNK)


def shape_scores(field: LatentField, truth: Truth, resolution: int = RESOLUTION, euler: bool = False, seed: int = 0) -> ShapeScores:
    """A fitted shape against the truth.

    Args:
        field: the fitted shape.
        truth: the exact one.
        resolution: of the lattice on which surfaces are found.
        euler: whether Euler numbers are compared, which takes a mesh of the truth.
        seed: of the points.
    """
    try:
        mesh = field_mesh(field, resolution)
    except InputError:  # no surface at all: as far off as can be
        return ShapeScores(1.0, 1.0, sign_rate(field, truth.samples.all), False, 0.0, 1e3)
    on_fit, on_truth = sample_mesh(mesh, POINTS, seed), truth.surface(POINTS, seed + 1)
    areas = piece_areas(mesh, piece_of_vertex(mesh))
    is_right = None
    if euler:
        is_right = euler_number(mesh) == euler_number(truth_mesh(truth, resolution))
    return ShapeScores(
        accuracy=float(np.abs(truth.sdf(on_fit)).mean()),
        completeness=float(surface_distances(field, on_truth).mean()),
        sign=sign_rate(field, truth.samples.all),
        euler_is_right=is_right,
        stray=float(areas[areas < 0.01 * areas.max()].sum() / areas.sum()),
        chamfer=1000.0 * squared_chamfer(on_fit, on_truth),
    )


def truth_mesh(truth: Truth, resolution: int) -> trimesh.Trimesh:
    """The true surface on the same lattice as that of a fit."""
    return extract_mesh(lambda p: torch.from_numpy(truth.sdf(p.double().numpy())).float(), cube(), resolution)


def euler_number(mesh: trimesh.Trimesh) -> int:
    """Vertices - edges + faces of a mesh without its crumbs."""
    return int(without_floaters(mesh).euler_number)


def surface_distances(field: LatentField, points: NDArray) -> NDArray:
    """(n,) distances of points (n, 3) to a field's surface: |f| / |grad f|, right to first order; to its mesh where f is truncated."""
    f, slopes = [], []
    for part in torch.from_numpy(np.asarray(points, np.float32)).split(CHUNK):
        with torch.no_grad():
            sample = field.evaluate(part.to(field.code.device))
        f.append(sample.sdf.abs().cpu().numpy())
        slopes.append(sample.gradients.norm(dim=-1).cpu().numpy())
    values = np.concatenate(f)
    distances = values / np.maximum(np.concatenate(slopes), LEAST_SLOPE)
    is_far = values > NEAR_PART * field.truncation
    if is_far.any():
        distances[is_far] = distances_to_mesh(np.asarray(points, np.float64)[is_far], field_mesh(field, COARSE))
    return distances


def sign_rate(field: LatentField, samples: Tensor) -> float:
    """Fraction of samples (n, 4) with |s| > 0.01 whose sign the field has."""
    clear = samples[samples[:, 3].abs() > CLEAR_SIGN]
    with torch.no_grad():
        found = torch.cat([field.sdf(part[:, :3].to(field.code.device)).cpu() for part in clear.split(CHUNK)])
    return float(((found > 0) == (clear[:, 3] > 0)).double().mean())


def squared_chamfer(first: NDArray, second: NDArray) -> float:
    """The published Chamfer of points (n, 3) and (m, 3): mean squared distance to the nearest point, both ways, summed.

    >>> squared_chamfer(np.zeros((1, 3)), np.array([[3.0, 0.0, 4.0]]))
    50.0
    """
    there, back = cKDTree(second).query(first)[0], cKDTree(first).query(second)[0]
    return float(np.square(there).mean() + np.square(back).mean())
