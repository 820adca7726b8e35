"""Rays traced through the shell of a hash model's surface, as many at a time as a tile holds.

The specification is `neus.rendering.shell`: rays are traced to |f| < half and through it until they are opaque or leave, and
given the quantiles of their weight. Here each ray is at its own place on the way, and its place in the tile is the next
ray's as soon as it is done.
"""

import math
from typing import NamedTuple

import numpy as np

from neus.kernels.fused_step.arguments import Grid, ShellConstants, ShellRays, ShellTraceResult, SurfaceWeights
from neus.kernels.fused_step.cpu.matmul import HALF, ONE, TWO, ZERO, compiled
from neus.kernels.fused_step.cpu.surface import distance_forward
from neus.kernels.fused_step.cpu.tile import Tile
from neus.kernels.logistic.cpu import alpha, phi

_TRACES, _CROSSES = 0, 1
_FAR_AWAY = np.float32(np.inf)


class RaySlots(NamedTuple):
    """Rays under way, by lane: `order` has the lanes in use first; t_queries, f_queries (T, R) are the distances noted."""

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
    t_queries: np.ndarray
    f_queries: np.ndarray
    weights: np.ndarray


def empty_ray_slots(n: int, max_queries: int) -> RaySlots:
    """Room for n rays."""
    whole = [np.zeros(n, np.int64) for _ in range(5)]
    floats = [np.zeros(n, np.float32) for _ in range(6)]
    queries = [np.zeros((n, max_queries), np.float32) for _ in range(2)]
    return RaySlots(np.arange(n), *whole, *floats, *queries, np.zeros(max_queries, np.float32))


@compiled
def trace_range(
    grid: Grid,
    surface: SurfaceWeights,
    rays: ShellRays,
    scales: ShellConstants,
    tile: Tile,
    ray_slots: RaySlots,
    first: int,
    stop: int,
    visible: ShellTraceResult,
) -> int:
    """Fills `visible` of rays first ... stop; returns how often the field was evaluated."""
    n, size, evaluations = 0, tile.t.shape[0], 0
    while True:
        while n < size and first < stop:
            visible.transmittance[first], visible.is_hit[first], visible.needs_fallback[first] = ONE, False, False
            if rays.start[first] <= rays.far[first]:
                _begin(ray_slots, ray_slots.order[n], first, rays.start[first], scales)
                n += 1
            first += 1
        if n == 0:
            return evaluations
        for i in range(n):
            slot = ray_slots.order[i]
            ray, t = ray_slots.ray[slot], ray_slots.t[slot]
            for axis in range(3):
                tile.inputs[axis, i] = rays.origins[ray, axis] + t * rays.directions[ray, axis]
        distance_forward(grid, surface, tile, n)
        evaluations += n
        n_left = 0
        for i in range(n):
            slot, f = ray_slots.order[i], tile.out[0, i]
            far = rays.far[ray_slots.ray[slot]]
            if ray_slots.phase[slot] == _TRACES:
                goes_on = _trace(ray_slots, slot, f, far, scales, visible)
            else:
                goes_on = _cross(ray_slots, slot, f, far, scales, visible)
            if goes_on:
                ray_slots.order[i], ray_slots.order[n_left] = ray_slots.order[n_left], slot
                n_left += 1
            else:
                _finish(ray_slots, slot, scales, visible)
        n = n_left


@compiled
def _begin(ray_slots, slot, ray, t, scales):
    ray_slots.ray[slot], ray_slots.shells[slot], ray_slots.count[slot], ray_slots.light[slot] = ray, 0, 0, ONE
    _set_out(ray_slots, slot, t, scales)


@compiled
def _set_out(ray_slots, slot, t, scales):
    """Begins to trace, with nothing known of the way before."""
    ray_slots.phase[slot], ray_slots.steps[slot] = _TRACES, 0
    ray_slots.t[slot], ray_slots.t_before[slot], ray_slots.f_before[slot] = t, t, _FAR_AWAY
    ray_slots.bound[slot], ray_slots.relaxation[slot] = scales.lipschitz, scales.over_relaxation


