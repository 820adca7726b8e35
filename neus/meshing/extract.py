"""The surface of a field as one triangle mesh: marching cubes per block, joined without seams."""

from collections.abc import Callable

import numpy as np
import torch
import trimesh
from torch import Tensor

from neus.errors import InputError
from neus.meshing.cubes import marching_cubes
from neus.meshing.lattice import (
    BOUND_SAMPLES,
    Block,
    BoundTooSmall,
    Lattice,
    Sampler,
    ScalarField,
    VectorField,
    sampled_blocks,
    slope_bound,
)

# Vertices stay this part of a cell away from lattice points, so that no triangle collapses, not even in a float32 file.
NUDGE = 1e-3
# A value this many cells away tells no more than its sign; the limit keeps a vertex off the point where a field jumps.
FAR = 1e4


def extract_mesh(
    sdf: ScalarField,
    box: Tensor,
    resolution: int,
    level: float = 0.0,
    gradient: VectorField | None = None,
    close_at_border: bool = True,
    chunk: int = 2**16,
    block: int = 64,
    on_progress: Callable[[int, int], None] | None = None,
    bound_samples: int = BOUND_SAMPLES,
) -> trimesh.Trimesh:
    """The surface sdf = -level within a box, faces outwards, in the scene frame.

    Marching cubes (Lorensen and Cline 1987) over `resolution` points along each axis of the box, as in NeuS. Vertices
    are ordered by the lattice edge they lie on, so they do not depend on `block`.

    Args:
        sdf: points (M, 3) to signed distances (M,), negative inside; any slope.
        box: (2, 3) lower and upper corner, scene units; the field is evaluated at float32 points on its device.
        resolution: lattice points along each axis.
        level: NeuS's `--mcube_threshold`, scene units: a positive one shrinks the object.
        gradient: points (M, 3) to the field's gradients (M, 3); gives the vertex normals.
        close_at_border: close the surface along the faces of the box where the object reaches out of it; otherwise it
            ends there with an open edge.
        chunk: points in one call of a function; bounds the memory.
        block: lattice cells along each side of a block, a power of two.
        on_progress: called with the number of blocks done and their total; starts again in the rare case that the
            field proves steeper than estimated.
        bound_samples: points at which the slope is evaluated, for the bound by which empty space is skipped.

    Raises:
        InputError: no surface in the box (with the range of distances seen), or a field that is not a number.
    """
    if resolution < 2:
        raise InputError(
            f"mesh extraction: resolution {resolution}, expected at least 2 points along each axis, 512 as usual."
        )
    lattice = Lattice(box, resolution, block)
    sampler = Sampler(sdf, lattice, offset=level, chunk=chunk)
    bound = slope_bound(sdf, lattice, gradient, bound_samples)
    while True:
        try:
            parts = [
                _block_surface(part, lattice, NUDGE * bound * float(lattice.spacing.min()), close_at_border)
                for part in sampled_blocks(sampler, bound, on_progress)
            ]
            break
        except BoundTooSmall:
            # With every doubling less is passed over; once all of the lattice is evaluated nothing can contradict.
            bound = 2 * bound
    parts = [part for part in parts if part is not None]
    if not parts or sampler.seen[0] >= 0 or sampler.seen[1] < 0:
        raise _no_surface(sampler, level)
    vertices, faces = _joined(parts)
    mesh = trimesh.Trimesh(lattice.positions(vertices), faces, process=False)
    if gradient is not None:
        mesh.vertex_normals = vertex_normals_from_gradient(mesh, gradient, box.device, chunk)
    return mesh


