"""Bodies of solids on a CPU: compiled loops with the signatures of `reference`, whose docstrings hold here too.

The distances are those of `geometry.shapes`, each written out for one point. Measures and limits are arguments of the loops,
for numba's cache does not see constants of other files change. Rays are shared out among threads, and each is traced alone:
no number depends on how many there are. A solid whose bounding sphere is farther than another solid is not looked at.
"""

import functools
import math

import numpy as np
import torch
from numba import njit
from torch import Tensor

from neus.geometry.solids import KINDS, Body, Solid
from neus.kernels.solids.reference import POLISH_STEPS, POLISHED
from neus.kernels.threads import ranges, run_tasks

# Rays or points handled at a time: some milliseconds, long against the start of a task.
PER_TASK = 4096
_REVOLUTION, _PRISM, _TORUS, _CAPSULE, _SPHERE = (KINDS.index(k) for k in KINDS[:5])
# Columns of a solid's row: kind, part, bounding sphere, motion to its own frame, sizes, relief, ranges of edges and of waves.
KIND, PART, BOUND, FRAME, SIZES, RELIEF, RANGES, N_COLUMNS = 0, 1, 2, 6, 18, 22, 24, 28
_compiled = njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract", "nsz", "reassoc", "nnan"})


def part_distances(body: Body, points: Tensor) -> Tensor:
    """Signed distances (..., parts) of points (..., 3), without gradient; see `geometry.solids.Body.part_distances`."""
    flat = points.detach().double().reshape(-1, 3).numpy()
    distances = np.full((len(flat), body.n_parts), np.inf)
    rows, edges, waves = _tables(body)

    def measure(start: int, stop: int) -> None:
        _measure(flat[start:stop], rows, edges, waves, distances[start:stop])

    run_tasks(measure, ranges(len(flat), PER_TASK))
    return torch.from_numpy(distances).reshape(*points.shape[:-1], body.n_parts).to(points)


def first_hits(
    body: Body, origins: Tensor, directions: Tensor, near: Tensor, far: Tensor, tolerance: float, max_steps: int
) -> Tensor:
    """Distance (N,) along each ray to the body, infinite for a miss; see `reference.first_hits`."""
    o, d, t, end = (x.detach().double().contiguous().numpy() for x in (origins, directions, near, far))
    hits, settings = np.empty_like(t), (*_tables(body), tolerance, max_steps, POLISHED, POLISH_STEPS)

    def trace(start: int, stop: int) -> None:
        part = slice(start, stop)
        _trace(o[part], d[part], t[part], end[part], *settings, hits[part])

    run_tasks(trace, ranges(len(t), PER_TASK))
    return torch.from_numpy(hits).to(near)