@compiled
def _trace(ray_slots, slot, f, far, scales, visible):
    """A step of `trace` to f = half; whether the ray is still active."""
    if math.isnan(f):
        visible.needs_fallback[ray_slots.ray[slot]] = True
        return False
    f -= scales.half
    ray_slots.steps[slot] += 1
    t, t_before, f_before, bound = ray_slots.t[slot], ray_slots.t_before[slot], ray_slots.f_before[slot], ray_slots.bound[slot]
    tolerance, overshoots = scales.tolerance, False
    if f_before < _FAR_AWAY:
        step = t - t_before
        slope = abs(f - f_before) / step
        if slope > bound * (ONE if f < -tolerance else scales.refuted_beyond):
            bound = scales.slope_margin * slope
        slack = np.float32(1e-4) * step * bound if f > tolerance else TWO * tolerance
        overshoots = f < -tolerance or f_before + f < step * bound - slack
    if f < tolerance and not overshoots:
        return _enter(ray_slots, slot, t, f + scales.half, far, scales, visible)
    if overshoots:
        ray_slots.relaxation[slot] = ONE
        t, f = t_before, f_before
    plain = t + f / bound
    t_next = min(t + ray_slots.relaxation[slot] * f / bound, max(plain, far))
    ray_slots.t_before[slot], ray_slots.f_before[slot], ray_slots.t[slot], ray_slots.bound[slot] = t, f, t_next, bound
    if ray_slots.steps[slot] >= scales.max_steps and t_next <= far:
        visible.needs_fallback[ray_slots.ray[slot]] = True
        return False
    return t_next <= far


@compiled
def _enter(ray_slots, slot, t, f, far, scales, visible):
    """Notes where the ray comes into a shell; one that starts deeper than the shell is within the object."""
    if f < -scales.half or ray_slots.count[slot] >= scales.max_queries - 1:
        visible.needs_fallback[ray_slots.ray[slot]] = True
        return False
    ray_slots.phase[slot] = _CROSSES
    _record_query(ray_slots, slot, t, f)
    _step_through(ray_slots, slot, t, f, ONE, far, scales)
    return True


@compiled
def _cross(ray_slots, slot, f, far, scales, visible):
    """An evaluation within the shell; whether the ray is still active."""
    t, f_before, ray = ray_slots.t[slot], ray_slots.f_before[slot], ray_slots.ray[slot]
    ray_slots.light[slot] *= ONE - _alpha(f_before, f, scales)
    _record_query(ray_slots, slot, t, f)
    is_open = ray_slots.light[slot] > scales.opaque and t < far
    if math.isnan(f) or (is_open and ray_slots.count[slot] >= scales.max_queries):
        visible.needs_fallback[ray] = True
        return False
    if not is_open:
        return False
    if f > scales.half + scales.tolerance and f > f_before:
        ray_slots.shells[slot] += 1
        if ray_slots.shells[slot] >= scales.max_shells:
            visible.needs_fallback[ray] = True
            return False
        t += (f - scales.half) / scales.lipschitz
        _set_out(ray_slots, slot, t, scales)
        return t <= far
    _step_through(ray_slots, slot, t, f, (f - f_before) / (t - ray_slots.t_before[slot]), far, scales)
    return True


@compiled
def _record_query(ray_slots, slot, t, f):
    at = ray_slots.count[slot]
    ray_slots.t_queries[slot, at], ray_slots.f_queries[slot, at] = t, f
    ray_slots.count[slot] = at + 1


@compiled
def _step_through(ray_slots, slot, t, f, slope, far, scales):
    ray_slots.t_before[slot], ray_slots.f_before[slot] = t, f
    step = scales.step / max(abs(slope), scales.least_slope)
    ray_slots.t[slot] = t + min(step, far - t)


@compiled
def _alpha(f_start, f_end, scales):
    return alpha(phi(f_start * scales.sharpness), phi(f_end * scales.sharpness), scales.epsilon)


@compiled
def _finish(ray_slots, slot, scales, visible):
    """Stores what the ray met, with the mid quantiles of its weight."""
    ray, n, light = ray_slots.ray[slot], ray_slots.count[slot], ray_slots.light[slot]
    visible.transmittance[ray], visible.is_hit[ray] = light, n > 0
    if scales.clear_below < light < scales.clear_above:
        visible.needs_fallback[ray] = True
    if n == 0 or visible.needs_fallback[ray]:
        return
    t, f, weights = ray_slots.t_queries[slot], ray_slots.f_queries[slot], ray_slots.weights
    transmittance_before, total = ONE, ZERO
    for i in range(n - 1):
        opacity = _alpha(f[i], f[i + 1], scales)
        weights[i] = transmittance_before * opacity + scales.weight_floor
        transmittance_before *= ONE - opacity
        total += weights[i]
    n_samples = visible.t.shape[1]
    i, below = 0, ZERO
    for k in range(n_samples):
        wanted = total * (np.float32(k) + HALF) / np.float32(n_samples)
        while i < n - 2 and below + weights[i] <= wanted:
            below += weights[i]
            i += 1
        fraction = min((wanted - below) / weights[i], ONE) if n > 1 else ZERO
        visible.t[ray, k] = t[i] + fraction * (t[min(i + 1, n - 1)] - t[i])
