"""Rays walked through the shell of a hash model's surface, as many at a time as a tile holds.

The specification is `neus.rendering.shell`: rays are traced to |f| < half, walked through it until they are opaque or leave, and
given the quantiles of their weight. Here each ray is at its own place on the way, and its place in the tile is the next
ray's as soon as it is done.
"""

import math
from typing import NamedTuple

import numpy as np

from neus.kernels.fused_step.arguments import Grid, ShellRays, ShellScales, ShellSeen, SurfaceWeights
from neus.kernels.fused_step.cpu.products import HALF, ONE, TWO, ZERO, compiled
from neus.kernels.fused_step.cpu.surface import distance_forward
from neus.kernels.fused_step.cpu.tile import Tile
from neus.kernels.logistic.cpu import alpha, phi

_TRACES, _CROSSES = 0, 1
_FAR_AWAY = np.float32(np.inf)


class Lanes(NamedTuple):
    """Rays under way, by lane: `order` has the lanes in use first; t_looks, f_looks (T, R) are the distances noted."""

    order: np.ndarray
    ray: np.ndarray
    phase: np.ndarray
    steps: np.ndarray
    shells: np.ndarray
    count: np.ndarray
    t: np.ndarray
    t_before: np.ndarray
    f_before: np.ndarray
    bound: np.ndarray
    relaxation: np.ndarray
    light: np.ndarray
    t_looks: np.ndarray
    f_looks: np.ndarray
    weights: np.ndarray


def empty_lanes(n: int, max_looks: int) -> Lanes:
    """Room for n rays."""
    whole = [np.zeros(n, np.int64) for _ in range(5)]
    floats = [np.zeros(n, np.float32) for _ in range(6)]
    looks = [np.zeros((n, max_looks), np.float32) for _ in range(2)]
    return Lanes(np.arange(n), *whole, *floats, *looks, np.zeros(max_looks, np.float32))


@compiled
def walk_range(
    grid: Grid,
    surface: SurfaceWeights,
    rays: ShellRays,
    scales: ShellScales,
    tile: Tile,
    lanes: Lanes,
    first: int,
    stop: int,
    seen: ShellSeen,
) -> int:
    """Fills `seen` of rays first ... stop; returns how often the field was evaluated."""
    n, size, evaluations = 0, tile.t.shape[0], 0
    while True:
        while n < size and first < stop:
            seen.transmittance[first], seen.met[first], seen.is_unclear[first] = ONE, False, False
            if rays.start[first] <= rays.far[first]:
                _begin(lanes, lanes.order[n], first, rays.start[first], scales)
                n += 1
            first += 1
        if n == 0:
            return evaluations
        for i in range(n):
            lane = lanes.order[i]
            ray, t = lanes.ray[lane], lanes.t[lane]
            for axis in range(3):
                tile.inputs[axis, i] = rays.origins[ray, axis] + t * rays.directions[ray, axis]
        distance_forward(grid, surface, tile, n)
        evaluations += n
        n_left = 0
        for i in range(n):
            lane, f = lanes.order[i], tile.out[0, i]
            far = rays.far[lanes.ray[lane]]
            if lanes.phase[lane] == _TRACES:
                goes_on = _trace(lanes, lane, f, far, scales, seen)
            else:
                goes_on = _cross(lanes, lane, f, far, scales, seen)
            if goes_on:
                lanes.order[i], lanes.order[n_left] = lanes.order[n_left], lane
                n_left += 1
            else:
                _finish(lanes, lane, scales, seen)
        n = n_left


@compiled
def _begin(lanes, lane, ray, t, scales):
    lanes.ray[lane], lanes.shells[lane], lanes.count[lane], lanes.light[lane] = ray, 0, 0, ONE
    _set_out(lanes, lane, t, scales)


@compiled
def _set_out(lanes, lane, t, scales):
    """Begins to trace, with nothing known of the way before."""
    lanes.phase[lane], lanes.steps[lane] = _TRACES, 0
    lanes.t[lane], lanes.t_before[lane], lanes.f_before[lane] = t, t, _FAR_AWAY
    lanes.bound[lane], lanes.relaxation[lane] = scales.lipschitz, scales.over_relaxation


