"""Levels of detail on a CPU, compiled. The specification is `neus.lod.field` for distances, `neus.rendering.sphere_tracing` for hits.

Each point is walked down from the finest lattice to the first whose cell has all its corners; one row holds all hidden units of a
corner, so inner loops run along memory.
"""

import math

import numpy as np

from neus.kernels.jit import compiled, inlined
from neus.kernels.lod_walk.arguments import LevelTables
from neus.kernels.threads import ranges, run_tasks

POINTS_PER_TASK, RAYS_PER_TASK = 8192, 1024
_ZERO, _HALF, _ONE, _TWO = (np.float32(value) for value in (0.0, 0.5, 1.0, 2.0))
_INFINITE = np.float32(np.inf)


def distances(lower: LevelTables, upper: LevelTables, fraction: float, points: np.ndarray) -> np.ndarray:
    """(M,) distances at points (M, 3) float32 in the cube, blended between two levels: (1 - fraction) lower + fraction upper."""
    found = np.empty(len(points), np.float32)

    def some(start: int, stop: int) -> None:
        _distances(lower, upper, np.float32(fraction), points[start:stop], found[start:stop])

    run_tasks(some, ranges(len(points), POINTS_PER_TASK))
    return found


def gradients(lower: LevelTables, upper: LevelTables, fraction: float, points: np.ndarray) -> np.ndarray:
    """(M, 3) gradients of `distances` in the points."""
    found = np.empty((len(points), 3), np.float32)

    def some(start: int, stop: int) -> None:
        _gradients(lower, upper, np.float32(fraction), points[start:stop], found[start:stop])

    run_tasks(some, ranges(len(points), POINTS_PER_TASK))
    return found