@functools.lru_cache(maxsize=16)
def _tables(body: Body) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A row for each solid, in the columns named below; edges (6, E) and waves (W, 4) of all."""
    edges, waves = [_edges(solid) for solid in body.solids], [_waves(solid) for solid in body.solids]
    rows = np.zeros((len(body.solids), N_COLUMNS))
    n_edges = n_waves = 0
    for row, solid, e, w in zip(rows, body.solids, edges, waves, strict=True):
        center, radius = solid.bound()
        row[KIND], row[PART], row[BOUND : BOUND + 4] = KINDS.index(solid.kind), solid.part, [*center, radius]
        row[FRAME : FRAME + 12] = solid.to_local.numpy()[:3].ravel()
        row[SIZES : SIZES + len(solid.sizes)] = solid.sizes
        if solid.kind == "torus":
            row[SIZES + 2 : SIZES + 4] = math.cos(solid.sizes[2]), math.sin(solid.sizes[2])
        if solid.kind == "box":
            row[SIZES : SIZES + 3] -= solid.sizes[3]
        if solid.relief is not None:
            row[RELIEF : RELIEF + 2] = solid.relief.amplitude, 1.0 + solid.relief.slope
        row[RANGES : RANGES + 4] = n_edges, n_edges + e.shape[1], n_waves, n_waves + len(w)
        n_edges, n_waves = n_edges + e.shape[1], n_waves + len(w)
    return rows, np.ascontiguousarray(np.concatenate(edges, axis=1)), np.concatenate(waves)


def _edges(solid: Solid) -> np.ndarray:
    """(6, E) of each edge x and y of its start, y of its end, its unit direction, its length."""
    if not solid.corners:
        return np.empty((6, 0))
    starts = np.array(solid.corners)
    ends = np.roll(starts, -1, axis=0)
    # Edges of a revolution that lie on its axis are within the solid.
    kept = (starts[:, 0] > 0.0) | (ends[:, 0] > 0.0) | (solid.kind != "revolution")
    lengths = np.linalg.norm(ends - starts, axis=-1)
    return np.stack([*starts.T, ends[:, 1], *(ends - starts).T / lengths, lengths])[:, kept]


def _waves(solid: Solid) -> np.ndarray:
    return np.empty((0, 4)) if solid.relief is None else np.array(solid.relief.waves)


@_compiled
def _measure(points, rows, edges, waves, distances):
    for i in range(len(points)):
        for k in range(len(rows)):
            d = _solid(rows, edges, waves, k, points[i, 0], points[i, 1], points[i, 2])
            part = int(rows[k, PART])
            distances[i, part] = min(distances[i, part], d)


@_compiled
def _trace(
    origins, directions, near, far, rows, edges, waves, tolerance, max_steps, polished, polish_steps, hits
):
    for i in range(len(near)):
        ox, oy, oz, dx, dy, dz = (
            origins[i, 0], origins[i, 1], origins[i, 2], directions[i, 0], directions[i, 1], directions[i, 2],
        )  # fmt: skip
        t, f = near[i], np.inf
        hits[i] = np.inf
        for _ in range(max_steps):
            if t > far[i]:
                break
            f = _nearest(rows, edges, waves, ox + t * dx, oy + t * dy, oz + t * dz)
            if f < tolerance:
                break
            t += f
        if f < tolerance:
            for _ in range(polish_steps):
                if abs(f) < polished:
                    break
                t_next = t + f
                f_next = _nearest(rows, edges, waves, ox + t_next * dx, oy + t_next * dy, oz + t_next * dz)
                if abs(f_next) >= abs(f):
                    break
                t, f = t_next, f_next
            hits[i] = t


@_compiled
def _nearest(rows, edges, waves, x, y, z):
    nearest = np.inf
    for k in range(len(rows)):
        dx, dy, dz = x - rows[k, BOUND], y - rows[k, BOUND + 1], z - rows[k, BOUND + 2]
        within = nearest + rows[k, BOUND + 3]
        if within > 0.0 and dx * dx + dy * dy + dz * dz < within * within:
            nearest = min(nearest, _solid(rows, edges, waves, k, x, y, z))
    return nearest


@_compiled
def _solid(rows, edges, waves, k, x, y, z):
    """The distance of one point to one solid."""
    u = rows[k, FRAME] * x + rows[k, FRAME + 1] * y + rows[k, FRAME + 2] * z + rows[k, FRAME + 3]
    v = rows[k, FRAME + 4] * x + rows[k, FRAME + 5] * y + rows[k, FRAME + 6] * z + rows[k, FRAME + 7]
    w = rows[k, FRAME + 8] * x + rows[k, FRAME + 9] * y + rows[k, FRAME + 10] * z + rows[k, FRAME + 11]
    kind, size = int(rows[k, KIND]), rows[k, SIZES]
    first, last = int(rows[k, RANGES]), int(rows[k, RANGES + 1])
    if kind == _REVOLUTION:
        d = _polygon(math.sqrt(u * u + v * v), w, edges, first, last)
    elif kind == _PRISM:
        d = _outside(_polygon(u, v, edges, first, last), abs(w) - size)
    elif kind == _TORUS:
        d = _arc(u, abs(v), w, size, rows[k, SIZES + 2], rows[k, SIZES + 3]) - rows[k, SIZES + 1]
    elif kind == _CAPSULE:
        rest = w - min(max(w, 0.0), size)
        d = math.sqrt(u * u + v * v + rest * rest) - rows[k, SIZES + 1]
    elif kind == _SPHERE:
        d = math.sqrt(u * u + v * v + w * w) - size
    else:
        d = _box(u, v, w, size, rows[k, SIZES + 1], rows[k, SIZES + 2]) - rows[k, SIZES + 3]
    amplitude = rows[k, RELIEF]
    if amplitude > 0.0:
        plain, steepness = (d - amplitude if d > 0.0 else d + amplitude), rows[k, RELIEF + 1]
        # So far off the waves change nothing: whatever they are, the plain bound is the better one.
        if abs(d) * (steepness - 1.0) >= amplitude * (steepness + 1.0):
            return plain
        height = _height(waves, int(rows[k, RANGES + 2]), int(rows[k, RANGES + 3]), x, y, z)
        near = (d - amplitude * height) / steepness
        d = max(near, plain) if d > 0.0 else min(near, plain)
    return d


@_compiled
def _height(waves, first, last, x, y, z):
    height = 0.0
    for i in range(first, last):
        height += math.sin(waves[i, 0] * x + waves[i, 1] * y + waves[i, 2] * z + waves[i, 3])
    return height / (last - first)


@_compiled
def _outside(a, b):
    return math.sqrt(max(a, 0.0) ** 2 + max(b, 0.0) ** 2) + min(max(a, b), 0.0)


@_compiled
def _polygon(x, y, edges, first, last):
    nearest, crossings = np.inf, 0
    for e in range(first, last):
        start_y, end_y, unit_x, unit_y, length = edges[1, e], edges[2, e], edges[3, e], edges[4, e], edges[5, e]
        from_x, from_y = x - edges[0, e], y - start_y
        along, across = from_x * unit_x + from_y * unit_y, from_x * unit_y - from_y * unit_x
        beyond = along - min(max(along, 0.0), length)
        nearest = min(nearest, across * across + beyond * beyond)
        crossings += ((start_y <= y) != (end_y <= y)) & ((across < 0.0) == (unit_y > 0.0))
    return -math.sqrt(nearest) if crossings % 2 else math.sqrt(nearest)


@_compiled
def _arc(x, y, z, radius, cosine, sine):
    if y * cosine - x * sine > 0.0:
        return math.sqrt((x - radius * cosine) ** 2 + (y - radius * sine) ** 2 + z * z)
    return math.sqrt((math.sqrt(x * x + y * y) - radius) ** 2 + z * z)


@_compiled
def _box(x, y, z, half_x, half_y, half_z):
    x, y, z = abs(x) - half_x, abs(y) - half_y, abs(z) - half_z
    outside = math.sqrt(max(x, 0.0) ** 2 + max(y, 0.0) ** 2 + max(z, 0.0) ** 2)
    return outside + min(max(x, max(y, z)), 0.0)
