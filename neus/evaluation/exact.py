"""How far a mesh is from the body of a synthetic scene, whose surface is known exactly: in units, in pixels, with and without texture."""

import functools
import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

import numpy as np
import torch
import trimesh
from numpy.typing import NDArray
from torch import Tensor

from neus.evaluation.sampling import gradients_at, points_on_mesh, sample_zero_set
from neus.evaluation.surface import nearest_on_mesh, scores_from_distances
from neus.geometry.poses import invert
from neus.geometry.similarity import scale_of, transform_points
from neus.geometry.solids import Body, Solid
from neus.kernels.dispatch import kernels_for
from neus.meshing.extract import extract_mesh
from neus.meshing.measures import face_areas
from neus.scenes.scene import Scene
from neus.scenes.synthetic import body_of
from neus.scenes.synthetic_kinds import SyntheticKind

# Lattice on which each solid's surface is found, in a box of its own, and that of a body with relief, to which distances are taken.
SOLID_RESOLUTION, RELIEF_RESOLUTION = 128, 384
# The box about a solid or a body is so much larger than its bounding sphere.
MARGIN = 1.05
# A point of one solid that is deeper than this in another, scene units, is no surface.
BURIED = 1e-6
# Points of the mesh and of the truth, drawn for each number.
SAMPLES = 100_000


class _Side(NamedTuple):
    """Points (n, 3) of one side, scene frame: their distances (n,) to the other, angles (n,) of normals in degrees, paints (n,)."""

    distances: NDArray
    angles: NDArray
    paints: NDArray


def exact_scores(
    mesh: trimesh.Trimesh, scene: Scene, kind: SyntheticKind, thresholds: Sequence[float] = (), n_samples: int = SAMPLES, seed: int = 0
) -> dict[str, Any]:
    """Accuracy, completeness and normals of a mesh against the exact surface of a synthetic scene, as plain values for JSON.

    `SurfaceScores` of the whole, world units, and `px`, `textured`, `untextured` and `completeness_of` beside: the distances in pixels of
    footprint (what a pixel covers at the scene's centre, in the median view), the same apart for parts that have texture and
    parts that do not, and completeness part by part. `normals_error` is the mean angle between normals, both ways, in degrees.

    Args:
        mesh: in world units.
        scene: its views and frame; no pixel is read.
        kind: what it shows.
        thresholds: of F-scores, world units.
        n_samples, seed: random points on each side.
    """
    body, unit, pixel = body_of(kind.shape), scale_of(scene.scene_to_world), footprint(scene)
    local = mesh.copy()
    local.apply_transform(invert(scene.scene_to_world).numpy())
    from_mesh, from_truth = _mesh_side(local, body, kind, n_samples, seed), _truth_side(local, body, kind, n_samples, seed + 1)
    is_textured = np.array([paint.is_textured and not kind.light.is_metal for paint in kind.object.paints])
    sides = (from_mesh, from_truth)
    whole = _numbers(sides, unit, None)
    named = {
        name: _numbers(sides, unit, wanted) for name, wanted in (("textured", is_textured), ("untextured", ~is_textured))
    }
    scores = asdict(scores_from_distances(unit * from_mesh.distances, unit * from_truth.distances, thresholds))
    scores["normal_consistency"] = float(np.mean([np.cos(np.radians(side.angles)).mean() for side in sides]))
    of_paints = {
        name: unit * float(from_truth.distances[chosen].mean())
        for index, name in enumerate(kind.object.names)
        if (chosen := from_truth.paints == index).any()
    }
    in_pixels = {name: whole[name] / pixel for name in whole if name not in ("normals_error", "fraction_of_truth")}
    return scores | {
        "pixel": pixel, "normals_error": whole["normals_error"], "px": in_pixels, **named, "completeness_of": of_paints,
    }  # fmt: skip


def footprint(scene: Scene) -> float:
    """World units that a pixel covers at the scene's centre, in the median view."""
    distances = scene.camera_to_scene[:, :3, 3].double().norm(dim=-1)
    return float((distances / scene.intrinsics[:, 0, 0]).median()) * scale_of(scene.scene_to_world)


def _numbers(sides: tuple[_Side, _Side], unit: float, wanted: NDArray | None) -> dict[str, float | None]:
    """The numbers of those points whose paint is wanted (None: all); None where there are none."""
    chosen = [np.ones(len(side.paints), bool) if wanted is None else wanted[side.paints] for side in sides]
    distances = [unit * side.distances[c] for side, c in zip(sides, chosen, strict=True)]
    angles = [side.angles[c] for side, c in zip(sides, chosen, strict=True)]

    def of(values: NDArray, statistic: Any = np.mean) -> float | None:
        return float(statistic(values)) if len(values) else None

    means = [of(d) for d in distances]
    return {
        "accuracy": means[0],
        "completeness": means[1],
        "chamfer": None if None in means else sum(means) / 2,
        "accuracy_median": of(distances[0], np.median),
        "completeness_median": of(distances[1], np.median),
        "normals_error": None if None in means else float(np.mean([a.mean() for a in angles])),
        "fraction_of_truth": float(chosen[1].mean()),
    }