def trace(
    lower: LevelTables,
    upper: LevelTables,
    fraction: float,
    origins: np.ndarray,
    directions: np.ndarray,
    near: np.ndarray,
    far: np.ndarray,
    limits: np.ndarray,
    max_steps: int,
    refine_steps: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The first surface point along rays (N, 3), (N, 3) between near (N,) and far (N,), which lie in the cube; all float32.

    Args:
        limits: (6,) float32: tolerance, slope bound, over-relaxation, and of `sphere_tracing` the factors REFUTED_BEYOND, SLOPE_MARGIN
            and PROBE_TOLERANCES.
        max_steps, refine_steps: most evaluations of a ray, and of the secant.

    Returns:
        t (N,), of a miss where it ended; hit (N,); undecided (N,); evaluations (N,) int32.
    """
    t, evaluations = near.copy(), np.zeros(len(near), np.int32)
    hit, undecided = np.zeros(len(near), np.bool_), np.zeros(len(near), np.bool_)

    def some(start: int, stop: int) -> None:
        p = slice(start, stop)
        _trace(
            lower, upper, np.float32(fraction), origins[p], directions[p], far[p], limits, max_steps, refine_steps,
            t[p], hit[p], undecided[p], evaluations[p],
        )  # fmt: skip

    run_tasks(some, ranges(len(near), RAYS_PER_TASK))
    return t, hit, undecided, evaluations


@inlined
def _place(coordinate, cells):
    """The cell along one axis, and how far along it."""
    scaled = (min(max(coordinate, -_ONE), _ONE) + _ONE) * (_HALF * np.float32(cells))
    # Clamped as a whole number, since NaN must not become an address.
    cell = min(max(np.int64(math.floor(scaled)), 0), cells - 1)
    return cell, scaled - np.float32(cell)


@compiled
def _hidden(tables, x, y, z, hidden):
    """hidden (H,) = what the decoder's first layer makes of a point."""
    n = len(hidden)
    for h in range(n):
        hidden[h] = tables.bias[h] + x * tables.position[0, h] + y * tables.position[1, h] + z * tables.position[2, h]
    for k in range(len(tables.cells) - 1, -1, -1):
        cells = tables.cells[k]
        i, u = _place(x, cells)
        j, v = _place(y, cells)
        m, w = _place(z, cells)
        along_y, along_z = cells + 1, (cells + 1) * (cells + 1)
        first = tables.offsets[k] + m * along_z + j * along_y + i
        r = tables.rows
        r0, r1, r2, r3 = r[first], r[first + 1], r[first + along_y], r[first + along_y + 1]
        first += along_z
        r4, r5, r6, r7 = r[first], r[first + 1], r[first + along_y], r[first + along_y + 1]
        u0, v0, w0 = _ONE - u, _ONE - v, _ONE - w
        a0, a1, a2, a3 = w0 * v0 * u0, w0 * v0 * u, w0 * v * u0, w0 * v * u
        a4, a5, a6, a7 = w * v0 * u0, w * v0 * u, w * v * u0, w * v * u
        if min(min(min(r0, r1), min(r2, r3)), min(min(r4, r5), min(r6, r7))) >= 0:
            s = tables.summed
            s0, s1, s2, s3, s4, s5, s6, s7 = s[r0], s[r1], s[r2], s[r3], s[r4], s[r5], s[r6], s[r7]
            for h in range(n):
                hidden[h] += (
                    a0 * s0[h] + a1 * s1[h] + a2 * s2[h] + a3 * s3[h] + a4 * s4[h] + a5 * s5[h] + a6 * s6[h] + a7 * s7[h]
                )
            return
        for row, weight in ((r0, a0), (r1, a1), (r2, a2), (r3, a3), (r4, a4), (r5, a5), (r6, a6), (r7, a7)):
            if row >= 0:
                own = tables.own[row - tables.n_whole]
                for h in range(n):
                    hidden[h] += weight * own[h]


@compiled
def _distance(tables, x, y, z, hidden):
    _hidden(tables, x, y, z, hidden)
    total = tables.out_bias
    for h in range(len(hidden)):
        total += tables.out[h] * max(hidden[h], _ZERO)
    return total


@compiled
def _blended(lower, upper, fraction, x, y, z, hidden):
    f = _distance(lower, x, y, z, hidden)
    if fraction > _ZERO:
        f += fraction * (_distance(upper, x, y, z, hidden) - f)
    return f


@compiled
def _distances(lower, upper, fraction, points, found):
    hidden = np.empty(len(lower.bias), np.float32)
    for m in range(len(points)):
        found[m] = _blended(lower, upper, fraction, points[m, 0], points[m, 1], points[m, 2], hidden)


@compiled
def _gradients(lower, upper, fraction, points, found):
    hidden, gradient = np.empty(len(lower.bias), np.float32), np.empty(3, np.float32)
    for m in range(len(points)):
        x, y, z = points[m]
        _gradient(lower, x, y, z, hidden, gradient)
        found[m] = gradient
        if fraction > _ZERO:
            _gradient(upper, x, y, z, hidden, gradient)
            for axis in range(3):
                found[m, axis] += fraction * (gradient[axis] - found[m, axis])


@compiled
def _gradient(tables, x, y, z, hidden, gradient):
    """gradient (3,) = sum_h W2_h [z_h > 0] (W1x + sum of the corners' rows times the slopes of their weights)_h."""
    _hidden(tables, x, y, z, hidden)
    for axis in range(3):
        total = _ZERO
        for h in range(len(hidden)):
            hidden_slope = tables.out[h] if hidden[h] > _ZERO else _ZERO
            total += hidden_slope * tables.position[axis, h]
        gradient[axis] = total
    for k in range(len(tables.cells) - 1, -1, -1):
        cells = tables.cells[k]
        i, u = _place(x, cells)
        j, v = _place(y, cells)
        m, w = _place(z, cells)
        first = tables.offsets[k] + (m * (cells + 1) + j) * (cells + 1) + i
        is_whole = True
        for corner in range(8):
            is_whole &= tables.rows[_corner(first, corner, cells)] >= 0
        table, skipped = (tables.summed, 0) if is_whole else (tables.own, tables.n_whole)
        rise = _HALF * np.float32(cells)
        for corner in range(8):
            row = tables.rows[_corner(first, corner, cells)]
            if row < 0:
                continue
            pulled, values = _ZERO, table[row - skipped]
            for h in range(len(hidden)):
                pulled += (tables.out[h] if hidden[h] > _ZERO else _ZERO) * values[h]
            a, b, c = _side(corner & 1, u), _side(corner >> 1 & 1, v), _side(corner >> 2, w)
            gradient[0] += (rise if corner & 1 else -rise) * b * c * pulled
            gradient[1] += (rise if corner >> 1 & 1 else -rise) * a * c * pulled
            gradient[2] += (rise if corner >> 2 else -rise) * a * b * pulled
        if is_whole:
            return


@inlined
def _side(is_upper, fraction):
    return fraction if is_upper else _ONE - fraction


@inlined
def _corner(first, corner, cells):
    return first + (corner & 1) + (corner >> 1 & 1) * (cells + 1) + (corner >> 2) * (cells + 1) * (cells + 1)


@compiled
def _trace(
    lower, upper, fraction, origins, directions, far, limits, max_steps, refine_steps, t_found, hit, undecided, evaluations
):
    """As `sphere_tracing.trace`, ray by ray."""
    hidden = np.empty(len(lower.bias), np.float32)
    tolerance, slope_bound, over_relaxation, refuted_beyond, slope_margin, probe = limits
    for ray in range(len(far)):
        ox, oy, oz = origins[ray]
        dx, dy, dz = directions[ray]
        t, bound, relaxation, last = t_found[ray], slope_bound, over_relaxation, far[ray]
        t_before, f_before, steps, is_under_way = t, _INFINITE, 0, t <= last
        while is_under_way and steps < max_steps:
            f = _blended(lower, upper, fraction, ox + t * dx, oy + t * dy, oz + t * dz, hidden)
            steps += 1
            if math.isnan(f):
                break
            overshoots = False
            if f_before < _INFINITE:
                step = t - t_before
                slope = abs(f - f_before) / step
                if slope > bound * (_ONE if f < -tolerance else refuted_beyond):
                    bound = slope_margin * slope
                slack = np.float32(1e-4) * step * bound if f > tolerance else _TWO * tolerance
                overshoots = f < -tolerance or f_before + f < step * bound - slack
            if f < tolerance and not overshoots:
                hit[ray], is_under_way = True, False
                t, n = _refined(
                    lower, upper, fraction, ox, oy, oz, dx, dy, dz, t_before, f_before, t, f, min(t + probe * tolerance, last),
                    refine_steps, hidden,
                )  # fmt: skip
                steps += n
                break
            if overshoots:
                relaxation = _ONE
            else:
                t_before, f_before = t, f
            # A longer step may not end the ray where the plain one would not.
            plain = t_before + f_before / bound
            t = min(t_before + relaxation * f_before / bound, max(plain, last))
            is_under_way = t <= last
        t_found[ray], undecided[ray], evaluations[ray] = t, is_under_way, steps


@compiled
def _refined(
    lower, upper, fraction, ox, oy, oz, dx, dy, dz, t_before, f_before, t, f, beyond, refine_steps, hidden
):  # fmt: skip
    """Where the sign changes, by regula falsi with the Illinois rule, and the evaluations; `t` where it does not change."""
    if f <= _ZERO:
        low, f_low, high, f_high, n = t_before, f_before, t, f, 0
    else:
        f_high = _blended(lower, upper, fraction, ox + beyond * dx, oy + beyond * dy, oz + beyond * dz, hidden)
        low, f_low, high, n = t, f, beyond, 1
    if not (low < high and f_high <= _ZERO):
        return t, n
    for _ in range(refine_steps):
        middle = low + (high - low) * f_low / (f_low - f_high)
        f_middle = _blended(lower, upper, fraction, ox + middle * dx, oy + middle * dy, oz + middle * dz, hidden)
        n += 1
        if f_middle <= _ZERO:
            high, f_high, f_low = middle, f_middle, f_low * _HALF
        else:
            low, f_low, f_high = middle, f_middle, f_high * _HALF
    return low + (high - low) * f_low / (f_low - f_high), n