@compiled
def _trace(lanes, lane, f, far, scales, seen):
    """A step of `trace` to f = half; whether the ray is still under way."""
    if math.isnan(f):
        seen.is_unclear[lanes.ray[lane]] = True
        return False
    f -= scales.half
    lanes.steps[lane] += 1
    t, t_before, f_before, bound = lanes.t[lane], lanes.t_before[lane], lanes.f_before[lane], lanes.bound[lane]
    tolerance, overshoots = scales.tolerance, False
    if f_before < _FAR_AWAY:
        step = t - t_before
        slope = abs(f - f_before) / step
        if slope > bound * (ONE if f < -tolerance else scales.refuted_beyond):
            bound = scales.slope_margin * slope
        slack = np.float32(1e-4) * step * bound if f > tolerance else TWO * tolerance
        overshoots = f < -tolerance or f_before + f < step * bound - slack
    if f < tolerance and not overshoots:
        return _enter(lanes, lane, t, f + scales.half, far, scales, seen)
    if overshoots:
        lanes.relaxation[lane] = ONE
        t, f = t_before, f_before
    plain = t + f / bound
    t_next = min(t + lanes.relaxation[lane] * f / bound, max(plain, far))
    lanes.t_before[lane], lanes.f_before[lane], lanes.t[lane], lanes.bound[lane] = t, f, t_next, bound
    if lanes.steps[lane] >= scales.max_steps and t_next <= far:
        seen.is_unclear[lanes.ray[lane]] = True
        return False
    return t_next <= far


@compiled
def _enter(lanes, lane, t, f, far, scales, seen):
    """Notes where the ray comes into a shell; one that starts deeper than the shell is within the object."""
    if f < -scales.half or lanes.count[lane] >= scales.max_looks - 1:
        seen.is_unclear[lanes.ray[lane]] = True
        return False
    lanes.phase[lane] = _CROSSES
    _note(lanes, lane, t, f)
    _step_through(lanes, lane, t, f, ONE, far, scales)
    return True


@compiled
def _cross(lanes, lane, f, far, scales, seen):
    """A look within the shell; whether the ray is still under way."""
    t, f_before, ray = lanes.t[lane], lanes.f_before[lane], lanes.ray[lane]
    lanes.light[lane] *= ONE - _alpha(f_before, f, scales)
    _note(lanes, lane, t, f)
    is_open = lanes.light[lane] > scales.opaque and t < far
    if math.isnan(f) or (is_open and lanes.count[lane] >= scales.max_looks):
        seen.is_unclear[ray] = True
        return False
    if not is_open:
        return False
    if f > scales.half + scales.tolerance and f > f_before:
        lanes.shells[lane] += 1
        if lanes.shells[lane] >= scales.max_shells:
            seen.is_unclear[ray] = True
            return False
        t += (f - scales.half) / scales.lipschitz
        _set_out(lanes, lane, t, scales)
        return t <= far
    _step_through(lanes, lane, t, f, (f - f_before) / (t - lanes.t_before[lane]), far, scales)
    return True


@compiled
def _note(lanes, lane, t, f):
    at = lanes.count[lane]
    lanes.t_looks[lane, at], lanes.f_looks[lane, at] = t, f
    lanes.count[lane] = at + 1


@compiled
def _step_through(lanes, lane, t, f, slope, far, scales):
    lanes.t_before[lane], lanes.f_before[lane] = t, f
    step = scales.step / max(abs(slope), scales.least_slope)
    lanes.t[lane] = t + min(step, far - t)


@compiled
def _alpha(f_start, f_end, scales):
    return alpha(phi(f_start * scales.sharpness), phi(f_end * scales.sharpness), scales.epsilon)


@compiled
def _finish(lanes, lane, scales, seen):
    """Hands on what the ray met, with the mid quantiles of its weight."""
    ray, n, light = lanes.ray[lane], lanes.count[lane], lanes.light[lane]
    seen.transmittance[ray], seen.met[ray] = light, n > 0
    if scales.clear_below < light < scales.clear_above:
        seen.is_unclear[ray] = True
    if n == 0 or seen.is_unclear[ray]:
        return
    t, f, weights = lanes.t_looks[lane], lanes.f_looks[lane], lanes.weights
    passing, total = ONE, ZERO
    for i in range(n - 1):
        opacity = _alpha(f[i], f[i + 1], scales)
        weights[i] = passing * opacity + scales.weight_floor
        passing *= ONE - opacity
        total += weights[i]
    n_places = seen.t.shape[1]
    i, below = 0, ZERO
    for k in range(n_places):
        wanted = total * (np.float32(k) + HALF) / np.float32(n_places)
        while i < n - 2 and below + weights[i] <= wanted:
            below += weights[i]
            i += 1
        share = min((wanted - below) / weights[i], ONE) if n > 1 else ZERO
        seen.t[ray, k] = t[i] + share * (t[min(i + 1, n - 1)] - t[i])