def _mesh_side(mesh: trimesh.Trimesh, body: Body, kind: SyntheticKind, n_samples: int, seed: int) -> _Side:
    sampled = points_on_mesh(mesh, n_samples, seed)
    distances = distances_to_body(body, sampled.points)
    return _Side(distances, _angles(sampled.normals, normals_of(body, sampled.points)), paints_of(body, kind, sampled.points))


def _truth_side(mesh: trimesh.Trimesh, body: Body, kind: SyntheticKind, n_samples: int, seed: int) -> _Side:
    points = points_on_body(body, n_samples, seed)
    distances, normals = nearest_on_mesh(points, mesh)
    return _Side(distances, _angles(normals, normals_of(body, points)), paints_of(body, kind, points))


def distances_to_body(body: Body, points: NDArray) -> NDArray:
    """(n,) distances of points (n, 3), scene frame, to the surface; with relief, to a mesh of it finer than a tenth of a pixel."""
    if body.is_distance:
        return np.abs(_part_distances(body, points).min(axis=1))
    return nearest_on_mesh(points, _fine_mesh(body))[0]


def normals_of(body: Body, points: NDArray) -> NDArray:
    """(n, 3) unit normals of the surface nearest to points (n, 3): gradients of the signed distance."""

    def sdf(p: Tensor) -> Tensor:
        return torch.from_numpy(_part_distances(body, p.numpy()).min(axis=1))

    slopes = gradients_at(sdf, points)
    return slopes / np.maximum(np.linalg.norm(slopes, axis=1, keepdims=True), 1e-12)


def paints_of(body: Body, kind: SyntheticKind, points: NDArray) -> NDArray:
    """(n,) numbers of the paints of the surface nearest to points (n, 3)."""
    part = torch.from_numpy(_part_distances(body, points).argmin(axis=1))
    return kind.object.paint_of(torch.from_numpy(points), part).numpy()


def points_on_body(body: Body, n_samples: int, seed: int) -> NDArray:
    """(n, 3) random points on the surface of a body, evenly by area, exact; parts of any thinness have theirs.

    Drawn solid by solid, without those that are buried in another solid, so that somewhat fewer are returned.
    """
    areas = np.array([_area(solid) for solid in body.solids])
    counts = np.ceil(n_samples * areas / areas.sum()).astype(int)
    drawn = [_points_on_solid(solid, n, seed + k) for k, (solid, n) in enumerate(zip(body.solids, counts, strict=True))]
    points = np.concatenate(drawn)
    return points[_part_distances(body, points).min(axis=1) > -BURIED]


def _points_on_solid(solid: Solid, n_samples: int, seed: int) -> NDArray:
    if solid.kind == "capsule" and solid.relief is None:
        return _points_on_capsule(solid, n_samples, seed)
    return sample_zero_set(solid.distance, _box_about(*solid.bound()), n_samples, seed, SOLID_RESOLUTION)


def _points_on_capsule(solid: Solid, n_samples: int, seed: int) -> NDArray:
    """Written out, since no lattice finds a rod of half a pixel."""
    (length, radius), generator = solid.sizes, np.random.default_rng(seed)
    azimuth = generator.uniform(0.0, 2.0 * math.pi, n_samples)
    # Even by area is even in height, on cylinder and sphere alike (Archimedes): along the axis by -r ... length + r.
    height = generator.uniform(-radius, length + radius, n_samples)
    beyond = height - np.clip(height, 0.0, length)
    across = np.sqrt(np.maximum(radius**2 - beyond**2, 0.0))
    local = np.column_stack([across * np.cos(azimuth), across * np.sin(azimuth), height])
    return transform_points(invert(solid.to_local), torch.from_numpy(local)).numpy()


@functools.lru_cache(maxsize=64)
def _area(solid: Solid) -> float:
    if solid.kind == "capsule" and solid.relief is None:
        length, radius = solid.sizes
        return 2.0 * math.pi * radius * (length + 2.0 * radius)
    mesh = extract_mesh(solid.distance, _box_about(*solid.bound()), SOLID_RESOLUTION, close_at_border=False)
    return float(face_areas(mesh).sum())


@functools.lru_cache(maxsize=2)
def _fine_mesh(body: Body) -> trimesh.Trimesh:
    """The surface as triangles whose corners lie on it."""

    def sdf(points: Tensor) -> Tensor:
        return kernels_for("solids", points.device).part_distances(body, points).amin(dim=-1)

    return extract_mesh(sdf, _box_about((0.0, 0.0, 0.0), body.radius), RELIEF_RESOLUTION, close_at_border=False)


def _box_about(center: Sequence[float], radius: float) -> Tensor:
    return torch.tensor(center, dtype=torch.float64) + MARGIN * radius * torch.tensor([[-1.0], [1.0]], dtype=torch.float64)


def _part_distances(body: Body, points: NDArray) -> NDArray:
    """(n, parts) signed distances."""
    return kernels_for("solids", torch.device("cpu")).part_distances(body, torch.from_numpy(points)).numpy()


def _angles(normals: NDArray, others: NDArray) -> NDArray:
    """(n,) degrees between unit normals, whichever way they point."""
    return np.degrees(np.arccos(np.clip(np.abs((normals * others).sum(axis=1)), 0.0, 1.0)))