def _block_surface(
    block: Block, lattice: Lattice, nudge: float, close_at_border: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Marching cubes in one block.

    Returns:
        The number of the lattice edge of each vertex (n,), vertices (n, 3) in lattice coordinates, faces (m, 3); or
        None if the block holds no surface.
    """
    last = lattice.resolution - 1
    at_border = np.stack([block.start == 0, block.start + block.values.shape - 1 == last], axis=-1) & close_at_border
    is_inside = block.values < 0
    if not is_inside.any() or (is_inside.all() and not at_border.any()):
        return None
    magnitudes = np.clip(np.abs(block.values), nudge, nudge / NUDGE * FAR)
    values = np.pad(np.where(is_inside, -magnitudes, magnitudes), at_border.astype(int), constant_values=nudge / NUDGE)
    vertices, faces = marching_cubes(values)
    vertices += block.start - at_border[:, 0]
    # Every vertex lies on one lattice edge: two whole coordinates, and one strictly between its two ends.
    lower = np.floor(vertices).astype(np.int64)
    axes = np.argmax(vertices - lower, axis=1)
    x, y, z = (lower + 1).T
    side = lattice.resolution + 2
    edges = ((x * side + y) * side + z) * 3 + axes
    # Beyond the box lies one layer of outside points; what ends there is moved back on to the box.
    return edges, np.clip(vertices, 0, last), faces.astype(np.int32)


def _joined(parts: list[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (n, 3) and faces (m, 3) of all blocks, one vertex for each lattice edge; empties the list, for its memory."""
    n_vertices = [len(vertices) for _, vertices, _ in parts]
    edges = np.concatenate([edges for edges, _, _ in parts])
    vertices = np.concatenate([vertices for _, vertices, _ in parts])
    firsts = np.cumsum([0, *n_vertices[:-1]])
    faces = np.concatenate([faces + first for (_, _, faces), first in zip(parts, firsts, strict=True)])
    parts.clear()
    _, representatives, numbers = np.unique(edges, return_index=True, return_inverse=True)
    return vertices[representatives], numbers[faces]


def vertex_normals_from_gradient(
    mesh: trimesh.Trimesh, gradient: VectorField, device: torch.device, chunk: int = 2**16
) -> np.ndarray:
    """(n, 3) unit normals from the field; where its gradient vanishes (on an edge, say), from the faces around.

    Raises:
        InputError: a gradient that is not a number.
    """
    vertices = mesh.vertices.view(np.ndarray)
    normals = np.empty(vertices.shape)
    for first in range(0, len(normals), chunk):
        points = torch.from_numpy(vertices[first : first + chunk].astype(np.float32)).to(device)
        normals[first : first + chunk] = gradient(points).detach().cpu().numpy()
    if not np.isfinite(normals).all():
        raise InputError(
            "mesh extraction: the field's gradient on the surface is NaN or infinite, expected numbers; "
            "the training diverged: go back to an earlier checkpoint."
        )
    lengths = np.linalg.norm(normals, axis=1, keepdims=True)
    if (lengths < 1e-6).any():
        vanishes = lengths[:, 0] < 1e-6
        normals[vanishes], lengths[vanishes] = mesh.vertex_normals[vanishes], 1.0
    return normals / lengths


def _no_surface(sampler: Sampler, level: float) -> InputError:
    low, high = (value - level for value in sampler.seen)
    found = (
        f"mesh extraction: no surface sdf = {0.0 - level:g} in the box: "
        f"signed distances there from {low:.3g} to {high:.3g}"
    )
    if sampler.seen[0] >= 0:
        return InputError(
            f"{found}, all outside; the object lies outside the box, or the training lost it: check the scale matrix "
            f"and the masks{', or lower --mcube_threshold' if level > 0 else ''}."
        )
    if sampler.seen[1] < 0:
        return InputError(
            f"{found}, all inside; the box lies within the object, or the training diverged: check that the cameras "
            f"see the object from outside{', or raise --mcube_threshold' if level < 0 else ', or enlarge the box'}."
        )
    return InputError(
        f"{found}; what is inside is thinner than a lattice cell ({sampler.lattice.spacing.max():.3g}); "
        "raise the resolution."
    )
