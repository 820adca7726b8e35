"""Signed distances on a lattice to where its values change sign, compiled; see `reference` for signature and meaning.

The nearest of the vertices beside the surface is found axis by axis (Felzenszwalb and Huttenlocher 2012): along z for each
line, then along y by the lower envelope of the parabolas (y - y')^2 + (z - z')^2, then along x likewise.
"""

import numpy as np
from numpy.typing import NDArray

from neus.kernels.jit import compiled
from neus.kernels.threads import ranges, run_tasks
from neus.kernels.zero_distances.reference import LEAST

# Planes at a time.
PLANES = 4


def distances_to_zeros(values: NDArray, step: float) -> NDArray:
    """(X, Y, Z) float32 signed distances; see `reference.distances_to_zeros`. Works in 4 bytes a vertex besides the result."""
    values = np.ascontiguousarray(values, np.float32)
    counts = np.zeros(len(values), np.int64)
    planes = ranges(len(values), PLANES)
    run_tasks(lambda start, end: _count(values, start, end, counts), planes)
    firsts = np.cumsum(counts) - counts
    places, feet = np.empty((counts.sum(), 3), np.int32), np.empty((counts.sum(), 3), np.float32)
    rows = np.empty(values.shape, np.int32)
    run_tasks(lambda start, end: _along_z(values, start, end, firsts, places, feet, rows), planes)
    run_tasks(lambda start, end: _along_y(start, end, places, rows), planes)
    distances = np.empty(values.shape, np.float32)
    columns = ranges(values.shape[1], PLANES)
    run_tasks(lambda start, end: _along_x(values, start, end, places, feet, rows, np.float32(step), distances), columns)
    return distances


@compiled
def _count(values, start, end, counts):
    """Numbers of vertices with a zero on an edge in each plane."""
    for x in range(start, end):
        for y in range(values.shape[1]):
            for z in range(values.shape[2]):
                counts[x] += _has_zero(values, x, y, z)


@compiled
def _has_zero(values, x, y, z):
    inside, found = values[x, y, z] < 0, False
    if x > 0:
        found |= (values[x - 1, y, z] < 0) != inside
    if x < values.shape[0] - 1:
        found |= (values[x + 1, y, z] < 0) != inside
    if y > 0:
        found |= (values[x, y - 1, z] < 0) != inside
    if y < values.shape[1] - 1:
        found |= (values[x, y + 1, z] < 0) != inside
    if z > 0:
        found |= (values[x, y, z - 1] < 0) != inside
    if z < values.shape[2] - 1:
        found |= (values[x, y, z + 1] < 0) != inside
    return found


@compiled
def _slope(here, before, after):
    """One over the way to the nearer zero towards both neighbours along an axis, with its sign; 0 where there is none."""
    slope, here = 0.0, np.float64(here)
    if (here < 0) != (before < 0):
        slope = -1.0 / max(here / (here - before), LEAST)
    if (here < 0) != (after < 0):
        there = 1.0 / max(here / (here - after), LEAST)
        slope = there if there > -slope else slope
    return slope


@compiled
def _along_z(values, start, end, firsts, places, feet, rows):
    """Numbers the vertices beside the surface, places their feet, and finds the nearest one of each line, -1 for none."""
    n_x, n_y, n_z = values.shape
    for x in range(start, end):
        row = firsts[x]
        for y in range(n_y):
            last = -1
            for z in range(n_z):
                if _has_zero(values, x, y, z):
                    here = values[x, y, z]
                    a = _slope(here, values[max(x - 1, 0), y, z], values[min(x + 1, n_x - 1), y, z])
                    b = _slope(here, values[x, max(y - 1, 0), z], values[x, min(y + 1, n_y - 1), z])
                    c = _slope(here, values[x, y, max(z - 1, 0)], values[x, y, min(z + 1, n_z - 1)])
                    square = a * a + b * b + c * c
                    places[row, 0], places[row, 1], places[row, 2] = x, y, z
                    feet[row, 0], feet[row, 1], feet[row, 2] = x + a / square, y + b / square, z + c / square
                    last = row
                    row += 1
                rows[x, y, z] = last
            after = -1
            for z in range(n_z - 1, -1, -1):
                before = rows[x, y, z]
                if before >= 0 and places[before, 2] == z:
                    after = before
                elif after >= 0 and (before < 0 or places[after, 2] - z < z - places[before, 2]):
                    rows[x, y, z] = after


@compiled
def _envelope(line, costs, vertices, starts):
    """Keeps of the parabolas (q - p)^2 + costs[p] those that are lowest somewhere, with where each begins; returns their number."""
    n = -1
    for p in range(len(line)):
        if line[p] < 0:
            continue
        start = -np.inf
        while n >= 0:
            v = vertices[n]
            start = ((costs[p] + p * p) - (costs[v] + v * v)) / (2.0 * (p - v))
            if start > starts[n]:
                break
            n -= 1
        n += 1
        vertices[n] = p
        starts[n] = start if n > 0 else -np.inf
    return n + 1


@compiled
def _along_y(start, end, places, rows):
    n_y, n_z = rows.shape[1], rows.shape[2]
    lines, line, costs = np.empty((n_z, n_y), np.int32), np.empty(n_y, np.int32), np.empty(n_y, np.int32)
    vertices, starts = np.empty(n_y, np.int32), np.empty(n_y, np.float64)
    for x in range(start, end):
        for y in range(n_y):
            for z in range(n_z):
                lines[z, y] = rows[x, y, z]
        for z in range(n_z):
            line[:] = lines[z]
            for y in range(n_y):
                if line[y] >= 0:
                    dz = places[line[y], 2] - z
                    costs[y] = dz * dz
            n, k = _envelope(line, costs, vertices, starts), 0
            for y in range(n_y):
                while k + 1 < n and starts[k + 1] < y:
                    k += 1
                lines[z, y] = line[vertices[k]] if n > 0 else -1
        for y in range(n_y):
            for z in range(n_z):
                rows[x, y, z] = lines[z, y]


@compiled
def _along_x(values, start, end, places, feet, rows, step, distances):
    n_x, n_z = rows.shape[0], rows.shape[2]
    lines, line, costs = np.empty((n_z, n_x), np.int32), np.empty(n_x, np.int32), np.empty(n_x, np.int32)
    vertices, starts, found = np.empty(n_x, np.int32), np.empty(n_x, np.float64), np.empty((n_z, n_x), np.float32)
    for y in range(start, end):
        for x in range(n_x):
            for z in range(n_z):
                lines[z, x] = rows[x, y, z]
        for z in range(n_z):
            line[:] = lines[z]
            for x in range(n_x):
                if line[x] >= 0:
                    dy, dz = places[line[x], 1] - y, places[line[x], 2] - z
                    costs[x] = dy * dy + dz * dz
            n, k = _envelope(line, costs, vertices, starts), 0
            for x in range(n_x):
                while k + 1 < n and starts[k + 1] < x:
                    k += 1
                row = line[vertices[k]]
                dx, dy, dz = feet[row, 0] - x, feet[row, 1] - y, feet[row, 2] - z
                found[z, x] = step * np.sqrt(dx * dx + dy * dy + dz * dz)
        for x in range(n_x):
            for z in range(n_z):
                distances[x, y, z] = -found[z, x] if values[x, y, z] < 0 else found[z, x]
