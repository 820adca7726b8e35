"""Logistic opacities for Triton's kernels, of a block of intervals; see `reference`. In single precision."""

import triton
import triton.language as tl

from neus.kernels.logistic.reference import LEAST_SLOPE

# Phi(-x) beyond it is less than the rounding of a sum close to one.
_NO_WEIGHT_FROM = tl.constexpr(36.0)
_LEAST_SLOPE = tl.constexpr(LEAST_SLOPE)


@triton.jit
def phi(x):
    """The logistic sigmoid."""
    return 1.0 / (1.0 + tl.exp(-x))


@triton.jit
def alpha(at_start, at_end, epsilon):
    """`reference.alpha` from Phi(s f) at both ends."""
    ratio = (at_start - at_end + epsilon) / (at_start + epsilon)
    return tl.where(ratio < 0.0, 0.0, tl.where(ratio > 1.0, 1.0, ratio))


@triton.jit
def alpha_vjp(at_start, at_end, epsilon, by_alpha):
    """Derivatives in s f_start and s f_end, given that in alpha; zero where alpha is clamped."""
    guarded = at_start + epsilon
    ratio = (at_start - at_end + epsilon) / guarded
    is_between = (ratio >= 0.0) & (ratio <= 1.0)
    by_start = by_alpha * at_end / (guarded * guarded) * at_start * (1.0 - at_start)
    by_end = -by_alpha / guarded * at_end * (1.0 - at_end)
    return tl.where(is_between, by_start, 0.0), tl.where(is_between, by_end, 0.0)


@triton.jit
def less_than_one(x):
    """1 - exp(-x) for x >= 0, right to the last digits near 0, where the difference would cancel."""
    series = x * (1.0 - x * (0.5 - x * (1.0 / 6.0 - x * (1.0 / 24.0 - x * (1.0 / 120.0 - x / 720.0)))))
    return tl.where(x < 0.2, series, 1.0 - tl.exp(-x))


@triton.jit
def exact_alpha(sdf_start, sdf_end, sharpness):
    """`reference.exact_alpha`."""
    at_end = sharpness * sdf_end
    decay = tl.exp(-tl.abs(at_end))
    behind = tl.where(at_end <= 0.0, 1.0, decay) / (1.0 + decay)
    has_weight = (sdf_end < sdf_start) & (at_end <= _NO_WEIGHT_FROM)
    return tl.where(has_weight, less_than_one(sharpness * tl.maximum(sdf_start - sdf_end, 0.0)) * behind, 0.0)


@triton.jit
def color_slope(y, grad):
    """`reference.color_slope`."""
    slope = y * (1.0 - y)
    leads_out = (grad < 0.0) == (y < 0.5)
    return tl.where(slope >= _LEAST_SLOPE, slope, tl.where(leads_out, _LEAST_SLOPE, 0.0))
