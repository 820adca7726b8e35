"""The built-in object on a CPU: compiled loops with the signatures of `reference`, whose docstrings hold here too.

The distances are those of `geometry.shapes`, each written out for one point. Measures and limits are arguments of the loops,
for numba's cache does not see constants of other files change. Rays are shared out among threads, and each is traced alone:
no number depends on how many there are.
"""

import functools
import math

import numpy as np
import torch
from numba import njit
from torch import Tensor

from neus.geometry import cup
from neus.kernels.demo_scene.reference import POLISH_STEPS, POLISHED
from neus.kernels.threads import ranges, run_tasks

# Rays or points handled at a time: some milliseconds, long against the start of a task.
PER_TASK = 4096
_compiled = njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract", "nsz", "reassoc", "nnan"})


def part_distances(points: Tensor) -> Tensor:
    """Signed distances (..., 4) of points (..., 3), without gradient; see `geometry.cup.part_distances`."""
    flat = points.detach().double().reshape(-1, 3).numpy()
    distances = np.empty((len(flat), 4))

    def measure(start: int, stop: int) -> None:
        _measure(flat[start:stop], *_shape(), distances[start:stop])

    run_tasks(measure, ranges(len(flat), PER_TASK))
    return torch.from_numpy(distances).reshape(*points.shape[:-1], 4).to(points)


def first_hits(
    origins: Tensor, directions: Tensor, near: Tensor, far: Tensor, tolerance: float, max_steps: int
) -> Tensor:
    """Distance (N,) along each ray to the object, infinite for a miss; see `reference.first_hits`."""
    o, d, t, end = (x.detach().double().contiguous().numpy() for x in (origins, directions, near, far))
    hits = np.empty_like(t)

    def trace(start: int, stop: int) -> None:
        part = slice(start, stop)
        _trace(
            o[part], d[part], t[part], end[part], *_shape(), tolerance, max_steps, POLISHED, POLISH_STEPS, hits[part]
        )

    run_tasks(trace, ranges(len(t), PER_TASK))
    return torch.from_numpy(hits).to(near)


@functools.cache
def _shape() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The object's measures: edges (6, E) of its profile, frames (2, 3, 4) of handle and sugar, and sizes (15,)."""
    corners = np.array(cup.PROFILE)
    starts, ends = corners, np.roll(corners, -1, axis=0)
    is_surface = (starts[:, 0] > 0.0) | (ends[:, 0] > 0.0)  # edges on the axis lie within the solid
    lengths = np.linalg.norm(ends - starts, axis=-1)
    edges = np.stack([*starts.T, ends[:, 1], *(ends - starts).T / lengths, lengths])[:, is_surface]
    frames = np.stack([cup.SCENE_TO_HANDLE.numpy()[:3], cup.SCENE_TO_SUGAR.numpy()[:3]])
    foot, top = np.array(cup.STIRRER_FOOT), np.array(cup.STIRRER_TOP)
    torus = [cup.HANDLE_RADIUS, cup.HANDLE_TUBE, math.cos(cup.HANDLE_HALF_ARC), math.sin(cup.HANDLE_HALF_ARC)]
    stirrer = [*foot, *(top - foot), (top - foot) @ (top - foot), cup.STIRRER_RADIUS, cup.KNOB_RADIUS]
    sugar = [cup.SUGAR_HALF_SIDE - cup.SUGAR_ROUNDING, cup.SUGAR_ROUNDING]
    return np.ascontiguousarray(edges), frames, np.array(torus + stirrer + sugar)


@_compiled
def _measure(points, edges, frames, sizes, distances):
    for i in range(len(points)):
        parts = _parts(points[i, 0], points[i, 1], points[i, 2], edges, frames, sizes)
        distances[i, 0], distances[i, 1], distances[i, 2], distances[i, 3] = parts


@_compiled
def _trace(origins, directions, near, far, edges, frames, sizes, tolerance, max_steps, polished, polish_steps, hits):
    for i in range(len(near)):
        o, d, t = origins[i], directions[i], near[i]
        hits[i] = np.inf
        for _ in range(max_steps):
            if t > far[i]:
                break
            f = _along(o, d, t, edges, frames, sizes)
            if f < tolerance:
                hits[i] = _polished(o, d, t, f, edges, frames, sizes, polished, polish_steps)
                break
            t += f


@_compiled
def _polished(o, d, t, f, edges, frames, sizes, polished, polish_steps):
    for _ in range(polish_steps):
        if abs(f) < polished:
            break
        f_next = _along(o, d, t + f, edges, frames, sizes)
        if abs(f_next) >= abs(f):
            break
        t, f = t + f, f_next
    return t


@_compiled
def _along(o, d, t, edges, frames, sizes):
    parts = _parts(o[0] + t * d[0], o[1] + t * d[1], o[2] + t * d[2], edges, frames, sizes)
    return min(min(parts[0], parts[1]), min(parts[2], parts[3]))


@_compiled
def _parts(x, y, z, edges, frames, sizes):
    """Cup, handle, stirrer, sugar; the sizes in the order of `_shape`."""
    handle_x, handle_y, handle_z = _placed(frames[0], x, y, z)
    sugar_x, sugar_y, sugar_z = _placed(frames[1], x, y, z)
    return (
        _polygon(math.sqrt(x * x + y * y), z, edges),
        _arc(handle_x, abs(handle_y), handle_z, sizes[0], sizes[2], sizes[3]) - sizes[1],
        _stirrer(x - sizes[4], y - sizes[5], z - sizes[6], sizes),
        _cube(sugar_x, sugar_y, sugar_z, sizes[13]) - sizes[14],
    )


@_compiled
def _placed(frame, x, y, z):
    return (
        frame[0, 0] * x + frame[0, 1] * y + frame[0, 2] * z + frame[0, 3],
        frame[1, 0] * x + frame[1, 1] * y + frame[1, 2] * z + frame[1, 3],
        frame[2, 0] * x + frame[2, 1] * y + frame[2, 2] * z + frame[2, 3],
    )


@_compiled
def _polygon(x, y, edges):
    nearest, crossings = np.inf, 0
    for e in range(edges.shape[1]):
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
def _stirrer(x, y, z, sizes):
    axis_x, axis_y, axis_z, squared, radius, knob_radius = sizes[7], sizes[8], sizes[9], sizes[10], sizes[11], sizes[12]
    fraction = min(max((x * axis_x + y * axis_y + z * axis_z) / squared, 0.0), 1.0)
    rod = math.sqrt((x - fraction * axis_x) ** 2 + (y - fraction * axis_y) ** 2 + (z - fraction * axis_z) ** 2)
    knob = math.sqrt((x - axis_x) ** 2 + (y - axis_y) ** 2 + (z - axis_z) ** 2)
    return min(rod - radius, knob - knob_radius)


@_compiled
def _cube(x, y, z, half_side):
    x, y, z = abs(x) - half_side, abs(y) - half_side, abs(z) - half_side
    outside = math.sqrt(max(x, 0.0) ** 2 + max(y, 0.0) ** 2 + max(z, 0.0) ** 2)
    return outside + min(max(x, max(y, z)), 0.0)
